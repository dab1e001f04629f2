"""Serve the clients that the starter handed over.

A request stays in the socket until its reply is on the way: should this process die in between, its successor finds the
request still there and answers it. (The starter keeps the connection open meanwhile.) Should it die in the moment
between reply and request, a second reply would be taken for the next one's: such a connection is ended instead.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from pypcp.errors import RemoteProtocolError
from pypcp.resolver.lookups import LookUps
from pypcp.wire.root import MAX_MESSAGE, LookupReply, encode, frame_size

MESSAGE_LIMIT_S: Final = 5.0
WRITE_LIMIT_S: Final = 10.0
_READ, _WRITE, _EDGE = 1, 4, 1 << 31
_REQUESTS_A_ROUND = 32


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Not any more."""


class Loop(Protocol):
    """What is needed of the event loop."""

    def watch(self, fd: int, events: int, ready: Callable[[int], None]) -> None:
        """Call back when ready."""

    def forget(self, fd: int) -> None:
        """No more."""

    def call_later(self, delay_s: float, action: Callable[[], None]) -> Any:
        """Call back once, later."""


class Client:
    """One connection: one request at a time, in order; unread ones wait in the kernel, so nobody can make us grow."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        uid: int,
        look_ups: LookUps,
        note: Callable[..., None],
        doubt: Callable[[bool], None] = lambda doubt: None,
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._uid = uid
        self._look_ups = look_ups
        self._note = note
        self._doubt = doubt
        self._busy = self._serving = False
        self._unsent = b""
        self._in_hand = 0
        self._late: Timer | None = None
        loop.watch(connection.fileno(), _READ | _EDGE, self._serve)

    def _serve(self, _: int = 0) -> None:
        self._serving = True
        self._serve_round()
        self._serving = False

    def _serve_round(self) -> None:
        for _ in range(_REQUESTS_A_ROUND):
            data = b"" if self._busy else self._peek()
            if not data:
                return
            try:
                size = frame_size(data)
                if not 0 < size <= len(data):
                    self._expect_rest()
                    return
                self._stop_timer()
                self._busy, self._in_hand = True, size
                self._look_ups.answer(data[:size], self._uid, self._reply)
            except RemoteProtocolError as fault:
                self._drop(fault.detail)
                return
            if len(data) == size:
                return
        self._loop.call_later(0, self._serve)  # a client with many requests at once takes turns with the others

    def _peek(self) -> bytes:
        """What has come in, left where it is; nothing to do when it is empty, and the end is dealt with."""
        try:
            data = self._connection.recv(MAX_MESSAGE, socket.MSG_PEEK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._close()
        return data

    def _reply(self, reply: LookupReply) -> None:
        self._unsent = encode(reply)
        self._write()
        if not self._serving:  # the answer took its time, and the next request may have come meanwhile
            self._serve()

    def _write(self) -> None:
        self._doubt(True)
        try:
            sent = self._connection.send(self._unsent)
        except BlockingIOError:
            self._doubt(False)
            self._loop.watch(self._connection.fileno(), _WRITE, self._resume)
            self._start_timer(WRITE_LIMIT_S, "does not read its replies")
        except OSError:
            self._close()
        else:
            self._written(sent)

    def _written(self, sent: int) -> None:
        """The reply is on its way: now the request may go."""
        if sent != len(self._unsent):
            return self._drop("took half a reply")
        with contextlib.suppress(OSError):
            self._connection.recv(self._in_hand)
        self._doubt(False)
        self._busy, self._unsent = False, b""
        return None

    def _resume(self, _: int) -> None:
        self._stop_timer()
        self._loop.watch(self._connection.fileno(), _READ | _EDGE, self._serve)
        self._write()
        self._serve()

    def _expect_rest(self) -> None:
        if self._late is None:
            self._start_timer(MESSAGE_LIMIT_S, "half a message and no more")

    def _start_timer(self, limit_s: float, reason: str) -> None:
        self._stop_timer()
        self._late = self._loop.call_later(limit_s, lambda: self._drop(reason))

    def _stop_timer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _drop(self, reason: str) -> None:
        self._note("client-dropped", uid=self._uid, reason=reason)
        self._close()

    def _close(self) -> None:
        """For both of us: the starter's descriptor of this connection learns of it by the shutdown."""
        self._stop_timer()
        self._busy = True
        self._loop.forget(self._connection.fileno())
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._doubt(False)
        self._connection.close()
