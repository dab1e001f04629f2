"""Children of the privileged side: none runs on as a second of its parent, none is lost, none is signalled too late."""

import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from pypcp.root import confine
from pypcp.root.audit import AuditLog
from pypcp.root.children import CRASHED, send_signal, spawn
from pypcp.root.configured import AgentLine
from pypcp.root.daemon_keeper import DaemonKeeper
from pypcp.root.diary import Diary
from pypcp.root.launch import Program, Stage, execute
from pypcp.root.loop import Loop
from pypcp.root.starter import Started, Starter
from waiting import wait_until

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="an account can only be taken on by root")
_SET_SECUREBITS, _NO_SETUID_FIXUP = 28, 1 << 2


@contextmanager
def descriptors_below(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def exit_status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def children() -> set[str]:
    """Of this process, which may have daemons that other tests share; those not waited for yet are among them."""
    return {pid for listed in Path("/proc/self/task").glob("*/children") for pid in listed.read_text().split()}


@pytest.fixture
def childless() -> Callable[[], bool]:
    """Are there no children but those that were there before the test?"""
    before = children()
    return lambda: children() == before


class Trouble(Exception):
    """What a body of these tests raises."""


def raise_trouble() -> NoReturn:
    raise Trouble


def run_apart(body: Callable[[], None]) -> int:
    """Its exit status, after ``body`` ran in a process of its own: 0, or that of a crash."""

    def whole() -> NoReturn:
        body()
        os._exit(0)

    pid, pidfd = spawn(whole)
    os.close(pidfd)
    return exit_status(pid)


def test_a_body_that_raises_ends_the_child_and_never_runs_on_in_it() -> None:
    pid, pidfd = spawn(raise_trouble)
    os.close(pidfd)
    assert exit_status(pid) == CRASHED


def test_a_child_that_cannot_be_known_by_a_pidfd_is_none(childless: Callable[[], bool]) -> None:
    with descriptors_below(0), pytest.raises(OSError, match="Too many open files"):
        spawn(lambda: time.sleep(20))  # type: ignore[arg-type, return-value]
    assert childless()


def test_a_signal_to_a_process_that_was_reaped_is_told_and_forgiven() -> None:
    pid, pidfd = spawn(lambda: os._exit(0))
    os.waitpid(pid, 0)
    assert not send_signal(pidfd, signal.SIGTERM)
    os.close(pidfd)


@pytest.fixture
def diary() -> Iterator[Diary]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    with ours, theirs:
        yield Diary(ours, {})


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop._epoll.close()


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    log = AuditLog(path=str(tmp_path / "audit"))
    yield log
    log._syslog.close()
    os.close(log._file or -1)


@pytest.fixture
def starter(loop: Loop, audit: AuditLog, diary: Diary, tmp_path: Path) -> Starter:
    return Starter(loop, audit, diary, str(tmp_path), path_owner=os.geteuid())


def outcome(loop: Loop, starter: Starter, agent: AgentLine) -> Started:
    """What a start comes to; the agent, if there is one, is ended and reaped."""
    come: list[Started] = []

    def done(started: Started) -> None:
        come.append(started)
        started.close()
        loop.stop()

    starter.start(agent, 1, 1000, done)
    if not come:
        loop.run()
    if come[0].status == 0:
        starter.terminate(1, come[0].pid, force=True)
    while starter.count():
        loop.call_later(0.01, loop.stop)
        loop.run()
    return come[0]


CAT = AgentLine("cat", True, ("/bin/cat",), "f")


def test_a_start_that_runs_out_of_descriptors_leaves_neither_a_child_nor_a_descriptor(
    loop: Loop, starter: Starter, childless: Callable[[], bool]
) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    failures, limit = set(), 0
    while True:
        with descriptors_below(limit):
            started = outcome(loop, starter, CAT)
        assert sorted(os.listdir("/proc/self/fd")) == before
        assert childless()
        if started.status == 0:
            break
        failures.add(started.status)
        limit += 1
        assert limit < 200
    assert failures <= {-24, -22}, "EMFILE, or what stands for it where the limit is below the number asked for"


def test_a_failure_that_is_no_errno_is_a_failure_of_the_start_all_the_same(loop: Loop, starter: Starter) -> None:
    started = outcome(loop, starter, AgentLine("cat", True, ("/bin/cat", "a\0b"), "f"))
    assert (started.status, started.reason) == (-1, "Operation not permitted")


@ROOT
def test_an_agent_that_could_become_root_again_is_not_called_started(loop: Loop, starter: Starter) -> None:
    """With this securebit a change of account keeps every capability."""

    def start() -> None:
        confine.prctl(_SET_SECUREBITS, _NO_SETUID_FIXUP)
        started = outcome(loop, starter, CAT._replace(account="nobody"))
        assert started.status == -1

    assert run_apart(start) == 0


def test_what_is_wrong_before_the_descriptors_are_in_place_goes_to_the_starter_and_to_nobody_else() -> None:
    """The third descriptor of the parent's is something else: its wake-up pipe, perhaps."""
    told, status_end = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    stage = Stage(null, 900, null, "/", None)
    pid, pidfd = spawn(lambda: execute(Program(("/bin/true",), "/bin/true", -1), stage, status_end, {}))
    for fd in (status_end, null, pidfd):
        os.close(fd)
    assert exit_status(pid) == 127
    assert os.read(told, 10) == bytes([9])
    os.close(told)


class Reaped:
    """A child of ours, adopted by ``heir`` in another process (a starter, of the guard's), that is reaped unheard."""

    def __init__(self, heir: Callable[[int], Callable[[], None]]) -> None:
        self._heir = heir

    def signalled(self) -> int:
        """The exit status of the heir, after it signalled what is no more."""
        pid = os.spawnv(os.P_NOWAIT, "/bin/sleep", ["sleep", "1000"])
        ready, held = os.pipe()
        gone, go_on = os.pipe()

        def body() -> None:
            os.close(go_on)
            act = self._heir(pid)
            os.write(held, b".")
            os.read(gone, 1)
            act()

        def whole() -> NoReturn:
            body()
            os._exit(0)

        heir, pidfd = spawn(whole)
        os.close(held)
        os.read(ready, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for fd in (go_on, pidfd, ready, gone):
            os.close(fd)
        return exit_status(heir)


@pytest.mark.parametrize("request_", ["orphaned", "terminate"])
def test_an_adopted_agent_that_the_guard_has_reaped_is_signalled_without_harm(
    loop: Loop, starter: Starter, request_: str
) -> None:
    def heir(pid: int) -> Callable[[], None]:
        assert starter.adopt(pid, 1, "x")

        def act() -> None:
            if request_ == "terminate":
                assert starter.terminate(1, pid, force=False) == -3
            starter.orphaned(1, 0.0)
            loop.call_later(0.1, loop.stop)
            loop.run()

        return act

    assert Reaped(heir).signalled() == 0


def keeper(loop: Loop, audit: AuditLog, diary: Diary, *argv: str, account: str = "root") -> DaemonKeeper:
    return DaemonKeeper(loop, audit, diary, argv, account, lambda identity: None)


def test_a_daemon_that_the_guard_has_reaped_is_asked_to_end_without_harm(
    loop: Loop, audit: AuditLog, diary: Diary
) -> None:
    kept = keeper(loop, audit, diary, "/bin/true")

    def heir(pid: int) -> Callable[[], None]:
        kept.adopt(pid)
        return kept.stop

    assert Reaped(heir).signalled() == 0


def test_a_daemon_that_cannot_be_started_now_is_started_later(
    loop: Loop, audit: AuditLog, diary: Diary, tmp_path: Path, childless: Callable[[], bool]
) -> None:
    mark = tmp_path / "mark"
    program = tmp_path / "daemon"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o700)
    kept = keeper(loop, audit, diary, str(program))
    ended: list[int] = []
    kept.ended = lambda code: (ended.append(code), loop.stop())[0]
    before = sorted(os.listdir("/proc/self/fd"))
    with descriptors_below(0):
        kept.start()
    assert childless()
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert "daemon-not-started" in (tmp_path / "audit").read_text()
    loop.run()
    assert ended == [0]
    wait_until(mark.exists, "the daemon's own doing", 1.0)


def test_a_daemon_of_an_unknown_account_is_on_record_and_nothing_is_forked(
    loop: Loop, audit: AuditLog, diary: Diary, tmp_path: Path, childless: Callable[[], bool]
) -> None:
    keeper(loop, audit, diary, "/bin/true", account="no-such-account").start()
    assert childless()
    assert 'fault="' in (tmp_path / "audit").read_text()
