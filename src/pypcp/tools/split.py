"""``pypcp up`` as root: root's part for the helper, the rest under an account without privilege.

Nobody who starts it has to know about this: where the split cannot be made there is a collector all the same, with as
little privilege as is possible there, and its banner says what is missing, why, and what to do about it.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shlex
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from pypcp.ipc.paths import PMCD_SOCKET, Paths
from pypcp.pmcd.options import PMCD_PORT
from pypcp.root import confine, ground
from pypcp.root.launch import environment
from pypcp.tools import pmdaroot

ACCOUNTS: Final = ("pcp", "nobody")
"""Who collects where root does not say: the first that this machine has."""
HELPER_RUN: Final = Path("/run/pypcp")
HELPER_LOG: Final = Path("/var/log/pypcp-helper")
"""Not the collector's own, which may be its account's."""
_LOOK_LIMIT_S: Final = 30
_LOOK: Final = """\
import os, sys
import pypcp.tools.up
shut = [place for place in sys.argv[1:] if not os.access(place, os.R_OK | os.W_OK | os.X_OK)]
sys.exit(f"cannot write to {shut[0]}" if shut else 0)
"""
_INSTALL: Final = "sudo python3 -m venv /opt/pypcp && sudo /opt/pypcp/bin/pip install"


class Whole(Exception):
    """There is no account that could collect; root does it itself. The text says why."""


class Places(NamedTuple):
    """Where the collector's account writes."""

    socket: Path
    state: Path


def split(given: argparse.Namespace, argv: Sequence[str]) -> str:
    """As root: go on as helper and collector, or as a collector without privilege. ``argv`` are our options.

    This returns only when neither is possible; then it says why.
    """
    try:
        account = _account(given.account)
        places = _prepare(given, account)
        _look(account, places)
    except (Whole, OSError) as reason:
        return f"all of it runs as root: {reason}"
    command = _command(argv, places)
    missing = without_helper(given.trust_environment)
    return _go_on(given, account, command, missing)


def _go_on(given: argparse.Namespace, account: pwd.struct_passwd, command: list[str], missing: str) -> NoReturn:
    if not missing:
        _become_helper(given, account, command)
    _drop(account)
    os.execv(command[0], [*command, "--reduced", missing])


def _account(name: str) -> pwd.struct_passwd:
    for candidate in (name,) if name else ACCOUNTS:
        try:
            found = pwd.getpwnam(candidate)
        except KeyError:
            continue
        if found.pw_uid == 0:
            raise Whole(f"--account {candidate} asks for that")
        return found
    raise Whole(f"there is no account {name or ' or '.join(ACCOUNTS)}")


def without_helper(trusted: bool) -> str:
    """Why there is no helper, "" where there can be one."""
    held = int(confine.status_of_self()["CapPrm"], 16)
    if lacking := [name for name, number in confine.CAPABILITIES.items() if not held >> number & 1]:
        return f"no privileged helper: this root has no CAP_{lacking[0]}, as in a container"
    if trusted:
        return ""
    try:
        ground.check_all(ground.own_ground())
    except ground.UntrustedGround as fault:
        source = shlex.quote(str(Path(__file__).parents[3]))
        first = str(fault).splitlines()[0]
        return f"no privileged helper: {first}; install it where only root can write: {_INSTALL} {source}"
    return ""


def _prepare(given: argparse.Namespace, account: pwd.struct_passwd) -> Places:
    """The directories, made where they are missing. Nothing of anybody else's changes hands."""
    paths = Paths.find()
    socket = Path(os.path.abspath(given.socket)) if given.socket else paths.run_dir / PMCD_SOCKET
    for folder in (socket.parent, paths.state_dir):
        if not folder.exists():
            folder.mkdir(mode=0o755, parents=True)
            os.chown(folder, account.pw_uid, account.pw_gid)
    _hand_over(paths.state_dir, account)
    if not given.socket and "PCP_RUN_DIR" not in os.environ and socket.parent.stat().st_uid == 0:
        os.chown(socket.parent, account.pw_uid, account.pw_gid)
    os.environ["PCP_RUN_DIR"] = str(paths.run_dir)  # another account's would be elsewhere
    return Places(socket, paths.state_dir)


def _hand_over(folder: Path, account: pwd.struct_passwd) -> None:
    """What root wrote there when it collected itself; a folder that is root's alone has no links of anybody's."""
    found = folder.lstat()
    if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or folder.name != "pypcp":
        return
    for where, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            os.lchown(os.path.join(where, name), account.pw_uid, account.pw_gid)
    os.lchown(folder, account.pw_uid, account.pw_gid)


def _look(account: pwd.struct_passwd, places: Places) -> None:
    """Have the account try: it may not even reach this interpreter."""
    command = [sys.executable, "-c", _LOOK, str(places.socket.parent), str(places.state)]
    try:
        done = subprocess.run(
            command,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd="/",
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LOOK_LIMIT_S,
        )
    except (OSError, subprocess.SubprocessError):
        raise Whole(f"{account.pw_name} may not execute {sys.executable}") from None
    if done.returncode:
        raise Whole(f"{account.pw_name}: {(done.stderr.strip() or 'cannot run it').splitlines()[-1]}")


def _command(argv: Sequence[str], places: Places) -> list[str]:
    """The collector's command line. What comes last counts, so what was given stays where it was."""
    where = ["--socket", str(places.socket), "--state", str(places.state)]
    return [sys.executable, "-m", "pypcp.tools.main", "up", *argv, *where]


def _drop(account: pwd.struct_passwd) -> None:
    confine.no_new_privileges()
    confine.become(account.pw_uid, account.pw_gid, [])
    os.chdir("/")
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)


def _become_helper(given: argparse.Namespace, account: pwd.struct_passwd, command: Sequence[str]) -> NoReturn:
    socket = HELPER_RUN / f"root-{(given.port or [PMCD_PORT])[0]}.socket"
    for folder in (HELPER_RUN, HELPER_LOG):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    HELPER_RUN.chmod(0o755)  # sockets there are closed themselves, each to all but its own account
    options = ["-f", "-s", str(socket), "-l", str(HELPER_LOG / "root.log"), "--daemon-account", account.pw_name]
    options += ["--agents-folder", str(HELPER_LOG / "agents")]
    if given.trust_environment:
        print("pypcp up: --trust-environment: whoever can change this program can become root", file=sys.stderr)
        options.append("--trust-environment")
    pmdaroot.become([*options, "--", *command, "--helper", str(socket)])
