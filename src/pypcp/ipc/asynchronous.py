"""PDUs over a connection, for asyncio (and uvloop): bytes arrive in a protocol callback, no stream reader between."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Self, cast

from pypcp.errors import (
    ChannelClosed,
    ChannelError,
    OsError,
    PcpError,
    ProtocolError,
    RemoteProtocolError,
    RequestTimeout,
    TooBig,
)
from pypcp.ipc import proxy
from pypcp.ipc.address import Endpoint, TcpEndpoint
from pypcp.ipc.failures import connect_failure, stream_failure
from pypcp.wire.framing import ANY_SIZE_LIMIT, HEADER_SIZE, FrameReader

MAX_FRAMES: Final = 64
MAX_BYTES: Final = 1 << 20
"""Reading pauses while more than this many received PDUs, or bytes of them, wait to be taken."""

_CLOSE_LIMIT_S: Final = 1.0


class AsyncStream(asyncio.Protocol):
    """Whole PDUs in both directions over one connection; the asyncio twin of ``BlockingStream``.

    Times are in seconds, None waits for ever. Errors: ``RequestTimeout``, ``ChannelClosed``, ``OsError``,
    ``RemoteProtocolError`` and ``TooBig`` for bytes that are no PDU. After a timeout in :meth:`receive`, or when it is
    cancelled, the stream is still in step: the PDU can be received later. After any other error it is of no more use.

    A server makes one for each connection: ``loop.create_server(AsyncStream, ...)``.
    """

    def __init__(self, where: object = "the peer", limit: int = ANY_SIZE_LIMIT) -> None:
        """``where`` is the endpoint, or names the peer; ``limit`` bounds one PDU (bytes)."""
        self.where = where
        self._reader = FrameReader(limit)
        self._frames: deque[bytes] = deque()
        self._held_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._failure: PcpError | None = None
        self._received = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._paused = False

    @classmethod
    async def connect(cls, endpoints: Iterable[Endpoint], timeout_s: float | None, limit: int = ANY_SIZE_LIMIT) -> Self:
        """Connect to the first of the endpoints that can be connected to, each within ``timeout_s``.

        The error is that of the last one; see :meth:`pypcp.ipc.address.HostSpec.endpoints`.
        """
        failure: PcpError = OsError(-errno.ENOENT, "no address to connect to")
        for endpoint in endpoints:
            try:
                async with asyncio.timeout(timeout_s):
                    sock = await _connected(endpoint)
            except (OSError, UnicodeError) as error:
                failure = connect_failure(error, endpoint)
            except (OsError, ChannelError) as error:
                failure = error
            else:
                return await cls.over(sock, endpoint, limit)
        raise failure

    @classmethod
    async def over(cls, sock: socket.socket, where: object = "the peer", limit: int = ANY_SIZE_LIMIT) -> Self:
        """Take over a connected stream socket."""
        stream = cls(where, limit)
        sock.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: stream, sock=sock)
        return stream

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Cut the bytes into PDUs; stop reading where too many wait."""
        try:
            frames = self._reader.feed(data)
        except (RemoteProtocolError, TooBig) as error:
            transport = self._open_transport()
            self._fail(error)
            transport.abort()
            return
        self._frames += frames
        self._held_bytes += sum(map(len, frames))
        if not self._paused and (len(self._frames) > MAX_FRAMES or self._held_bytes > MAX_BYTES):
            self._paused = True
            self._open_transport().pause_reading()
        self._received.set()

    def pause_writing(self) -> None:
        """The peer takes less than we send."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whatever way."""
        if isinstance(exc, OSError):
            self._fail(stream_failure(exc, self.where))
        elif self._reader.pending:
            self._fail(RemoteProtocolError(f"{self.where} ended the connection within a PDU"))
        self._fail(ChannelClosed(str(self.where)))
        self._writable.set()
        self._lost.set()

    def _fail(self, failure: PcpError) -> None:
        # The first failure is the cause of those after it.
        self._failure = self._failure or failure
        self._received.set()

    # What the owner calls.

    async def send(self, frame: bytes, timeout_s: float | None = None) -> None:
        """Send a PDU; while the peer takes less than we send, wait at most ``timeout_s`` for it.

        After ``RequestTimeout`` the PDU is still queued: close the stream.
        """
        self._open_transport().write(frame)
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._writable.wait()
        except TimeoutError as error:
            raise RequestTimeout(f"{self.where} does not take what is sent") from error
        self._open_transport()

    async def receive(self, timeout_s: float | None = None) -> bytes:
        """The next PDU, header included: at most ``timeout_s`` for its header and as much again for the rest.

        ``ChannelClosed`` when the peer has ended the connection, ``RemoteProtocolError`` when it did so within a PDU.
        One caller at a time.
        """
        if not self._frames:
            try:
                await self._wait_for_frame(timeout_s)
            except TimeoutError as error:
                raise RequestTimeout(str(self.where)) from error
        frame = self._frames.popleft()
        self._held_bytes -= len(frame)
        if self._paused and len(self._frames) <= MAX_FRAMES // 2 and self._held_bytes <= MAX_BYTES // 2:
            self._paused = False
            if self._failure is None:
                self._open_transport().resume_reading()
        return frame

    async def _wait_for_frame(self, timeout_s: float | None) -> None:
        in_body = self._reader.pending >= HEADER_SIZE
        async with asyncio.timeout(timeout_s) as limit:
            while not self._frames:
                if self._failure is not None:
                    raise self._failure.with_traceback(None)
                self._received.clear()
                await self._received.wait()
                if timeout_s is not None and not in_body and self._reader.pending >= HEADER_SIZE:
                    in_body = True
                    limit.reschedule(asyncio.get_running_loop().time() + timeout_s)

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        server_side: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Go on under TLS. ``TlsError`` when the handshake or the certificate is no good.

        ``ProtocolError`` when bytes in clear are waiting: they must not be taken for what comes under TLS. A server
        calls this without waiting for anything after the PDU that tells the client to begin.
        """
        transport = self._open_transport()
        if self._frames or self._reader.pending:
            raise ProtocolError(f"{self.where} sent bytes in clear after TLS was agreed on")
        try:
            async with asyncio.timeout(timeout_s):
                secured = await asyncio.get_running_loop().start_tls(
                    transport, self, context, server_side=server_side, server_hostname=server_hostname
                )
        except BaseException as error:
            failure = (
                stream_failure(error, self.where) if isinstance(error, OSError) else ChannelClosed(str(self.where))
            )
            # During the handshake the loop tells the end of the connection to its own TLS layer only.
            self._fail(failure)
            self._lost.set()
            transport.abort()
            if isinstance(error, OSError):
                raise failure from error
            raise
        self._transport = cast(asyncio.Transport, secured)

    async def close(self) -> None:
        """Send what is queued, end the connection and wait for its end; a peer that takes nothing is cut off."""
        for end in (self._transport.close, self._transport.abort) if self._transport else ():
            end()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_LIMIT_S):
                    await self._lost.wait()
                    return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def _open_transport(self) -> asyncio.Transport:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._transport is None:
            raise ChannelClosed(str(self.where))
        return self._transport


async def _connected(endpoint: Endpoint) -> socket.socket:
    if not isinstance(endpoint, TcpEndpoint):
        return await _open(socket.AF_UNIX, endpoint.path)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    for number, (family, _, _, _, place) in enumerate(found, 1):
        try:
            sock = await _open(family, place)
            break
        except OSError:
            if number == len(found):
                raise
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if endpoint.beyond is not None:
        await _pass_proxy(sock, endpoint, endpoint.beyond)
    return sock


async def _open(family: int, place: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


async def _pass_proxy(sock: socket.socket, where: TcpEndpoint, beyond: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, proxy.GREETING)
        answer = b""
        while not proxy.is_whole_answer(answer):
            # Byte by byte: what follows the line belongs to pmcd.
            byte = await loop.sock_recv(sock, 1)
            if not byte:
                raise ChannelClosed(str(where))
            answer += byte
        await loop.sock_sendall(sock, proxy.request(answer, *beyond))
    except BaseException:
        sock.close()
        raise
