"""The resolver and the name-space reader: forked from us, given what they need, brought back when they die.

A client that only looks up is handed to the resolver, descriptor and all, so its requests never pass through here. We
keep a second descriptor of the same connection: should the resolver die, its successor gets the client back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, NoReturn, Protocol

from pypcp.errors import RemoteProtocolError
from pypcp.root.audit import AuditLog
from pypcp.root.children import send_signal, spawn
from pypcp.root.loop import HANGUP, READ, WRITE, Loop
from pypcp.wire.root import MAX_LINK_PACKET, Kind, LinkKind, LinkPacket, LookupReply, decode, decode_link, encode_link

RELAY_LIMIT_S = 5.0
STUCK_AFTER_S = 10.0
_FIRST_DELAY_S, _LONGEST_DELAY_S, _STABLE_AFTER_S = 0.05, 30.0, 10.0
_AGAIN_AFTER_S = 0.1
_NEW_GROUND = 75
UNCONFINED = 78
"""Exit status of a process that may not go on without its confinement."""


class Bodies(Protocol):
    """What the forked processes do with the rest of their lives."""

    def reader(self, channel: socket.socket) -> NoReturn:
        """The name-space reader."""

    def in_doubt(self, ticket: int) -> bool:
        """Whether a resolver died when this client's reply was sent, or was not."""

    def voice(self) -> socket.socket | None:
        """A stream to the guard, for a resolver that is to answer a daemon; None where no daemon asks."""

    def resolver(self, link: socket.socket, reader: socket.socket, voice: socket.socket | None) -> NoReturn:
        """The resolver."""


class _Worker(NamedTuple):
    pid: int
    pidfd: int
    born: float


class _Relayed(NamedTuple):
    """A question of a client that the starter keeps, and whoever waits for the answer."""

    packet: LinkPacket
    settle: Callable[[LookupReply | None], None]


class Workers:
    """Both processes and the clients that were handed over. Everything here returns at once.

    ``left`` is told the ticket of a client that has gone.
    """

    def __init__(
        self, loop: Loop, audit: AuditLog, bodies: Bodies, give_up: Callable[[], None], left: Callable[[int], None]
    ) -> None:
        self._loop = loop
        self._left = left
        self._audit = audit
        self._bodies = bodies
        self._running: dict[str, _Worker] = {}
        self._delay_s = {"resolver": _FIRST_DELAY_S, "reader": _FIRST_DELAY_S}
        self._link: socket.socket | None = None
        self._asking: socket.socket | None = None
        """The end that a resolver is to have for a new reader; kept, since it may have to wait for its turn."""
        self._clients: dict[int, tuple[socket.socket, int]] = {}
        self._relays = 0
        self._relayed: dict[int, _Relayed] = {}
        self._outbox: deque[tuple[LinkPacket, int]] = deque()
        self._stuck = loop.call_later(0, lambda: None)
        self._stopping = False
        self._give_up = give_up
        self.refused = False

    def start(self) -> None:
        """Start both, connected with each other; clients of a predecessor are handed over again."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        asking, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, asking, answering, contextlib.ExitStack() as held:
            voice = self._bodies.voice()
            if voice is not None:
                held.enter_context(voice)
            self._fork("reader", lambda: self._bodies.reader(answering))
            self._fork("resolver", lambda: self._bodies.resolver(theirs, asking, voice))
        ours.setblocking(False)
        self._link = ours
        self._outbox.clear()
        self._loop.watch(ours.fileno(), READ, self._hear)
        for ticket, (client, uid) in list(self._clients.items()):
            if self._bodies.in_doubt(ticket):
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)  # which is its end, and heard as such
                continue
            self._send(LinkPacket(LinkKind.HANDOVER, ticket, uid.to_bytes(4, "little")), client.fileno())
        for waiting in list(self._relayed.values()):
            self._send(waiting.packet)

    def renew(self) -> None:
        """Have a successor look at this machine anew, its accounts and engines; clients are handed on."""
        self._kill("resolver")

    def stop(self) -> None:
        """End both; nothing is brought back any more."""
        self._stopping = True
        for worker in self._running.values():
            send_signal(worker.pidfd, signal.SIGKILL)

    def pids(self) -> dict[str, int]:
        """The pid of each that runs, by its name."""
        return {name: worker.pid for name, worker in self._running.items()}

    @property
    def clients(self) -> int:
        """How many clients are in the resolver's hands."""
        return len(self._clients)

    def hand_over(self, ticket: int, client: socket.socket, uid: int) -> None:
        """Let the resolver serve this client from now on."""
        self._clients[ticket] = client, uid
        self._loop.watch(client.fileno(), HANGUP, lambda _: self._forget_client(ticket))
        self._send(LinkPacket(LinkKind.HANDOVER, ticket, uid.to_bytes(4, "little")), client.fileno())

    def relay(self, uid: int, frame: bytes, done: Callable[[LookupReply | None], None]) -> None:
        """Ask the resolver on behalf of a client that stays here, or its successor; ``done(None)`` when there is no
        answer in time. ``uid`` is the client's."""
        self._relays += 1
        ticket = self._relays

        def settle(reply: LookupReply | None) -> None:
            if self._relayed.pop(ticket, None):
                timer.cancel()
                done(reply)

        timer = self._loop.call_later(RELAY_LIMIT_S, lambda: settle(None))
        packet = LinkPacket(LinkKind.RELAY, ticket, uid.to_bytes(4, "little") + frame)
        self._relayed[ticket] = _Relayed(packet, settle)
        self._send(packet)

    def _forget_client(self, ticket: int) -> None:
        client, _ = self._clients.pop(ticket)
        gone = client.fileno()
        self._outbox = deque(item for item in self._outbox if item[1] != gone)  # before its number is another's
        self._loop.forget(gone)
        self._left(ticket)
        client.close()

    def _send(self, packet: LinkPacket, descriptor: int = -1) -> None:
        """To the resolver, now or as soon as it has taken what came before."""
        if self._link is None:
            return  # its successor is told of every client and every question
        self._outbox.append((packet, descriptor))
        if len(self._outbox) == 1:
            self._flush()

    def _flush(self, _: int = 0) -> None:
        while self._outbox and self._link is not None:
            packet, descriptor = self._outbox[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder, signed=True))]
            try:
                self._link.sendmsg([encode_link(packet)], rights if descriptor >= 0 else [])
            except BlockingIOError:
                return self._wait_for_room()
            except ConnectionError:
                return None  # it has just died, which its pidfd tells next
            except OSError:
                self._loop.call_later(_AGAIN_AFTER_S, self._flush)  # no memory for it at this moment
                return None
            self._outbox.popleft()
        self._stuck.cancel()
        if self._link is not None:
            self._loop.watch(self._link.fileno(), READ, self._hear)
        return None

    def _wait_for_room(self) -> None:
        """A resolver that takes nothing for long does not work: its successor is told everything anew."""
        assert self._link is not None
        self._loop.watch(self._link.fileno(), READ | WRITE, self._hear)
        self._stuck.cancel()
        self._stuck = self._loop.call_later(STUCK_AFTER_S, self._give_up_on_resolver)

    def _give_up_on_resolver(self) -> None:
        self._audit.record("resolver-stuck", clients=self.clients)
        self._kill("resolver")

    def _hear(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & ~WRITE and self._link is not None:
            self._receive()

    def _receive(self) -> None:
        assert self._link is not None
        try:
            raw = self._link.recv(MAX_LINK_PACKET + 1)
        except OSError:
            raw = b""
        if not raw:
            return self._drop_link()
        try:
            self._understand(decode_link(raw))
        except RemoteProtocolError as fault:
            self._audit.record("resolver-misbehaves", fault=str(fault))
            self._kill("resolver")
        return None

    def _understand(self, packet: LinkPacket) -> None:
        if packet.kind == LinkKind.READY:
            self._audit.note(
                "resolver-ready", pid=self.pids().get("resolver", 0), confined=packet.payload.decode("ascii", "replace")
            )
        elif packet.kind == LinkKind.RELAY:
            reply = decode(packet.payload)
            if not isinstance(reply, LookupReply):
                raise RemoteProtocolError(
                    f"a relayed reply of type {Kind(int.from_bytes(packet.payload[:4], sys.byteorder))}"
                )
            if waiting := self._relayed.get(packet.ticket):
                waiting.settle(reply)
        else:
            raise RemoteProtocolError(f"packet kind {packet.kind}")

    def _drop_link(self) -> None:
        if self._link is not None:
            self._loop.forget(self._link.fileno())
            self._link.close()
            self._link = None
        self._stuck.cancel()
        self._outbox.clear()
        self._asking = None

    def _fork(self, name: str, body: Callable[[], NoReturn]) -> None:
        worker = _Worker(*spawn(body), time.monotonic())
        self._running[name] = worker
        self._loop.watch(worker.pidfd, READ, lambda _: self._reap(name, worker))

    def _kill(self, name: str) -> None:
        if worker := self._running.get(name):
            send_signal(worker.pidfd, signal.SIGKILL)

    def _reap(self, name: str, worker: _Worker) -> None:
        _, status = os.waitpid(worker.pid, 0)
        self._loop.forget(worker.pidfd)
        os.close(worker.pidfd)
        if self._running.get(name) is worker:
            del self._running[name]
        code = os.waitstatus_to_exitcode(status)
        if self._stopping:
            return None
        self._audit.record(f"{name}-ended", pid=worker.pid, status=code)
        if code == UNCONFINED:
            self._stopping = self.refused = True
            return self._give_up()
        if name == "resolver":
            self._drop_link()
            self._kill("reader")
        self._loop.call_later(self._pause_s(name, worker, code), lambda: self._restart(name))
        return None

    def _pause_s(self, name: str, worker: _Worker, code: int) -> float:
        """At once for one that served well, or asked for it; later and later for one that keeps dying."""
        stable = time.monotonic() - worker.born > _STABLE_AFTER_S
        if stable or code == _NEW_GROUND:
            self._delay_s[name] = _FIRST_DELAY_S
            return _FIRST_DELAY_S
        return self._longer_pause_s(name)

    def _longer_pause_s(self, name: str) -> float:
        self._delay_s[name] = min(2 * self._delay_s[name], _LONGEST_DELAY_S)
        return self._delay_s[name]

    def _restart(self, name: str) -> None:
        if self._stopping:
            return
        try:
            self._bring_back(name)
        except OSError as error:
            self._audit.record(f"{name}-not-started", fault=error.strerror)
            self._loop.call_later(self._longer_pause_s(name), lambda: self._restart(name))

    def _bring_back(self, name: str) -> None:
        if name == "resolver":
            self.start()
        elif "reader" not in self._running and self._link is not None:
            self._asking, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with answering:
                self._fork("reader", lambda: self._bodies.reader(answering))
            self._send(LinkPacket(LinkKind.READER), self._asking.fileno())
