"""A daemon beside the helper, under an account of its own: started, restarted, and given no way back to root."""

from __future__ import annotations

import os
import pwd
import signal
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from pypcp.root.audit import AuditLog
from pypcp.root.children import send_signal, spawn
from pypcp.root.confine import no_new_privileges
from pypcp.root.diary import Diary
from pypcp.root.launch import Program, Stage, account_of, environment, execute
from pypcp.root.loop import READ, Loop
from pypcp.root.peers import identity_of

LABEL = "(daemon)"
"""What the guard knows it by; no agent can be called that."""
_FIRST_DELAY_S, _LONGEST_DELAY_S, _STABLE_AFTER_S = 0.5, 30.0, 60.0


class DaemonKeeper:
    """Keeps one daemon running. ``known`` is told its identity: it is the one peer that may start agents."""

    def __init__(
        self,
        loop: Loop,
        audit: AuditLog,
        diary: Diary,
        argv: Sequence[str],
        account: str,
        known: Callable[[int], None],
        stderr: int = 2,
    ) -> None:
        self._loop = loop
        self._audit = audit
        self._diary = diary
        self._argv = tuple(argv)
        self._account = account
        self._stderr = stderr
        self._known = known
        self._pid = self._pidfd = 0
        self._ready = -1
        self._born = 0.0
        self._delay_s = _FIRST_DELAY_S
        self._stopping = False
        self.told: dict[str, str] = {}
        """What it finds in its environment besides."""
        self.ended: Callable[[int], None] = lambda code: None
        """Called when the daemon ended because it wanted to, with its exit status."""

    def start(self) -> None:
        """Start it, as its account; where that cannot be, again later."""
        if self._stopping:
            return None
        self._born = time.monotonic()
        try:
            pid, pidfd = self._spawn()
        except (OSError, KeyError) as fault:
            self._audit.record("daemon-not-started", account=self._account, fault=str(fault))
            return self._start_later()
        self._diary.born(pid, 0, LABEL)
        self._mind(pid, pidfd)
        return self._loop.watch(pidfd, READ, lambda _: self._reap())

    def _spawn(self) -> tuple[int, int]:
        account, seen = account_of(self._account), {**environment(), **self.told, **_home(self._account)}
        ready, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

        def body() -> NoReturn:
            null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            no_new_privileges()
            execute(Program(self._argv, self._argv[0], -1), Stage(null, 1, self._stderr, "/", account), told, seen)

        try:
            child = spawn(body)
        except OSError:
            os.close(ready)
            raise
        finally:
            os.close(told)
        self._ready = ready
        return child

    def adopt(self, pid: int) -> None:
        """Go on with the daemon that our predecessor started; the guard reaps it and :meth:`gone` is called."""
        self._born = time.monotonic()
        self._mind(pid, os.pidfd_open(pid))

    def _mind(self, pid: int, pidfd: int) -> None:
        self._pid, self._pidfd = pid, pidfd
        self._known(identity_of(pid, pidfd))
        self._audit.record("daemon-started", pid=pid, account=self._account)

    def _reap(self) -> None:
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            self._diary.died(pid)
            self.gone(pid, status)

    def gone(self, pid: int, status: int) -> bool:
        """The daemon ended: start it again, later and later, unless it wanted to end. False if it was another."""
        if pid != self._pid:
            return False
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._pid = self._pidfd = 0
        code = os.waitstatus_to_exitcode(status)
        self._audit.record("daemon-ended", pid=pid, status=code, fault=self._fault())
        if self._stopping or 0 <= code < 70:
            self.ended(max(code, 0))
            return True
        self._start_later()
        return True

    def _start_later(self) -> None:
        stable = time.monotonic() - self._born > _STABLE_AFTER_S
        self._delay_s = _FIRST_DELAY_S if stable else min(2 * self._delay_s, _LONGEST_DELAY_S)
        self._loop.call_later(self._delay_s, self.start)

    def _fault(self) -> str:
        """Why its program could not be executed, empty if it could."""
        if self._ready < 0:
            return ""
        failure = os.read(self._ready, 1)
        os.close(self._ready)
        self._ready = -1
        return os.strerror(failure[0]) if failure else ""

    def stop(self) -> None:
        """Ask it to end; it is not started again, and :attr:`ended` is called, at once where it does not run."""
        self._stopping = True
        if not self._pidfd:
            self.ended(0)
        else:
            send_signal(self._pidfd, signal.SIGTERM)


def _home(account: str) -> dict[str, str]:
    """What a daemon wants to know about the account it runs as."""
    entry = pwd.getpwnam(account)
    return {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
