"""A context whose calls wait for their answer."""

from __future__ import annotations

import ssl
import time
from typing import TypeVar

from pypcp.ipc.blocking import BlockingStream
from pypcp.pmapi.calls import BlockingCalls
from pypcp.pmapi.connection import Line, Patience
from pypcp.pmapi.link import Move, Moves
from pypcp.pmapi.operations.steps import Operation, Receive, StartTls

_T = TypeVar("_T")


class BlockingContext(BlockingCalls):
    """A conversation with the pmcd of one host. See: pmNewContext(3).

    ``host`` is a host specification (``local:``, ``unix:``, ``HOST:PORT``, ``pcps://HOST?container=NAME``); ``tls``
    says whom to trust, by default ``tls.conf`` and the system do. Each call raises a ``PcpError``: ``RequestTimeout``
    when pmcd does not answer in time, a ``ChannelError`` when the connection is lost; the next call connects again.
    For one thread at a time.
    """

    def __init__(
        self,
        host: str = "local:",
        *,
        container: str = "",
        patience: Patience | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host = host
        self._line = Line(host, container, patience, tls)
        self._stream: BlockingStream | None = None
        self.state = self._line.state
        self.reconnect()

    def reconnect(self) -> None:
        """Connect anew; profile and metadata stay. Too early after a failed attempt: ``OsError(-ETIMEDOUT)``.

        See: pmReconnectContext(3).
        """
        self.close()
        with self._line.attempt(time.monotonic):
            self._connect()

    def _connect(self) -> None:
        self._stream = BlockingStream.connect(self._line.endpoints(), self._line.patience.connect_s)
        try:
            self._drive(self._line.open(self._stream.where))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; the next call makes a new one. See: pmDestroyContext(3)."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def run(self, operation: Operation[_T]) -> _T:
        """Perform an operation; what it returns."""
        if self._stream is None:
            self.reconnect()
        return self._drive(self._line.link.perform(self.state, operation))

    def _drive(self, moves: Moves[_T]) -> _T:
        try:
            frame = None
            while True:
                frame = self._do(moves.send(frame))
        except StopIteration as stop:
            value: _T = stop.value
            return value
        except BaseException as error:
            if self._line.link.broken_by(error):
                self.close()
            raise

    def _do(self, move: Move) -> bytes | None:
        assert self._stream is not None
        limit_s = self._line.patience.request_s
        if isinstance(move, Receive):
            return self._stream.receive(limit_s)
        if isinstance(move, StartTls):
            self._stream.start_tls(self._line.tls(), self._line.spec.host, limit_s)
        else:
            self._stream.send(move, limit_s)
        return None
