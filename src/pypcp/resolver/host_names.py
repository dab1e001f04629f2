"""Ask the name-space reader for host names, without waiting for the answers."""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

Done = Callable[[int, bytes], None]
_STATUS = struct.Struct("=i")
_MAX_ANSWER = _STATUS.size + 64
_READ = 1


class Loop(Protocol):
    """What is needed of the event loop that runs all this."""

    def watch(self, fd: int, events: int, ready: Callable[[int], None]) -> None:
        """Call back when ready."""

    def forget(self, fd: int) -> None:
        """No more."""


class HostNames:
    """Answers come in the order of the questions; should the reader die, the open ones get "try again"."""

    def __init__(self, loop: Loop, channel: socket.socket) -> None:
        self._loop = loop
        self._open: deque[Done] = deque()
        self._channel: socket.socket | None = None
        self.connect(channel)

    def connect(self, channel: socket.socket) -> None:
        """From now on ask this (new) reader."""
        self._disconnect()
        channel.setblocking(False)
        self._channel = channel
        self._loop.watch(channel.fileno(), _READ, lambda _: self._receive())

    def ask(self, pidfd: int, done: Done) -> None:
        """``done(status, name)``: 0 and the host name that the process sees, or a negative errno."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _STATUS.pack(pidfd))]
        try:
            if self._channel is None:
                raise ConnectionError
            self._channel.sendmsg([b"h"], rights)
        except OSError:
            return done(-errno.EAGAIN, b"")
        self._open.append(done)
        return None

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
