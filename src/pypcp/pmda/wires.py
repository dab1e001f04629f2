"""The descriptors an agent talks on: taken from standard input and output before anything else can, or a socket's."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path
from typing import Final

from pypcp.pmda.serve import Wires

_SOCKET_MODE: Final = 0o660


def take_pipe() -> Wires:
    """Move standard input and output out of everybody's way.

    Afterwards reading gives nothing, and what is printed, here or by a child process, goes where errors go. To be
    called before the agent's own code is imported: one stray ``print`` in a reply ends an agent.
    """
    sys.stdout.flush()
    wires = Wires(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return wires


def accept_inet(port: int, family: socket.AddressFamily) -> Wires:
    """Wait on a port of the loopback address for one connection. ``OSError``"""
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1)
        connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _wires_of(connection)


def accept_unix(path: Path) -> Wires:
    """Wait on a socket file, which replaces one that an earlier run left, for one connection. ``OSError``"""
    if path.is_socket():
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        before = os.umask(0o777 & ~_SOCKET_MODE)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(1)
        connection, _ = listener.accept()
    path.unlink(missing_ok=True)
    return _wires_of(connection)


def _wires_of(connection: socket.socket) -> Wires:
    descriptor = connection.detach()
    return Wires(descriptor, descriptor)
