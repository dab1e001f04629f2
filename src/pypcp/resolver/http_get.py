"""Ask a program on a UNIX socket one question by HTTP/1.1, and believe as little as possible of the answer.

One GET on a connection of its own, under one time limit for all of it and one limit of size; whatever is not exactly a
whole answer is none. Neither proxies nor redirects nor the environment have a say.
"""

from __future__ import annotations

import re
import socket
import struct
import time

from pypcp.resolver import untrusted_files

_HEAD_BYTES = 16384
_CHUNK_BYTES = 65536
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [ -~]*")
_FIELD = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([ -~]*?)[ \t]*")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,7})\r\n")
_CREDENTIALS = struct.Struct("=iII")
_FOUND = 200


class NoAnswer(Exception):
    """Nobody is there, or what came in time is not an answer. The text says which."""


def get(path: str, target: str, limit_s: float, limit_bytes: int) -> bytes | None:
    """The body for ``target``, None where the answer is that there is none. :class:`NoAnswer` for anything else."""
    end = time.monotonic() + limit_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            _set_limit(connection, end)
            connection.connect(path)
            _check_peer(connection)
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            raw = _receive(connection, end, limit_bytes + _HEAD_BYTES)
    except OSError as error:
        raise NoAnswer(error.strerror or "too late") from None
    return _body(raw, limit_bytes)


def _set_limit(connection: socket.socket, end: float) -> None:
    left_s = end - time.monotonic()
    if left_s <= 0:
        raise NoAnswer("too late")
    connection.settimeout(left_s)


def _check_peer(connection: socket.socket) -> None:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    if uid != untrusted_files.ROOT:
        raise NoAnswer(f"served by uid {uid}")


def _receive(connection: socket.socket, end: float, limit_bytes: int) -> bytes:
    parts = []
    while part := connection.recv(_CHUNK_BYTES):
        parts.append(part)
        limit_bytes -= len(part)
        if limit_bytes < 0:
            raise NoAnswer("too long")
        _set_limit(connection, end)
    return b"".join(parts)


def _body(raw: bytes, limit_bytes: int) -> bytes | None:
    head, separator, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if not separator or not status or len(head) > _HEAD_BYTES:
        raise NoAnswer("no HTTP/1.1")
    fields = _fields(lines)
    if int(status[1]) != _FOUND:
        return None
    body = _joined(rest) if fields.get(b"transfer-encoding") == b"chunked" else rest
    length = fields.get(b"content-length", b"")
    whole = body is not rest or (length.isdigit() and len(length) < 10 and int(length) == len(body))
    if not whole or (body is not rest and length) or len(body) > limit_bytes:
        raise NoAnswer("not a whole body")
    return body


def _fields(lines: list[bytes]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if not field or field[1].lower() in fields:
            raise NoAnswer("no HTTP/1.1")
        fields[field[1].lower()] = field[2]
    return fields


def _joined(chunks: bytes) -> bytes:
    """The body that was sent in chunks: each its size in hexadecimal digits and its bytes, the last of size 0."""
    at = 0
    parts: list[bytes] = []
    while size := _SIZE.match(chunks, at):
        begin = size.end()
        end = begin + int(size[1], 16)
        if chunks[end : end + 2] != b"\r\n":
            break
        if begin == end:
            if end + 2 == len(chunks):
                return b"".join(parts)
            break
        parts.append(chunks[begin:end])
        at = end + 2
    raise NoAnswer("broken chunks")
