"""A client that sends whatever bytes it is told to, and waits for no answer unless told to.

The client library would not let it do most of this.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pypcp.model.profile import EVERYTHING
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.framing import FrameReader
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Pdu, decode, encode
from waiting import LIMIT_S

GREETING = encode(Creds()) + encode(ProfilePdu(0, EVERYTHING))
"""What an honest client says before its first fetch."""


class RawClient:
    """A connection to the daemon at ``where``: the path of a UNIX socket, or a TCP port of this host.

    Whoever waits longer than ``limit_s`` for anything has a ``TimeoutError``.
    """

    def __init__(self, where: Path | int, limit_s: float = LIMIT_S) -> None:
        self.where = where
        self.limit_s = limit_s
        self.socket = socket.socket(socket.AF_INET if isinstance(where, int) else socket.AF_UNIX)
        self.socket.setblocking(False)
        self._frames = FrameReader()
        self._waiting: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        where = ("127.0.0.1", self.where) if isinstance(self.where, int) else str(self.where)
        async with asyncio.timeout(self.limit_s):
            await self._loop.sock_connect(self.socket, where)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.socket.close()

    async def send(self, *pdus: Pdu | bytes) -> None:
        """Send PDUs or bytes, all in one segment. What the daemon no longer takes is lost: who reads on learns why."""
        data = b"".join([each if isinstance(each, bytes) else encode(each) for each in pdus])
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            async with asyncio.timeout(self.limit_s):
                await self._loop.sock_sendall(self.socket, data)

    async def receive(self) -> bytes:
        """The next whole PDU; empty when the daemon has closed the connection, one way or another."""
        async with asyncio.timeout(self.limit_s):
            while not self._waiting:
                try:
                    data = await self._loop.sock_recv(self.socket, 1 << 20)
                except (ConnectionResetError, BrokenPipeError):
                    data = b""
                if not data:
                    return b""
                self._waiting += self._frames.feed(data)
        return self._waiting.pop(0)

    async def take(self, size: int) -> None:
        """Read so many bytes and forget them."""
        async with asyncio.timeout(self.limit_s):
            while size > 0:
                data = await self._loop.sock_recv(self.socket, min(size, 1 << 18))
                assert data, "the daemon has closed the connection"
                size -= len(data)

    async def answer(self, *pdus: Pdu | bytes) -> Pdu | None:
        """Send, and take the next PDU; None when the daemon has closed the connection."""
        await self.send(*pdus)
        frame = await self.receive()
        return decode(frame) if frame else None

    async def code(self, *pdus: Pdu | bytes) -> int | None:
        """Send, and take the code of the ERROR that answers; None when the daemon has closed the connection."""
        reply = await self.answer(*pdus)
        assert reply is None or isinstance(reply, Error), reply
        return None if reply is None else reply.code

    async def greeted(self) -> Self:
        """Take the challenge and be let in as an honest client would."""
        await self.receive()
        await self.send(GREETING)
        return self

    async def closed(self) -> bool:
        """Read on until the daemon closes the connection; true, or it is a timeout."""
        while await self.receive():
            pass
        return True

    async def send_until_stuck(self, request: bytes, stop: Callable[[], bool]) -> int:
        """Send a request over and over, reading nothing, until ``stop()`` or the end; how often it was sent."""
        sent = 0
        while not stop():
            try:
                async with asyncio.timeout(0.02):
                    await self._loop.sock_sendall(self.socket, request)
            except TimeoutError:
                continue  # part of it may have gone out: from here on the stream is garbage, which is all the same
            except OSError:
                break
            sent += 1
        return sent


def fetch(*pmids: int, context: int = 0, highres: bool = True) -> bytes:
    """A fetch as it goes over the wire."""
    return encode(Fetch(context, pmids, highres))
