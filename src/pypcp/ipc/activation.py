"""Sockets that systemd opened for us and passed in. See: sd_listen_fds(3), systemd.socket(5)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

from pypcp.errors import BadArgument

_FIRST_DESCRIPTOR: Final = 3


def passed_sockets(environ: Mapping[str, str] | None = None) -> list[socket.socket]:
    """The listening sockets that were passed to this process, non-blocking; none where none were.

    ``BadArgument`` when something else was passed; it says which, by its name in ``LISTEN_FDNAMES``.
    """
    environ = os.environ if environ is None else environ
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environ.get("LISTEN_FDS", "")
    if not count.isascii() or not count.isdigit():
        raise BadArgument(f"LISTEN_FDS is {count!r} and not a number")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    passed: list[socket.socket] = []
    try:
        for number in range(int(count)):
            name = names[number] if number < len(names) and names[number] else "unknown"
            passed.append(_listening(_FIRST_DESCRIPTOR + number, name))
    except BaseException:
        for sock in passed:
            sock.close()
        raise
    return passed


def _listening(descriptor: int, name: str) -> socket.socket:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise BadArgument(f"descriptor {descriptor} ({name}) of LISTEN_FDS is no socket: {error.strerror}") from error
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise BadArgument(f"descriptor {descriptor} ({name}) of LISTEN_FDS is no listening stream socket")
    sock.setblocking(False)
    sock.set_inheritable(False)
    return sock
