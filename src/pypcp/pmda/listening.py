"""Agents on sockets: they listen, on loopback or a socket file, and take the daemon's one connection."""

from __future__ import annotations

import os
import pwd
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from pypcp.pmda.serve import Wires

_SOCKET_MODE: Final = 0o660
_STOCK_USER: Final = "pcp"


def accept_inet(port: int | str, *, by_ipv6: bool = False) -> Wires:
    """Wait on a port of the loopback address, given by number or by name, for one connection. ``OSError``"""
    family, address = (socket.AF_INET6, "::1") if by_ipv6 else (socket.AF_INET, "127.0.0.1")
    number = int(port) if str(port).isdecimal() else socket.getservbyname(str(port), "tcp")
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, number))
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}: port {number} of {address}") from error
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
        _give_to_stock(path)
        listener.listen(1)
        connection, _ = listener.accept()
    path.unlink(missing_ok=True)
    return _wires_of(connection)


def _give_to_stock(path: Path) -> None:
    """A socket of root's is for stock's daemon, which runs under an account of its own where there is one."""
    if os.geteuid() == 0:
        with suppress(KeyError):
            account = pwd.getpwnam(_STOCK_USER)
            os.chown(path, account.pw_uid, account.pw_gid)


def _wires_of(connection: socket.socket) -> Wires:
    descriptor = connection.detach()
    return Wires(descriptor, descriptor)
