"""Who listens on a port or serves a UNIX socket: for error messages that name the process. See: proc(5)."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from pypcp.errors import PermissionDenied
from pypcp.ipc.peercred import peer_credentials

_LISTEN: Final = "0A"
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_UNKNOWN: Final = "another process (which one, root can see)"


def holder_of_tcp_port(address: str, port: int) -> str:
    """The process that listens on a port in the way of ``address``, in words for people."""
    inodes = set(_listening_inodes(ipaddress.ip_address(address), port))
    return next(_processes_with(inodes), _UNKNOWN)


def holder_of_unix_socket(connected: socket.socket) -> str:
    """The process that listens where this UNIX socket is connected, in words for people."""
    try:
        return _describe(peer_credentials(connected).pid)
    except PermissionDenied:
        return _UNKNOWN


def _listening_inodes(address: _Address, port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), Path("/proc/net", table).open() as lines:
            next(lines, "")
            for line in lines:
                fields = line.split()
                place, _, hexadecimal_port = fields[1].rpartition(":")
                if fields[3] == _LISTEN and int(hexadecimal_port, 16) == port and _overlaps(_decode(place), address):
                    yield fields[9]


def _decode(hexadecimal: str) -> _Address:
    # Each 32-bit word is printed as the number that its four bytes, in network order, are to this machine.
    words = (int(hexadecimal[at : at + 8], 16) for at in range(0, len(hexadecimal), 8))
    return ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))


def _overlaps(one: _Address, other: _Address) -> bool:
    return one == other or one.is_unspecified or other.is_unspecified


def _processes_with(inodes: set[str]) -> Iterator[str]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir() if wanted else ():
        if process.name.isdigit() and any(link in wanted for link in _open_files(process)):
            yield _describe(int(process.name))


def _open_files(process: Path) -> Iterator[str]:
    # Processes end while we look, and those of others are closed to us.
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(process / "fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(process / "fd" / descriptor)


def _describe(pid: int) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()[:200] or Path(f"/proc/{pid}/comm").read_bytes()
    except OSError:
        return f"process {pid}" if pid else _UNKNOWN
    command = " ".join(raw.decode(errors="replace").replace("\0", " ").split())
    return f"process {pid} ({''.join(c if c.isprintable() else '?' for c in command)})"
