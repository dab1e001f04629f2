"""The door: who connects, and who serves each.

A peer that may only look up never gets past :meth:`Monitor._serve`: the resolver has it then. What root's daemon
may ask is in :mod:`pypcp.root.control`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
from collections.abc import Callable
from typing import Final, Protocol

from pypcp.root.audit import AuditLog
from pypcp.root.control import ControlConnection, end
from pypcp.root.diary import Diary, Kept
from pypcp.root.loop import READ, Loop
from pypcp.root.peers import Household, Peer, Refused, identify
from pypcp.root.policy import Policy
from pypcp.root.starter import Started, Starter
from pypcp.wire.root import (
    Feature,
    Info,
    LookupReply,
    encode,
)

ORPHAN_GRACE_S: Final = 5.0
"""What agents get to notice for themselves that their daemon died."""
SHED_PAUSE_S: Final = 0.1
_ACCEPTS_A_ROUND = 64


class LookUps(Protocol):
    """Where clients and requests go that are about containers."""

    def hand_over(self, ticket: int, client: socket.socket, uid: int) -> None:
        """This client is yours."""

    def relay(self, uid: int, frame: bytes, done: Callable[[LookupReply | None], None]) -> None:
        """Answer one request of a client that stays with us; None when there is no answer in time."""


class Monitor:
    """Accepts connections, judges them, and serves those that may start and end agents."""

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        household: Household,
        policy: Policy,
        starter: Starter,
        look_ups: LookUps,
        audit: AuditLog,
        diary: Diary,
        doubts: mmap.mmap,
    ) -> None:
        self.loop = loop
        self.household = household
        self.policy = policy
        self.starter = starter
        self.look_ups = look_ups
        self.audit = audit
        self.diary = diary
        self.doubts = doubts
        """Shared with our successors: for each client, by its ticket, whether something of it is in our hands only."""
        self.converse: Callable[[], Started] | None = None
        """Speak with the daemon about ``containers.*``, whose domain is ``domain``; its ends of the wires."""
        self.domain = 1
        self.max_clients = 4096
        self._listener = listener
        self._spare = _spare_descriptor()
        self._controls: set[ControlConnection] = set()
        self._minded: set[int] = set()
        listener.setblocking(False)
        self._listen()

    def _listen(self) -> None:
        self.loop.watch(self._listener.fileno(), READ, lambda _: self._accept())

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_ROUND):
            try:
                client, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._shed(error)
                return
            self._admit(client)

    def _shed(self, lack: OSError) -> None:
        """Out of descriptors or memory: the spare descriptor lets the next client be told by a closed connection,
        instead of a wait; the others are looked at a moment later."""
        if self._spare is not None:
            os.close(self._spare)
        with contextlib.suppress(OSError):
            self._listener.accept()[0].close()
        self._spare = _spare_descriptor()
        self.audit.record("client-shed", reason=lack.strerror)
        self.loop.forget(self._listener.fileno())
        self.loop.call_later(SHED_PAUSE_S, self._listen)

    def _admit(self, client: socket.socket) -> None:
        try:
            peer = identify(client, self.household)
            self._find_place(peer)
        except Refused as refusal:
            self.audit.record("client-refused", reason=str(refusal))
            client.close()
            return
        client.setblocking(False)
        try:
            client.send(encode(Info(features=Info().features | (Feature.CONVERSE if peer.controls else 0))))
        except OSError:
            client.close()
            return
        kept = Kept(client, peer.uid, peer.pid, peer.identity if peer.controls else 0)
        self._serve(self.diary.came(kept), kept)

    def _find_place(self, peer: Peer) -> None:
        """Nobody takes every place: an ordinary account has a quarter of them, all together leave one to root."""
        if peer.controls:
            return
        if len(self.diary.clients) >= self.max_clients:
            raise Refused(f"{self.max_clients} clients are connected already")
        if peer.uid == self.household.owner:
            return
        quarter, places = self.max_clients // 4, self.diary.places
        if places[peer.uid] >= quarter:
            raise Refused(f"uid {peer.uid} has {quarter} connections already")
        if places.total() - places[self.household.owner] >= 3 * quarter:
            raise Refused(f"{3 * quarter} clients other than root's are connected already")

    def _serve(self, ticket: int, kept: Kept) -> None:
        if kept.identity:
            peer = Peer(kept.uid, kept.pid, kept.identity, controls=True)
            self._mind(peer)
            self._controls.add(ControlConnection(self, kept.connection, peer, ticket))
        else:
            self.look_ups.hand_over(ticket, kept.connection, kept.uid)

    def adopt(self) -> None:
        """Serve the clients of a predecessor. Whoever had asked it something is not told another's answer: he may
        connect again."""
        for ticket, kept in list(self.diary.clients.items()):
            if kept.identity and self.doubts[ticket % len(self.doubts)]:
                self.diary.left(ticket)
                end(kept.connection)
            else:
                self._serve(ticket, kept)

    def _mind(self, peer: Peer) -> None:
        """Know when the daemon dies: its agents do not outlive it for long."""
        if peer.identity in self._minded:
            return
        try:
            pidfd = os.pidfd_open(peer.pid)
        except OSError:
            return

        def died(_: int) -> None:
            self.loop.forget(pidfd)
            os.close(pidfd)
            self._minded.discard(peer.identity)
            self.audit.record("daemon-died", pid=peer.pid, children=self.starter.count(peer.identity))
            self.starter.orphaned(peer.identity, ORPHAN_GRACE_S)

        self._minded.add(peer.identity)
        self.loop.watch(pidfd, READ, died)

    @property
    def controls(self) -> int:
        """Connections of the daemon."""
        return len(self._controls)

    def closed(self, connection: ControlConnection) -> None:
        """A connection of the daemon's has ended."""
        self._controls.discard(connection)
        self.diary.left(connection.ticket)


def _spare_descriptor() -> int | None:
    try:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
