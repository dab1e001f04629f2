"""The conversation with the daemon on its pipe: carried whole, request by request, between the daemon and a resolver.

The guard leads it, because it is what outlives the others. A resolver that dies over a request has its successor asked
again; one answer is taken for each request, and it goes to the daemon once. Of what is carried only lengths are looked
at. The pipe is open in this process and no other: with us it ends, and the daemon knows.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from typing import Final

MAX_REQUEST: Final = 1 << 20
MAX_ANSWER: Final = 4 << 20
HEAD: Final = struct.Struct("=II")
"""Before a request and before its answer: how long it is, and a number that both have. The request of no bytes comes
first of all and asks for what an agent says unasked; the answer of no bytes stands for none."""
_LEAST_PDU, _LENGTH_BYTES = 12, 4
_READ_BYTES = 65536
_BROKEN: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Ended(Exception):
    """The daemon closed the pipe, or said what no daemon says."""


class Conversation:
    """``requests`` and ``replies`` are ours from now on. Nothing here waits; :meth:`interests` says what for."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests, self._replies = requests, replies
        for fd in (requests, replies):
            os.set_blocking(fd, False)
        self._read = bytearray()
        self._serial = 0
        self._request: bytes | None = b""
        self._unwritten = memoryview(b"")
        self._voice: socket.socket | None = None
        self._unasked = b""
        self._answer = bytearray()

    def close(self) -> None:
        """End it, for the daemon and for the resolver."""
        os.close(self._requests)
        os.close(self._replies)
        self._hang_up()

    def connect(self, voice: socket.socket) -> None:
        """From now on the resolver at the other end answers; what is not answered yet it is asked."""
        self._hang_up()
        voice.setblocking(False)
        self._voice = voice
        self._unasked = b"" if self._request is None else self._framed(self._request)

    def _framed(self, request: bytes) -> bytes:
        return HEAD.pack(len(request), self._serial) + request

    def interests(self) -> dict[int, int]:
        """What to poll for, by descriptor."""
        reading = self._request is None and not self._unwritten
        wanted = {
            self._requests: select.POLLIN if reading else 0,
            self._replies: select.POLLOUT if self._unwritten else 0,
        }
        if self._voice is not None:
            wanted[self._voice.fileno()] = select.POLLIN | (select.POLLOUT if self._unasked else 0)
        return wanted

    def ready(self, fd: int, events: int) -> None:
        """Go on where something can be done. :class:`Ended` when that was it."""
        if self._voice is not None and fd == self._voice.fileno():
            self._hear_voice(events)
        elif events & select.POLLIN:
            self._receive()
        elif events & _BROKEN:
            raise Ended
        elif events & select.POLLOUT:
            self._write()

    # The daemon.

    def _receive(self) -> None:
        try:
            data = os.read(self._requests, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise Ended
        self._read += data
        self._take_request()

    def _take_request(self) -> None:
        """Ask the next one, if it is there as a whole."""
        if len(self._read) < _LENGTH_BYTES:
            return
        size = int.from_bytes(self._read[:_LENGTH_BYTES], "big")
        if not _LEAST_PDU <= size <= MAX_REQUEST:
            raise Ended
        if len(self._read) < size:
            return
        self._request = bytes(self._read[:size])
        del self._read[:size]
        self._serial = (self._serial + 1) % 2**32
        self._unasked = self._framed(self._request) if self._voice is not None else b""
        self._ask()

    def _write(self) -> None:
        try:
            self._unwritten = self._unwritten[os.write(self._replies, self._unwritten) :]
        except BlockingIOError:
            return
        except OSError:
            raise Ended from None
        if not self._unwritten:
            self._take_request()

    # The resolver.

    def _hear_voice(self, events: int) -> None:
        if events & select.POLLOUT:
            self._ask()
        if events & (select.POLLIN | _BROKEN):
            self._listen()

    def _ask(self) -> None:
        if self._voice is None or not self._unasked:
            return
        try:
            self._unasked = self._unasked[self._voice.send(self._unasked) :]
        except BlockingIOError:
            return
        except OSError:
            self._hang_up()

    def _listen(self) -> None:
        assert self._voice is not None
        try:
            data = self._voice.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._answer += data
        if not data or not self._take_answers():
            self._hang_up()

    def _take_answers(self) -> bool:
        """Take each whole answer, the one that is due and those that come too late; False for what cannot be one."""
        while len(self._answer) >= HEAD.size:
            size, serial = HEAD.unpack_from(self._answer)
            if size > MAX_ANSWER:
                return False
            if len(self._answer) < HEAD.size + size:
                return True
            answer = bytes(self._answer[HEAD.size : HEAD.size + size])
            del self._answer[: HEAD.size + size]
            if self._request is not None and serial == self._serial:
                self._request = None
                self._unwritten = memoryview(answer)
                self._write() if answer else self._take_request()
        return True

    def _hang_up(self) -> None:
        """The resolver is gone, or does not work: its successor is asked."""
        if self._voice is not None:
            self._voice.close()
            self._voice = None
        self._answer.clear()
