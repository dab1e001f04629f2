"""Ask the name-space reader for host names, without waiting for the answers.

A reader that died has a successor at once. What is asked in between waits for that a moment, since stock's daemon takes
a failure for a reason to show the host's own name.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

Done = Callable[[int, bytes], None]
_STATUS = struct.Struct("=i")
_MAX_ANSWER = _STATUS.size + 64
_READ = 1
PATIENCE_S = 3.0
"""How long a question waits for a reader."""
MAX_WAITING = 256


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Not any more."""


class Loop(Protocol):
    """What is needed of the event loop that runs all this."""

    def watch(self, fd: int, events: int, ready: Callable[[int], None]) -> None:
        """Call back when ready."""

    def forget(self, fd: int) -> None:
        """No more."""

    def call_later(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Call back once, later."""


class HostNames:
    """Answers come in the order of the questions; should the reader die, those that it had get "try again"."""

    def __init__(self, loop: Loop, channel: socket.socket) -> None:
        self._loop = loop
        self._open: deque[Done] = deque()
        self._waiting: deque[tuple[int, Done]] = deque()
        """Questions, each with a descriptor of its own, while there is no reader."""
        self._late: Timer | None = None
        self._channel: socket.socket | None = None
        self.connect(channel)

    def connect(self, channel: socket.socket) -> None:
        """From now on ask this (new) reader."""
        self._disconnect()
        channel.setblocking(False)
        self._channel = channel
        self._loop.watch(channel.fileno(), _READ, lambda _: self._receive())
        self._end_waiting(self.ask)

    def ask(self, pidfd: int, done: Done) -> None:
        """``done(status, name)``: 0 and the host name that the process sees, or a negative errno."""
        if self._channel is None:
            return self._wait(pidfd, done)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _STATUS.pack(pidfd))]
        try:
            self._channel.sendmsg([b"h"], rights)
        except ConnectionError:
            self._disconnect()
            return self._wait(pidfd, done)
        except OSError:
            return done(-errno.EAGAIN, b"")
        self._open.append(done)
        return None

    def _wait(self, pidfd: int, done: Done) -> None:
        try:
            held = os.dup(pidfd) if len(self._waiting) < MAX_WAITING else -1
        except OSError:
            held = -1
        if held < 0:
            return done(-errno.EAGAIN, b"")
        self._waiting.append((held, done))
        if self._late is None:
            self._late = self._loop.call_later(PATIENCE_S, self._give_up)
        return None

    def _give_up(self) -> None:
        self._end_waiting(lambda _, done: done(-errno.EAGAIN, b""))

    def _end_waiting(self, settle: Callable[[int, Done], None]) -> None:
        waiting, self._waiting = self._waiting, deque()
        if self._late is not None:
            self._late.cancel()
            self._late = None
        for pidfd, done in waiting:
            settle(pidfd, done)
            os.close(pidfd)

    def _receive(self) -> None:
        while self._channel is not None:
            try:
                raw = self._channel.recv(_MAX_ANSWER + 1)
            except BlockingIOError:
                return
            except OSError:
                raw = b""
            if not self._open or not _STATUS.size <= len(raw) <= _MAX_ANSWER:
                self._disconnect()  # its end, or an answer to nothing
                return
            done = self._open.popleft()
            status, name = _STATUS.unpack_from(raw)[0], raw[_STATUS.size :]
            if status == 0 and not printable(name):
                status, name = -errno.EINVAL, b""
            done(status, name)

    def _disconnect(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None
        while self._open:
            self._open.popleft()(-errno.EAGAIN, b"")


def printable(name: bytes) -> bool:
    """Whether a host name can be shown to people: not empty, printable ASCII, no quotes that end somebody's string."""
    return bool(name) and all(0x20 < byte < 0x7F and byte not in b"\"'\\`" for byte in name)
