"""Start, wait for and terminate agents: only those that root configured, only as our own children, only by pidfd."""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from pypcp.root.audit import AuditLog
from pypcp.root.children import send_signal, spawn
from pypcp.root.configured import AgentLine
from pypcp.root.diary import Diary
from pypcp.root.ground import UntrustedGround
from pypcp.root.launch import Program, Stage, account_of, environment, execute, locate
from pypcp.root.loop import READ, Loop
from pypcp.root.peers import parent_of

EXEC_LIMIT_S = 10.0
_KEPT_STATUSES = 1024


class Started(NamedTuple):
    """What came of a start: a negative errno, or a pid and for pipe agents the two ends of ours."""

    status: int
    pid: int = -1
    infd: int = -1
    outfd: int = -1
    reason: str = ""

    def close(self) -> None:
        """Let the descriptors go once they were sent, or nobody is left to send them to."""
        for fd in (self.infd, self.outfd):
            if fd >= 0:
                os.close(fd)


class Child:
    """One process that we started, or have from our predecessor; ``status`` is None while it runs."""

    def __init__(self, pid: int, pidfd: int, label: str, owner: int, *, adopted: bool = False) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.label = label
        self.owner = owner
        self.adopted = adopted
        self.status: int | None = None


class Starter:
    """The children by pid, and what became of them until their owner asks.

    ``owner`` is the identity of the daemon process that asked; nobody else can see, wait for or end its children.
    """

    def __init__(self, loop: Loop, audit: AuditLog, diary: Diary, folder: str, *, path_owner: int = 0) -> None:
        self._loop = loop
        self._audit = audit
        self._diary = diary
        self._folder = folder
        self._path_owner = path_owner
        self._running: dict[int, Child] = {}
        self._ended: deque[Child] = deque(maxlen=_KEPT_STATUSES)
        self._starts: dict[str, deque[float]] = {}
        self.told: dict[str, str] = {}
        """What agents find in their environment besides."""
        self.open_files: tuple[int, int] = resource.getrlimit(resource.RLIMIT_NOFILE)

    def start(self, agent: AgentLine, owner: int, limit_per_minute: int, done: Callable[[Started], None]) -> None:
        """Start an agent and call ``done`` once it is known whether its program could be executed."""
        if self._too_often(agent.label, limit_per_minute):
            return done(Started(-errno.EAGAIN, reason=f"more than {limit_per_minute} starts a minute"))
        try:
            program = locate(agent, self._path_owner)
        except UntrustedGround as fault:
            missing = not os.path.exists(agent.argv[0])
            return done(Started(-errno.ENOENT if missing else -errno.EACCES, reason=str(fault)))
        except OSError as error:
            return done(Started(-(error.errno or errno.EACCES), reason=f"{error.filename}: {error.strerror}"))
        try:
            self._spawn(agent, program, owner, done)
        except OSError as error:
            done(Started(-(error.errno or errno.EAGAIN), reason=error.strerror or "fork failed"))
        except KeyError as fault:
            done(Started(-errno.EACCES, reason=f"account {agent.account!r}: {fault}"))
        finally:
            if program.descriptor >= 0:
                os.close(program.descriptor)
        return None

    def _too_often(self, label: str, limit_per_minute: int) -> bool:
        now, recent = time.monotonic(), self._starts.setdefault(label, deque())
        while recent and recent[0] < now - 60:
            recent.popleft()
        if len(recent) >= limit_per_minute:
            return True
        recent.append(now)
        return False

    def _spawn(self, agent: AgentLine, program: Program, owner: int, done: Callable[[Started], None]) -> None:
        account = account_of(agent.account)
        opened: list[int] = []
        try:
            stage, ours = self._stage(agent, account, opened)
            status, status_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            opened += [status, status_end]
            pid, pidfd = spawn(lambda: execute(program, stage, status_end, {**environment(), **self.told}))
        except OSError:
            _close(opened)
            raise
        _close([fd for fd in opened if fd not in (status, *ours)])
        child = Child(pid, pidfd, agent.label, owner)
        self._keep(child)
        self._await_exec(child, status, Started(0, pid, *(ours or (-1, -1))), done)

    def _stage(
        self, agent: AgentLine, account: tuple[int, int, list[int]] | None, opened: list[int]
    ) -> tuple[Stage, list[int]]:
        """The descriptors of a new child, and those of ours that belong to them; every one is put into ``opened``."""
        log = os.open(
            f"{self._folder}/{agent.label}.log",
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o644,
        )
        opened.append(log)
        if not agent.pipe:
            opened.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
            return Stage(opened[-1], log, log, self._folder, account, self.open_files), []
        stdin, infd = os.pipe2(os.O_CLOEXEC)
        opened += [stdin, infd]
        outfd, stdout = os.pipe2(os.O_CLOEXEC)
        opened += [outfd, stdout]
        return Stage(stdin, stdout, log, self._folder, account, self.open_files), [infd, outfd]

    def _await_exec(self, child: Child, status: int, started: Started, done: Callable[[Started], None]) -> None:
        """The status pipe ends without a byte when exec succeeded, and with its errno when it did not."""

        def settle(_: int) -> None:
            self._loop.forget(status)
            timer.cancel()
            failure = os.read(status, 1)
            os.close(status)
            if not failure:
                return done(started)
            started.close()
            child.owner = 0  # a child that never became an agent is nobody's to wait for
            return done(Started(-failure[0], reason=os.strerror(failure[0])))

        def give_up() -> None:
            send_signal(child.pidfd, signal.SIGKILL)

        timer = self._loop.call_later(EXEC_LIMIT_S, give_up)
        self._loop.watch(status, READ, settle)

    def adopt(self, pid: int, owner: int, label: str) -> bool:
        """Take over a child that our predecessor started and our guard reaps. False when it is gone."""
        try:
            pidfd = os.pidfd_open(pid)
            if parent_of(pid) != os.getppid():
                os.close(pidfd)
                return False
        except OSError:
            return False
        self._keep(Child(pid, pidfd, label, owner, adopted=True))
        return True

    def _keep(self, child: Child) -> None:
        self._running[child.pid] = child
        self._diary.born(child.pid, child.owner, child.label)
        if not child.adopted:
            self._loop.watch(child.pidfd, READ, lambda _: self._reap(child))

    def _reap(self, child: Child) -> None:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            self.ended(pid, status)

    def ended(self, pid: int, status: int) -> None:
        """A child is gone, with this wait status: seen by ourselves, or told by the guard."""
        child = self._running.pop(pid, None)
        if child is None:
            return
        self._loop.forget(child.pidfd)
        os.close(child.pidfd)
        child.pidfd, child.status = -1, status
        self._diary.died(pid)
        if child.owner:
            self._ended.append(child)
        self._audit.record("agent-ended", label=child.label, pid=pid, status=os.waitstatus_to_exitcode(status))

    def wait(self, owner: int) -> tuple[int, int]:
        """One of ``owner``'s ended children as (pid, wait status); (0, 0) while all run, (-1, 0) when it has none."""
        for child in self._ended:
            if child.owner == owner:
                self._ended.remove(child)
                return child.pid, child.status or 0
        running = any(child.owner == owner for child in self._running.values())
        return (0, 0) if running else (-1, 0)

    def terminate(self, owner: int, pid: int, *, force: bool) -> int:
        """Signal one live child of ``owner``'s; 0, or a negative errno and nothing was signalled."""
        if pid <= 1:
            return -errno.EINVAL
        child = self._running.get(pid)
        if child is None or child.owner != owner:
            return -errno.ESRCH
        signalled = send_signal(child.pidfd, signal.SIGKILL if force else signal.SIGTERM)
        return 0 if signalled else -errno.ESRCH

    def orphaned(self, owner: int, grace_s: float) -> None:
        """The daemon that asked for these children is dead: end them, politely first."""
        self._loop.call_later(grace_s, lambda: self._signal_all(owner, signal.SIGTERM))
        self._loop.call_later(2 * grace_s, lambda: self._signal_all(owner, signal.SIGKILL))

    def _signal_all(self, owner: int, number: signal.Signals) -> None:
        for child in [child for child in self._running.values() if child.owner == owner]:
            self._audit.record("agent-orphaned", label=child.label, pid=child.pid, signal=number)
            send_signal(child.pidfd, number)

    def count(self, owner: int | None = None) -> int:
        """How many children run, all or one owner's."""
        return sum(owner is None or child.owner == owner for child in self._running.values())


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)
