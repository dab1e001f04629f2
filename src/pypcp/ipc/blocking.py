"""PDUs over a connection, for callers that wait."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable
from typing import Final, Self

from pypcp.errors import ChannelClosed, ChannelError, OsError, PcpError, ProtocolError, RemoteProtocolError
from pypcp.ipc import proxy
from pypcp.ipc.address import Endpoint, TcpEndpoint
from pypcp.ipc.failures import connect_failure, stream_failure
from pypcp.wire.framing import ANY_SIZE_LIMIT, HEADER_SIZE, FrameReader

_CHUNK_BYTES: Final = 1 << 16


class BlockingStream:
    """Whole PDUs in both directions over one connected socket, each step under a deadline.

    Times are in seconds, None waits for ever. Errors: ``RequestTimeout``, ``ChannelClosed``, ``OsError``,
    ``RemoteProtocolError`` and ``TooBig`` for bytes that are no PDU. After a timeout in :meth:`receive` the stream is
    still in step: the PDU can be received later. After any other error it is of no more use.
    """

    def __init__(self, sock: socket.socket, where: object = "the peer", limit: int = ANY_SIZE_LIMIT) -> None:
        """Take over a connected stream socket.

        ``where`` is the endpoint at its other end, or names the peer in errors; ``limit`` bounds one PDU (bytes).
        """
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self.where = where
        self._reader = FrameReader(limit)
        self._frames: deque[bytes] = deque()

    @classmethod
    def connect(cls, endpoints: Iterable[Endpoint], timeout_s: float | None, limit: int = ANY_SIZE_LIMIT) -> Self:
        """Connect to the first of the endpoints that can be connected to, each within ``timeout_s``.

        The error is that of the last one; see :meth:`pypcp.ipc.address.HostSpec.endpoints`.
        """
        failure: PcpError = OsError(-errno.ENOENT, "no address to connect to")
        for endpoint in endpoints:
            try:
                return cls(_connected(endpoint, timeout_s), endpoint, limit)
            except (OsError, ChannelError) as error:
                failure = error
        raise failure

    def fileno(self) -> int:
        """The descriptor, -1 after :meth:`close`."""
        return self._sock.fileno()

    def send(self, frame: bytes, timeout_s: float | None = None) -> None:
        """Send all of a PDU within ``timeout_s``; after a timeout part of it may have gone, so close the stream."""
        _send(self._sock, frame, _deadline(timeout_s), self.where)

    def receive(self, timeout_s: float | None = None) -> bytes:
        """The next PDU, header included: at most ``timeout_s`` for its header and as much again for the rest.

        ``ChannelClosed`` when the peer has ended the connection, ``RemoteProtocolError`` when it did so within a PDU.
        """
        if self._frames:
            return self._frames.popleft()
        deadline = _deadline(timeout_s)
        in_body = self._reader.pending >= HEADER_SIZE
        while not self._frames:
            self._read(deadline)
            if not in_body and self._reader.pending >= HEADER_SIZE:
                in_body, deadline = True, _deadline(timeout_s)
        return self._frames.popleft()

    def _read(self, deadline: float | None) -> None:
        data = _receive(self._sock, _CHUNK_BYTES, deadline, self.where)
        if data:
            self._frames += self._reader.feed(data)
        elif self._reader.pending:
            raise RemoteProtocolError(f"{self.where} ended the connection within a PDU")
        else:
            raise ChannelClosed(str(self.where))

    def start_tls(self, context: ssl.SSLContext, server_hostname: str | None, timeout_s: float | None = None) -> None:
        """Go on under TLS as its client. ``TlsError`` when the handshake or the certificate is no good.

        ``ProtocolError`` when bytes in clear are waiting: they must not be taken for what comes under TLS.
        """
        if self._frames or self._reader.pending:
            raise ProtocolError(f"{self.where} sent bytes in clear after TLS was agreed on")
        self._sock.settimeout(timeout_s)
        try:
            self._sock = context.wrap_socket(self._sock, server_hostname=server_hostname)
        except OSError as error:
            raise stream_failure(error, self.where) from error

    def close(self) -> None:
        """End the connection; closing twice is harmless."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _connected(endpoint: Endpoint, timeout_s: float | None) -> socket.socket:
    try:
        sock = _open(endpoint, timeout_s)
    except (OSError, UnicodeError) as error:
        raise connect_failure(error, endpoint) from error
    try:
        if isinstance(endpoint, TcpEndpoint) and endpoint.beyond is not None:
            _pass_proxy(sock, endpoint, endpoint.beyond, _deadline(timeout_s))
    except BaseException:
        sock.close()
        raise
    return sock


def _open(endpoint: Endpoint, timeout_s: float | None) -> socket.socket:
    if isinstance(endpoint, TcpEndpoint):
        return socket.create_connection((endpoint.host, endpoint.port), timeout_s)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(endpoint.path)
    except BaseException:
        sock.close()
        raise
    return sock


def _pass_proxy(sock: socket.socket, where: TcpEndpoint, beyond: tuple[str, int], deadline: float | None) -> None:
    _send(sock, proxy.GREETING, deadline, where)
    answer = b""
    while not proxy.is_whole_answer(answer):
        # Byte by byte: what follows the line belongs to pmcd.
        byte = _receive(sock, 1, deadline, where)
        if not byte:
            raise ChannelClosed(str(where))
        answer += byte
    _send(sock, proxy.request(answer, *beyond), deadline, where)


def _deadline(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else time.monotonic() + timeout_s


def _send(sock: socket.socket, data: bytes, deadline: float | None, where: object) -> None:
    rest = memoryview(data)
    try:
        while rest:
            _allow(sock, deadline)
            rest = rest[sock.send(rest) :]
    except OSError as error:
        raise stream_failure(error, where) from error


def _receive(sock: socket.socket, size: int, deadline: float | None, where: object) -> bytes:
    try:
        _allow(sock, deadline)
        return sock.recv(size)
    except OSError as error:
        raise stream_failure(error, where) from error


def _allow(sock: socket.socket, deadline: float | None) -> None:
    remaining = None if deadline is None else deadline - time.monotonic()
    if remaining is not None and remaining <= 0:
        raise TimeoutError
    sock.settimeout(remaining)
