"""Who is at the other end of a UNIX socket. See: SO_PEERCRED in unix(7)."""

from __future__ import annotations

import socket
import struct
from typing import Final, NamedTuple

from pypcp.errors import PermissionDenied

_UCRED: Final = struct.Struct("=iII")
_NO_ID: Final = 0xFFFFFFFF


class PeerCredentials(NamedTuple):
    """The peer as it was when it connected (or listened); pid 0 is one in a pid name space that we cannot see."""

    pid: int
    uid: int
    gid: int


def peer_credentials(sock: socket.socket) -> PeerCredentials:
    """The credentials of a connected UNIX socket's peer; ``PermissionDenied`` when they cannot be had for certain."""
    if sock.family != socket.AF_UNIX:
        raise PermissionDenied("only a UNIX socket tells who its peer is")
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    except OSError as error:
        raise PermissionDenied(f"the kernel does not tell who the peer is: {error}") from error
    if len(raw) != _UCRED.size:
        raise PermissionDenied(f"the kernel tells who the peer is in {len(raw)} bytes instead of {_UCRED.size}")
    credentials = PeerCredentials(*_UCRED.unpack(raw))
    # An unconnected socket has these.
    if credentials.uid == _NO_ID or credentials.gid == _NO_ID:
        raise PermissionDenied("the socket has no peer with a user and a group")
    return credentials
