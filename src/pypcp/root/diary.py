"""What starter and guard tell each other: children, clients, and who speaks with the daemon. See :mod:`.guard`.

A note is one packet of fixed layout; some have descriptors beside them. Whoever of the two is gone, the other goes on.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

BORN, DIED, CAME, LEFT, VOICE, WIRES = 1, 2, 3, 4, 5, 6
"""From the starter: a child, a client, a resolver that answers the daemon, wires to a daemon."""
GONE, OVER = 11, 12
"""From the guard: a child that it reaped; the conversation with the daemon has ended."""

_NOTE: Final = struct.Struct("=iqqQQ64s")
_DESCRIPTORS = 2
_ROOM_BYTES = 8 << 20
_SO_SNDBUFFORCE = 32


class Note(NamedTuple):
    """One fact. ``number`` is a pid or a client's ticket, ``status`` a wait status or a client's uid."""

    kind: int
    number: int = 0
    status: int = 0
    owner: int = 0
    label: str = ""

    def packed(self) -> bytes:
        """The note as a packet."""
        high, low = self.owner >> 64, self.owner % 2**64
        return _NOTE.pack(self.kind, self.number, self.status, high, low, self.label.encode()[:64])

    @classmethod
    def unpacked(cls, raw: bytes) -> Note:
        """The note of a packet."""
        kind, number, status, high, low, label = _NOTE.unpack(raw)
        return cls(kind, number, status, high << 64 | low, label.rstrip(b"\0").decode("utf-8", "replace"))


class Kept(NamedTuple):
    """An accepted connection, and who it is. ``identity`` is that of a daemon which may start agents; else 0."""

    connection: socket.socket
    uid: int
    pid: int = 0
    identity: int = 0


def channel() -> tuple[socket.socket, socket.socket]:
    """Two ends for notes, with room for as many as there can be clients."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    for end in ends:
        try:
            end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _ROOM_BYTES)
        except PermissionError:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM_BYTES)
    return ends


def tell(end: socket.socket, note: Note, descriptors: Sequence[int] = ()) -> None:
    """Send a note; when the other is dead, or does not read, we go on without it."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    with contextlib.suppress(OSError):
        end.sendmsg([note.packed()], rights)


def hear(end: socket.socket) -> tuple[Note, list[int]] | None:
    """The next note and its descriptors; None at the other's end. ``BlockingIOError`` when there is none now."""
    try:
        raw, descriptors, _, _ = socket.recv_fds(end, _NOTE.size, _DESCRIPTORS)
    except BlockingIOError:
        raise
    except OSError:
        return None
    if not raw:
        return None
    for fd in descriptors:
        os.set_inheritable(fd, False)
    return Note.unpacked(raw), descriptors


class Diary:
    """The starter's side. What it writes down here the guard remembers for a successor."""

    def __init__(
        self,
        end: socket.socket,
        children: dict[int, Note] | None = None,
        clients: dict[int, Kept] | None = None,
        *,
        conversing: bool = False,
    ) -> None:
        self.channel = end
        self.children = dict(children or {})
        """The children that run, those that a predecessor left among them."""
        self.clients = dict(clients or {})
        """The clients by their tickets."""
        self.places = Counter(client.uid for client in self.clients.values())
        """How many clients each account has."""
        self._tickets = max(self.clients, default=0)
        self.conversing = conversing
        """Whether the guard speaks with a daemon."""
        self.alone = False
        """Whether the guard is gone: what is written here is our own successor's then."""

    def born(self, pid: int, owner: int, label: str) -> None:
        """A child runs."""
        self.children[pid] = note = Note(BORN, pid, 0, owner, label)
        tell(self.channel, note)

    def died(self, pid: int) -> None:
        """A child was reaped."""
        self.children.pop(pid, None)
        tell(self.channel, Note(DIED, pid))

    def came(self, client: Kept) -> int:
        """A client is served from now on; its ticket, which no other client of this helper ever has."""
        self._tickets += 1
        self.clients[self._tickets] = client
        self.places[client.uid] += 1
        note = Note(CAME, self._tickets, client.uid, client.identity, str(client.pid))
        tell(self.channel, note, [client.connection.fileno()])
        return self._tickets

    def left(self, ticket: int) -> None:
        """A client is no more. The connection's own end is the caller's business."""
        client = self.clients.pop(ticket, None)
        if client is not None:
            self.places[client.uid] -= 1
            tell(self.channel, Note(LEFT, ticket))

    def answered_by(self, voice: socket.socket) -> None:
        """A resolver at the other end of ``voice`` has the daemon's answers."""
        tell(self.channel, Note(VOICE), [voice.fileno()])

    def converse(self, requests: int, replies: int) -> None:
        """Speak with a daemon by these from now on."""
        self.conversing = True
        tell(self.channel, Note(WIRES), [requests, replies])

    def hear(self) -> Note | None:
        """What the guard has to say; None when it is gone. To be called when ``channel`` is readable."""
        heard = hear(self.channel)
        if heard is None:
            self.alone = True
            return None
        if heard[0].kind == OVER:
            self.conversing = False
        return heard[0]
