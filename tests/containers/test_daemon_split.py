"""The helper starts the daemon: under its own account, with no way back, and again when it dies."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.served import Helper, children, gone, open_folder, rights, status
from peers import require
from waiting import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow]
PYTHON = "/usr/bin/python3"
"""One that every account may execute; the tests' own may lie in somebody's home."""
PACKAGES = str(Path(sys.modules["pypcp"].__file__ or "").parents[1])

ATTACK = f"""
import json, os, sys, time
sys.path.insert(0, {PACKAGES!r})
from pypcp.errors import PcpError
from pypcp.pmda.rootclient import RootClient
path, owned, strangers = sys.argv[1], sys.argv[2], sys.argv[3:]
client = RootClient(path, 60)
agent = client.process_start("cat", "/bin/cat")
def outcome(call, *words, **options):
    try:
        return str(call(*words, **options))
    except PcpError as refusal:
        return type(refusal).__name__
lines = [
    f"/bin/sh -c id>{{owned}}", "sh -c id", "/bin/cat /etc/shadow", "/bin/cat;id", "/bin/cat ", " /bin/cat", "cat",
    "/usr/bin/../bin/cat", "/bin/cat\\nother", "/bin/true",
]
starts = [outcome(client.process_start, label, line) for line in lines for label in ("cat", "sh", "../cat")]
pids = [1, os.getppid(), os.getpid(), *map(int, strangers)]
ends = [outcome(client.process_terminate, pid, force=False) for pid in pids]
ends += [outcome(client.process_terminate, pid, force=True) for pid in [0, -1, *pids, *(-pid for pid in pids)]]
asked = outcome(client.container_hostname, pid=1)
facts = {{"pid": os.getpid(), "agent": agent.pid, "starts": starts, "ends": ends, "asked": asked}}
print(json.dumps(facts), flush=True)
time.sleep(1000)
"""

DAEMON = f"""
import json, os, sys, time
sys.path.insert(0, {PACKAGES!r})
from pypcp.pmda.rootclient import RootClient
tried = {{}}
for call in (os.setuid, os.seteuid, os.setgid):
    try:
        call(0)
        tried[call.__name__] = "root"
    except PermissionError:
        tried[call.__name__] = "refused"
client = RootClient(sys.argv[1], 60)
agent = client.process_start("cat", "/bin/cat")
os.write(agent.stdin, b"hello")
facts = {{"pid": os.getpid(), "said": os.read(agent.stdout, 10).decode(), "agent": agent.pid, **tried}}
print(json.dumps(facts), flush=True)
time.sleep(1000)
"""


class Split(Helper):
    """A helper that is given a daemon to keep, and whatever else the daemon is told."""

    program, account = DAEMON, "daemon"
    told: tuple[str, ...] = ()

    def command(self) -> list[str]:
        daemon = self.folder / "daemon.py"
        daemon.write_text(self.program)
        daemon.chmod(0o644)
        words = ["--daemon-account", self.account, "--", PYTHON, "-I", str(daemon), str(self.socket), *self.told]
        return [*super().command(), *words]

    def facts(self) -> list[dict[str, object]]:
        lines = self.log.splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]


class Owned(Split):
    """Its daemon runs an attacker's code: the very process that may start and end agents, as stock's account."""

    program, account = ATTACK, "pcp"


@contextlib.contextmanager
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process of root's that is nobody's agent."""
    process = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def helper() -> Iterator[Split]:
    require(os.geteuid() == 0, "root, to give it up")
    code = f"import sys; sys.path.insert(0, {PACKAGES!r}); import pypcp.pmda.rootclient"
    tried = subprocess.run([PYTHON, "-I", "-c", code], user="daemon", capture_output=True)
    require(tried.returncode == 0, f"a {PYTHON} of 3.11 or later, and sources that every account may read")
    with open_folder() as folder:
        split = Split(folder, agents="cat 150 pipe binary /bin/cat\n")
        folder.chmod(0o755)
        with split:
            wait_until(split.facts, "the daemon's word")
            yield split


def test_the_daemon_runs_as_its_account_and_cannot_get_back(helper: Split) -> None:
    [facts] = helper.facts()
    assert {facts[name] for name in ("setuid", "seteuid", "setgid")} == {"refused"}
    assert facts["said"] == "hello"
    seen = status(int(str(facts["pid"])))
    assert "0" not in seen["Uid"].split() + seen["Gid"].split()
    assert seen["CapEff"] == seen["CapPrm"] == "0" * 16
    assert seen["NoNewPrivs"] == "1"


def test_a_daemon_that_dies_is_started_again_and_its_agents_are_ended(helper: Split) -> None:
    [facts] = helper.facts()
    os.kill(int(str(facts["pid"])), signal.SIGKILL)
    wait_until(lambda: len(helper.facts()) == 2, "another daemon")
    wait_until(lambda: gone(int(str(facts["agent"]))), "the end of the first one's agent")


def test_the_daemon_outlives_the_starter_and_may_still_start_agents(helper: Split) -> None:
    [facts] = helper.facts()
    victim = helper.starter
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: gone(victim) and helper.log.count("resolver-ready") >= 2, "a new starter")
    assert not gone(int(str(facts["pid"])))
    assert not gone(int(str(facts["agent"])))
    os.kill(int(str(facts["pid"])), signal.SIGKILL)
    wait_until(lambda: len(helper.facts()) == 2, "another daemon, which could start its agent")


def test_the_end_of_the_helper_is_the_end_of_the_daemon(helper: Split) -> None:
    [facts] = helper.facts()
    helper.process.terminate()
    wait_until(lambda: gone(int(str(facts["pid"]))), "the end of the daemon")


def test_p1_p3_who_owns_the_daemon_starts_and_ends_what_root_configured_and_nothing_else() -> None:
    require(os.geteuid() == 0, "root, to give it up")
    require("pcp" in {account.pw_name for account in pwd.getpwall()}, "the account pcp (Debian package pcp)")
    with open_folder() as folder, stranger() as bystander:
        split = Owned(folder, agents="cat 150 pipe binary /bin/cat\n")
        folder.chmod(0o755)
        split.configuration.chmod(0o644)
        own = folder / "own"
        own.mkdir()
        shutil.chown(own, "pcp")
        split.told = (str(own / "written"), str(bystander.pid), str(os.getpid()))
        with split:
            wait_until(split.facts, "the attacker's word")
            [facts] = split.facts()
            assert rights(int(str(facts["pid"])))["Uid"] == " ".join([str(pwd.getpwnam("pcp").pw_uid)] * 4)
            starts, ends = facts["starts"], facts["ends"]
            assert isinstance(starts, list) and isinstance(ends, list)
            assert (set(starts), set(ends), facts["asked"]) == ({"PermissionDenied"}, {"OsError"}, "OsError")
            refused = [line.split(": ", 1)[1].split(" ")[0] for line in split.record if "-refused" in line]
            assert refused == ["start-refused"] * len(starts) + ["stop-refused"] * len(ends)
            assert not list(own.iterdir())
            assert "cat" in {status(pid)["Name"] for pid in children(split.starter)}
            assert not any(map(gone, (bystander.pid, facts["agent"], facts["pid"], split.starter)))  # type: ignore[arg-type]
