"""The guard: waits beside the starter, and brings it back should it be killed, with its children still known.

Orphans of the starter become the guard's children (it is their subreaper), so that agents live on; it reaps them and
tells the new starter, which inherits the list of them by fork. It reads nothing that comes from outside the helper.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from pypcp.root.children import CRASHED
from pypcp.root.confine import adopt_orphans, not_dumpable

_BORN, _DIED, _GONE = 1, 2, 3
_NOTE: Final = struct.Struct("=iiiQQ64s")
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.1, 30.0


class Note(NamedTuple):
    """One fact about a child, between starter and guard."""

    kind: int
    pid: int
    status: int = 0
    owner: int = 0
    label: str = ""

    def packed(self) -> bytes:
        """The note as a packet."""
        return _NOTE.pack(
            self.kind, self.pid, self.status, self.owner >> 64, self.owner % 2**64, self.label.encode()[:64]
        )

    @classmethod
    def unpacked(cls, raw: bytes) -> Note:
        """The note of a packet."""
        kind, pid, status, high, low, label = _NOTE.unpack(raw)
        return cls(kind, pid, status, high << 64 | low, label.rstrip(b"\0").decode("utf-8", "replace"))


class Diary:
    """The starter's side: writes down its children for the guard, and hears of those that the guard reaped."""

    def __init__(self, channel: socket.socket, children: dict[int, Note]) -> None:
        self.channel = channel
        self.children = children
        """The children that a predecessor left."""

    def born(self, pid: int, owner: int, label: str) -> None:
        """A child runs."""
        self._tell(Note(_BORN, pid, 0, owner, label))

    def died(self, pid: int) -> None:
        """A child was reaped."""
        self._tell(Note(_DIED, pid))

    def _tell(self, note: Note) -> None:
        with contextlib.suppress(OSError):  # the guard is dead, or does not read: we go on without it
            self.channel.send(note.packed())

    def gone(self) -> tuple[int, int] | None:
        """(pid, wait status) of a child that the guard reaped; None when the guard itself is gone. To be called when
        ``channel`` is readable."""
        try:
            raw = self.channel.recv(_NOTE.size)
        except OSError:
            return None
        note = Note.unpacked(raw) if raw else None
        return (note.pid, note.status) if note else None


class Guard:
    """``starter`` is the body of the guarded process; it gets a :class:`Diary` and returns its exit status."""

    def __init__(self, starter: Callable[[Diary], int]) -> None:
        self._body = starter
        self._children: dict[int, Note] = {}
        self._channel: socket.socket
        self._pid = 0
        self._ending = False

    def run(self) -> int:
        """Until the starter ends of its own will, or we are asked to end; its exit status."""
        adopt_orphans()
        not_dumpable()
        wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, self._pass_on)
        delay_s = _FIRST_DELAY_S
        while True:
            born = time.monotonic()
            self._fork()
            status = self._watch(wake)
            code = os.waitstatus_to_exitcode(status)
            if self._ending or code not in (CRASHED, *(-number for number in signal.valid_signals())):
                return max(code, 0)
            delay_s = _FIRST_DELAY_S if time.monotonic() - born > 10 else min(2 * delay_s, _LONGEST_DELAY_S)
            self._pause(wake, delay_s)
            if self._ending:  # asked to while nobody was there to be told
                return 0

    def _pause(self, wake: int, delay_s: float) -> None:
        """Until the next attempt is due, or we are asked to end."""
        end = time.monotonic() + delay_s
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        while not self._ending and (rest_s := end - time.monotonic()) > 0:
            if poll.poll(rest_s * 1000):
                os.read(wake, 4096)

    def _pass_on(self, number: int, _frame: object) -> None:
        self._ending = self._ending or number in (signal.SIGTERM, signal.SIGINT)
        if self._pid:
            os.kill(self._pid, number)  # not reaped yet, so the number is still its own

    def _fork(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        pid = os.fork()
        if pid == 0:
            ours.close()
            signal.set_wakeup_fd(-1)
            code = CRASHED
            try:
                code = self._body(Diary(theirs, dict(self._children)))
            except BaseException:
                sys.excepthook(*sys.exc_info())
                raise
            finally:
                os._exit(code)
        theirs.close()
        self._channel, self._pid = ours, pid

    def _watch(self, wake: int) -> int:
        """Keep the list of children until the starter ends; its wait status."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(self._channel, select.POLLIN)
        while (status := self._reap()) is None:  # whoever ended before this waits to be reaped, and wakes nobody
            for fd, _ in poll.poll():
                if fd == wake:
                    os.read(wake, 4096)
                elif not self._listen():
                    poll.unregister(self._channel)
        self._listen()
        self._channel.close()
        return status

    def _listen(self) -> bool:
        """Take what the starter says; False at its end."""
        while True:
            try:
                raw = self._channel.recv(_NOTE.size)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not raw:
                return False
            note = Note.unpacked(raw)
            if note.kind == _BORN:
                self._children[note.pid] = note
            else:
                self._children.pop(note.pid, None)

    def _reap(self) -> int | None:
        """Reap whoever ended: the starter's status, if it was the starter; others are told to it."""
        found = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if not pid:
                return found
            if pid == self._pid:
                found, self._pid = status, 0
            elif self._children.pop(pid, None):
                with contextlib.suppress(OSError):  # the starter died as well: its successor has no use for this child
                    self._channel.send(Note(_GONE, pid, status).packed())
