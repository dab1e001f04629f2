"""Become an agent: everything between fork and exec, so that nothing of the helper's goes with it."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import re
import resource
import signal
import stat
from typing import NamedTuple, NoReturn

from pypcp.root import confine
from pypcp.root.configured import AgentLine
from pypcp.root.ground import UntrustedGround, check

SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a configured command without a slash is looked for; the environment's PATH is nobody's business."""

_INHERITED = re.compile(r"(PCP|PMCD|PMDA|PMNS)_[A-Z0-9_]+|TZ|LANG|LC_[A-Z]+")
_INTERPRETER = re.compile(r"(python|perl|ruby|lua|bpftrace|tclsh)[\d.]*|(ba|da|k|z)?sh|env")
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_STATUS_FD, _PROGRAM_FD, _ABOVE_ALL = 3, 4, 16


class Program(NamedTuple):
    """A command that was checked, and how to execute it: by the very file that was checked, or a script by its path."""

    argv: tuple[str, ...]
    path: str
    descriptor: int
    """Open on the checked file; -1 for a script, which its interpreter opens again."""


def locate(agent: AgentLine, owner: int = 0) -> Program:
    """The program of an agent, opened. ``UntrustedGround`` unless it, and any script it is to run, is root's alone."""
    if not _LABEL.fullmatch(agent.label):
        raise UntrustedGround(f"agent label {agent.label!r} is no file name")
    path = check(_absolute(agent.argv[0]), owner)
    for script in _scripts(path, agent.argv):
        check(script, owner)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return _program(agent.argv, path, descriptor, owner)
    except BaseException:
        os.close(descriptor)
        raise


def _program(argv: tuple[str, ...], path: str, descriptor: int, owner: int) -> Program:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, owner):
        raise UntrustedGround(f"{path} is not a file of root's")
    first = os.pread(descriptor, 256, 0)
    if not first.startswith(b"#!"):
        return Program(argv, path, descriptor)
    words = first[2:].split(b"\n", 1)[0].split()
    if not words:
        raise UntrustedGround(f"{path} names no interpreter")
    check(os.fsdecode(words[0]), owner)
    os.close(descriptor)
    return Program(argv, path, -1)


def _absolute(command: str) -> str:
    if "/" in command:
        return command
    for folder in SAFE_PATH.split(":"):
        if os.access(path := f"{folder}/{command}", os.X_OK):
            return path
    raise UntrustedGround(f"{command} is in none of {SAFE_PATH}")


def _scripts(path: str, argv: tuple[str, ...]) -> list[str]:
    """The file that an interpreter is told to run, if ``path`` is an interpreter."""
    if not _INTERPRETER.fullmatch(os.path.basename(path)):
        return []
    return [word for word in argv[1:] if word.startswith("/") and os.path.exists(word)][:1]


def environment(source: dict[str, str] | None = None) -> dict[str, str]:
    """What an agent sees: PCP's settings, the zone and the language of whoever started us, and a PATH of root's."""
    inherited = os.environ if source is None else source
    kept = {name: value for name, value in inherited.items() if _INHERITED.fullmatch(name)}
    return kept | {"PATH": SAFE_PATH, "HOME": "/", "SHELL": "/bin/sh"}


def account_of(name: str) -> tuple[int, int, list[int]] | None:
    """User, group and further groups of an account; None for root, which needs no change. ``KeyError`` if unknown."""
    if name == "root":
        return None
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid, os.getgrouplist(name, entry.pw_gid)


class Stage(NamedTuple):
    """What a new process gets for its first three descriptors, where it stands, and who it is."""

    stdin: int
    stdout: int
    stderr: int
    folder: str
    account: tuple[int, int, list[int]] | None
    open_files: tuple[int, int] | None = None


def execute(program: Program, stage: Stage, status_fd: int, seen: dict[str, str]) -> NoReturn:
    """In the forked child: become the program, with the environment ``seen``.

    A failure's errno goes through ``status_fd``, which exec closes; for one that has none EPERM does, and it is raised.
    """
    failure = errno.EPERM
    try:
        _arrange_descriptors(program, stage, status_fd)
        status_fd = _STATUS_FD
        _forget_signals()
        os.setsid()
        os.umask(0o022)
        os.chdir(stage.folder)
        if stage.open_files:
            resource.setrlimit(resource.RLIMIT_NOFILE, stage.open_files)
        if stage.account:
            confine.become(*stage.account)
        where = program.path if program.descriptor < 0 else _PROGRAM_FD
        os.execve(where, list(program.argv), seen)
    except OSError as error:
        failure = error.errno or failure
    finally:
        os.write(status_fd, bytes([min(failure, 255)]))
    os._exit(127)


def _arrange_descriptors(program: Program, stage: Stage, status_fd: int) -> None:
    """0, 1, 2 as told; 3 the status, 4 the program, both closed by exec; nothing else of ours."""
    wanted = [stage.stdin, stage.stdout, stage.stderr, status_fd]
    wanted += [program.descriptor] if program.descriptor >= 0 else []
    lifted = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_ALL) for fd in wanted]
    for target, fd in enumerate(lifted):
        os.dup2(fd, target, inheritable=target < _STATUS_FD)
    os.closerange(len(lifted), os.sysconf("SC_OPEN_MAX"))


def _forget_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
