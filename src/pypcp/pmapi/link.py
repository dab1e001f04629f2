"""One connection as its calls see it: frames on one side, PDUs on the other, and what the peer still owes."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from pypcp.errors import AccessError, OsError, PcpError, RemoteProtocolError, RequestTimeout, from_code
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Ask, Operation, Receive, StartTls, Step
from pypcp.pmapi.operations.values import state_change
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import Pdu, StateChange, decode, encode
from pypcp.wire.versions import Channel

_T = TypeVar("_T")

Move = bytes | Receive | StartTls
"""What a driver does: send a frame, receive one, start TLS."""

Moves = Generator[Move, bytes | None, _T]
"""What a driver runs: it is sent the frame received, else None."""

_MAX_CHANGES = 64


class Link:
    """One connection as seen by the calls that share it, one after the other: frames on one side, PDUs on the other.

    Replies carry no number: one that stays unread, because its call was cancelled or ran out of time, would be taken
    for the answer to the next question. So each call begins by reading and dropping what is owed to those before it.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._owed = 0
        self._pending: Move | None = None
        self._settling = False
        self._changes = 0
        self._proven = False
        self._suspect = False

    def perform(self, state: ContextState, operation: Operation[_T]) -> Moves[_T]:
        """An operation as what the driver can do: frames to send, frames to receive, TLS to start."""
        yield from self._settle(state)
        try:
            step = next(operation)
            while True:
                step = operation.send((yield from self._perform_step(step)))
        except StopIteration as stop:
            value: _T = stop.value
            return value

    def broken_by(self, error: BaseException) -> bool:
        """Is the connection of no more use after this error came out of ``perform``, or out of what it asked for?

        An error that an operation raises is pmcd's answer, and harmless. One of the driver is not, but for a reply that
        did not come in time or was not waited for: that is owed. If it does not even come to the next call, or the very
        first reply was a refusal (maybe of our credentials, with the answer to our request still to come), it is over.
        """
        if self._suspect or isinstance(error, RemoteProtocolError):
            return True
        if self._pending is None:
            return False
        if isinstance(error, RequestTimeout):
            return self._settling or not isinstance(self._pending, Receive)
        return isinstance(error, PcpError) or not isinstance(self._pending, Receive)

    def _settle(self, state: ContextState) -> Moves[None]:
        self._settling = self._owed > 0
        while self._owed:
            state.changes |= state_change((yield from self._receive()))
        self._settling = False

    def _perform_step(self, step: Step) -> Moves[Pdu | None]:
        if isinstance(step, Receive):
            return (yield from self._receive())
        if isinstance(step, StartTls):
            yield from self._move(step)
            return None
        frame = encode(step.pdu, self._channel)
        self._owed += isinstance(step, Ask)
        yield from self._move(frame)
        return (yield from self._receive()) if isinstance(step, Ask) else None

    def _receive(self) -> Moves[Pdu]:
        frame = yield from self._move(Receive())
        reply = decode(frame or b"", self._channel)
        if state_change(reply) != StateChange.NO_CHANGE:
            self._note_change()
        elif self._owed:
            self._changes = 0
            self._owed -= 1
            self._suspect = not self._proven and _is_refusal(reply)
            self._proven = True
        return reply

    def _note_change(self) -> None:
        """State changes go before the reply to a fetch and settle nothing; without end they would keep us for ever."""
        self._changes += 1
        if self._changes > _MAX_CHANGES:
            raise RemoteProtocolError(f"more than {_MAX_CHANGES} state changes instead of a reply")

    def _move(self, move: Move) -> Moves[bytes | None]:
        self._pending = move
        frame = yield move
        self._pending = None
        return frame


def _is_refusal(reply: Pdu | None) -> bool:
    return isinstance(reply, Error) and reply.code < 0 and isinstance(from_code(reply.code), AccessError | OsError)
