"""One connection of root's daemon, and the table of everything that can be asked on it at all.

Nothing is permitted that :data:`PERMITTED` does not name, and what breaks a rule ends that connection with one line in
the record.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pypcp.errors import PermissionDenied, RemoteProtocolError, TryAgain
from pypcp.root.loop import READ, WRITE
from pypcp.root.peers import Peer
from pypcp.root.policy import Decision
from pypcp.root.starter import Started
from pypcp.wire.root import (
    OURSELVES,
    AgentIpc,
    Kind,
    LookupReply,
    LookupRequest,
    MessageReader,
    StartReply,
    StartRequest,
    StopReply,
    StopRequest,
    decode,
    encode,
)

if TYPE_CHECKING:
    from pypcp.root.monitor import Monitor

MESSAGE_LIMIT_S: Final = 5.0
"""From the first byte of a message to its last."""
WRITE_LIMIT_S: Final = 10.0
MAX_WAITING: Final = 64
"""Requests of one connection that are held while an earlier one is being answered."""
_READ_BYTES = 8192


class Answer(NamedTuple):
    """The bytes of a reply, and the descriptors that travel with them (ours to close afterwards)."""

    data: bytes
    descriptors: tuple[int, ...] = ()


class ControlConnection:
    """One connection of root's daemon. One request at a time, in order; nobody else waits for a slow reply."""

    def __init__(self, monitor: Monitor, client: socket.socket, peer: Peer, ticket: int) -> None:
        self.monitor = monitor
        self.peer = peer
        self.ticket = ticket
        self._client = client
        self._frames = MessageReader()
        self._waiting: deque[bytes] = deque()
        self._unsent: Answer | None = None
        self._busy = False
        self._open = True
        self._late = monitor.loop.call_later(0, lambda: None)
        monitor.loop.watch(client.fileno(), READ, lambda _: self._read())

    def _read(self) -> None:
        self._mark(1)
        self._take_in()
        self._settle()

    def _mark(self, doubt: int) -> None:
        self.monitor.doubts[self.ticket % len(self.monitor.doubts)] = doubt

    def _settle(self) -> None:
        """Nothing is read and not answered: a successor could go on with this connection."""
        if not (self._open and (self._busy or self._waiting or self._frames.held or self._unsent)):
            self._mark(0)

    def _take_in(self) -> None:
        try:
            data = self._client.recv(_READ_BYTES)  # no room for descriptors: what is sent along, the kernel lets go
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            return self.close()
        try:
            self._waiting += self._frames.feed(data)
        except RemoteProtocolError as fault:
            return self.drop(fault.detail)
        if len(self._waiting) > MAX_WAITING:
            return self.drop(f"more than {MAX_WAITING} requests at once")
        self._expect_rest()
        return self._serve()

    def _expect_rest(self) -> None:
        self._late.cancel()
        if self._frames.held:
            self._late = self.monitor.loop.call_later(MESSAGE_LIMIT_S, lambda: self.drop("half a message and no more"))

    def _serve(self) -> None:
        while self._open and self._waiting and not self._busy and self._unsent is None:
            frame = self._waiting.popleft()
            self._busy = True
            try:
                message = decode(frame)
            except RemoteProtocolError as fault:
                return self.drop(fault.detail)
            kind = int.from_bytes(frame[:4], sys.byteorder)
            if (answer := PERMITTED.get(kind)) is None:
                return self.drop(f"message type {kind:#x} is no request")
            answer(self, message, frame)
        return None

    def answer(self, reply: Answer) -> None:
        """The reply to the request in hand. After the connection's end, only its descriptors are let go."""
        self._busy = False
        if not self._open:
            return _close_all(reply.descriptors)
        self._unsent = reply
        self._write()
        self._serve()
        return self._settle()

    def _write(self) -> None:
        assert self._unsent is not None
        data, descriptors = self._unsent
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in descriptors)
        try:
            self._client.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else [])
        except BlockingIOError:
            self.monitor.loop.watch(self._client.fileno(), WRITE, lambda _: self._resume())
            self._late.cancel()
            self._late = self.monitor.loop.call_later(WRITE_LIMIT_S, lambda: self.drop("does not read its replies"))
        except OSError:
            self.close()
        else:
            self._unsent = None
            _close_all(descriptors)

    def _resume(self) -> None:
        self._late.cancel()
        self.monitor.loop.watch(self._client.fileno(), READ, lambda _: self._read())
        self._write()
        self._serve()
        self._settle()

    def drop(self, reason: str) -> None:
        """The peer broke a rule: say so in the record, and that was it."""
        self.monitor.audit.record("client-dropped", uid=self.peer.uid, pid=self.peer.pid, reason=reason)
        self.close()

    def close(self) -> None:
        """End the connection; an answer under way is let go when it comes."""
        if not self._open:
            return
        self._open = False
        self._late.cancel()
        self.monitor.loop.forget(self._client.fileno())
        end(self._client)
        self._mark(0)
        if self._unsent:
            _close_all(self._unsent.descriptors)
        self.monitor.closed(self)


def _answer_lookup(connection: ControlConnection, request: LookupRequest, frame: bytes) -> None:
    def done(reply: LookupReply | None) -> None:
        if reply is None or reply.kind != request.kind + 1:
            reply = LookupReply(request.kind + 1, TryAgain.code, request.pid)
        connection.answer(Answer(encode(reply)))

    connection.monitor.look_ups.relay(connection.peer.uid, frame, done)


def _answer_start(connection: ControlConnection, request: StartRequest, _frame: bytes) -> None:
    monitor, peer = connection.monitor, connection.peer
    label, command = request.label.decode("utf-8", "replace"), request.command.decode("utf-8", "replace")
    facts = {"uid": peer.uid, "pid": peer.pid, "label": label, "command": command}
    decision = monitor.policy.decide(label, command, request.ipc == AgentIpc.PIPE)
    if monitor.converse is not None and request.ipc == AgentIpc.PIPE and _is_ours(monitor, label, command, decision):
        return _hand_wires(connection, request, facts, monitor.converse())
    if decision.agent is None:
        monitor.audit.record("start-refused", **facts, reason=decision.reason)
        return connection.answer(Answer(encode(StartReply(PermissionDenied.code, -1, request.label))))

    def done(started: Started) -> None:
        if started.status:
            monitor.audit.record("start-failed", **facts, status=started.status, reason=started.reason)
        else:
            monitor.audit.record("start", **facts, child=started.pid, reason=decision.reason)
        descriptors = tuple(fd for fd in (started.infd, started.outfd) if fd >= 0)
        connection.answer(Answer(encode(StartReply(started.status, started.pid, request.label)), descriptors))

    return monitor.starter.start(decision.agent, peer.identity, monitor.policy.starts_per_minute, done)


def _is_ours(monitor: Monitor, label: str, command: str, decision: Decision) -> bool:
    """Whether the agent to be started is this very helper: the daemon lost its wires to us, or never had any."""
    configured = decision.agent is not None and decision.agent.domain == monitor.domain
    return configured or (label, command) == OURSELVES


def _hand_wires(connection: ControlConnection, request: StartRequest, facts: dict[str, object], wires: Started) -> None:
    """Nothing is executed: the daemon gets wires to those who run already."""
    connection.monitor.audit.record("converse", **facts, status=wires.status)
    descriptors = tuple(fd for fd in (wires.infd, wires.outfd) if fd >= 0)
    connection.answer(Answer(encode(StartReply(wires.status, wires.pid, request.label)), descriptors))


def _answer_stop(connection: ControlConnection, request: StopRequest, _frame: bytes) -> None:
    starter, peer = connection.monitor.starter, connection.peer
    if request.pid < 1 and not request.force:
        pid, code = starter.wait(peer.identity)
        return connection.answer(Answer(encode(StopReply(0, pid, code))))
    status = starter.terminate(peer.identity, request.pid, force=request.force)
    facts = {"uid": peer.uid, "pid": peer.pid, "child": request.pid, "force": int(request.force)}
    connection.monitor.audit.record("stop-refused" if status else "stop", **facts, status=status)
    return connection.answer(Answer(encode(StopReply(status, request.pid))))


PERMITTED: Final[dict[int, Callable[..., None]]] = {
    Kind.HOSTNAME_REQUEST: _answer_lookup,
    Kind.PROCESSID_REQUEST: _answer_lookup,
    Kind.CGROUPNAME_REQUEST: _answer_lookup,
    Kind.START_REQUEST: _answer_start,
    Kind.STOP_REQUEST: _answer_stop,
}
"""All that can be asked of this process. Whatever is not here is not answered."""


def end(connection: socket.socket) -> None:
    """End a connection for good: the guard has a descriptor of it too."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _close_all(descriptors: tuple[int, ...]) -> None:
    for fd in descriptors:
        os.close(fd)
