"""A context for asyncio: each call is something to await."""

from __future__ import annotations

import asyncio
import ssl
from typing import Self, TypeVar

from pypcp.ipc.asynchronous import AsyncStream
from pypcp.pmapi.calls import AsyncDriver, Calls
from pypcp.pmapi.connection import Line, Patience
from pypcp.pmapi.link import Move, Moves
from pypcp.pmapi.operations.steps import Operation, Receive, StartTls

_T = TypeVar("_T")


class Context(Calls, AsyncDriver):
    """A conversation with the pmcd of one host, the asyncio twin of ``BlockingContext``. See: pmNewContext(3).

    It connects with the first call, or in ``async with``. Tasks may share it: their calls are made one after the other.
    A cancelled call does no harm: its reply is read and dropped before the next one.
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
        self._stream: AsyncStream | None = None
        self._turn = asyncio.Lock()
        self.state = self._line.state

    async def reconnect(self) -> None:
        """Connect anew; profile and metadata stay. Too early after a failed attempt: ``OsError(-ETIMEDOUT)``.

        See: pmReconnectContext(3).
        """
        async with self._turn:
            await self._reconnect()

    async def _reconnect(self) -> None:
        await self.close()
        with self._line.attempt(asyncio.get_running_loop().time):
            await self._connect()

    async def _connect(self) -> None:
        self._stream = await AsyncStream.connect(self._line.endpoints(), self._line.patience.connect_s)
        try:
            await self._drive(self._line.open(self._stream.where))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the connection; the next call makes a new one. See: pmDestroyContext(3)."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def __aenter__(self) -> Self:
        await self.reconnect()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def run(self, operation: Operation[_T]) -> _T:
        """Perform an operation; what it returns."""
        async with self._turn:
            if self._stream is None:
                await self._reconnect()
            return await self._drive(self._line.link.perform(self.state, operation))

    async def _drive(self, moves: Moves[_T]) -> _T:
        try:
            frame = None
            while True:
                frame = await self._do(moves.send(frame))
        except StopIteration as stop:
            value: _T = stop.value
            return value
        except BaseException as error:
            if self._line.link.broken_by(error):
                await self.close()
            raise

    async def _do(self, move: Move) -> bytes | None:
        assert self._stream is not None
        limit_s = self._line.patience.request_s
        if isinstance(move, Receive):
            return await self._stream.receive(limit_s)
        if isinstance(move, StartTls):
            await self._stream.start_tls(self._line.tls(), server_hostname=self._line.spec.host, timeout_s=limit_s)
        else:
            await self._stream.send(move, limit_s)
        return None
