"""Descriptors over a UNIX socket, beside the bytes of one frame. See: SCM_RIGHTS in unix(7).

Not ``socket.recv_fds()``: CPython's drops its flags, so what it receives is inherited by every child started meanwhile.
"""

from __future__ import annotations

import array
import os
import socket
import time
from collections.abc import Sequence
from typing import Final

from pypcp.errors import ChannelClosed, RemoteProtocolError, RequestTimeout

_INT: Final = array.array("i").itemsize


def send_descriptors(sock: socket.socket, frame: bytes, descriptors: Sequence[int], timeout_s: float) -> None:
    """Send a frame (one byte at least) with descriptors; the caller's own stay open.

    ``RequestTimeout`` when the peer does not take it all in time, ``ChannelClosed`` when it is gone.
    """
    if not frame:
        raise ValueError("descriptors travel with bytes: at least one")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    deadline = time.monotonic() + timeout_s
    rest = memoryview(frame)
    while rest:
        _allow(sock, deadline)
        try:
            sent = sock.sendmsg([rest], rights)
        except TimeoutError as error:
            raise RequestTimeout(f"{len(rest)} bytes of a frame not taken") from error
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosed(str(error)) from error
        # They went with the first byte.
        rest, rights = rest[sent:], []


def receive_descriptors(sock: socket.socket, size: int, count: int, timeout_s: float) -> tuple[bytes, list[int]]:
    """Exactly ``size`` bytes, and exactly ``count`` descriptors that came with them; close-on-exec is set.

    Never a byte more is read, since the kernel joins the bytes of neighbouring frames up to the one with descriptors.
    ``RemoteProtocolError`` for any other number of descriptors, ``ChannelClosed`` for an end before ``size``,
    ``RequestTimeout``: whatever descriptors arrived are closed then.
    """
    frame = bytearray()
    received: list[int] = []
    deadline = time.monotonic() + timeout_s
    try:
        while len(frame) < size:
            frame += _receive(sock, size - len(frame), count - len(received), received, deadline)
        if len(received) != count:
            raise RemoteProtocolError(f"{len(received)} descriptors came with a frame that has {count}")
    except BaseException:
        for descriptor in received:
            os.close(descriptor)
        raise
    return bytes(frame), received


def _receive(sock: socket.socket, size: int, expected: int, received: list[int], deadline: float) -> bytes:
    _allow(sock, deadline)
    # CMSG_LEN and not CMSG_SPACE: the padding of the latter has room for one descriptor more.
    room = socket.CMSG_LEN(expected * _INT) if expected else 0
    try:
        data, messages, flags, _ = sock.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    except TimeoutError as error:
        raise RequestTimeout(f"{size} bytes of a frame missing") from error
    except ConnectionResetError as error:
        raise ChannelClosed(str(error)) from error
    for level, kind, content in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            received.extend(array.array("i", content[: len(content) - len(content) % _INT]))
    if flags & socket.MSG_CTRUNC:
        raise RemoteProtocolError("more descriptors came with a frame than it has")
    if not data:
        raise ChannelClosed(f"{size} bytes of a frame missing")
    return data


def _allow(sock: socket.socket, deadline: float) -> None:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise RequestTimeout("a frame with descriptors")
    sock.settimeout(remaining)
