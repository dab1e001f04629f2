"""What both drivers know about a connection: how long to wait, when to try again, what the peer still owes."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pypcp.errors import AccessError, OsError, PcpError, from_code
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Ask, Operation, Receive, Step, Tell
from pypcp.pmapi.operations.values import state_change
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import Pdu, StateChange

_T = TypeVar("_T")

_BACKOFF_S = (5, 10, 20, 40, 80)


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for a connection, for each reply, and between attempts to connect again."""

    connect_s: float = 5.0
    request_s: float = 10.0
    reconnect_s: tuple[float, ...] = _BACKOFF_S

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Patience:
        """``PMCD_CONNECT_TIMEOUT``, ``PMCD_REQUEST_TIMEOUT`` (seconds), ``PMCD_RECONNECT_TIMEOUT`` (a comma list).

        What is no positive number is passed over. See: PCPIntro(1).
        """
        backoff = [_positive(part) for part in environment.get("PMCD_RECONNECT_TIMEOUT", "").split(",")]
        return cls(
            _positive(environment.get("PMCD_CONNECT_TIMEOUT", "")) or cls.connect_s,
            _positive(environment.get("PMCD_REQUEST_TIMEOUT", "")) or cls.request_s,
            tuple(seconds for seconds in backoff if seconds) or _BACKOFF_S,
        )


def _positive(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


class Backoff:
    """When a lost connection may be tried again: later with each failure in a row. See: pmReconnectContext(3)."""

    def __init__(self, waits_s: tuple[float, ...]) -> None:
        self._waits_s = waits_s
        self._failures = 0
        self._not_before_s = 0.0

    def check(self, now_s: float) -> None:
        """Raises ``-ETIMEDOUT``, as the C library does, when it is too early."""
        if now_s < self._not_before_s:
            raise from_code(-errno.ETIMEDOUT, f"pmcd is tried again in {self._not_before_s - now_s:.1f} s")

    def failed(self, now_s: float) -> None:
        """An attempt failed."""
        self._not_before_s = now_s + self._waits_s[min(self._failures, len(self._waits_s) - 1)]
        self._failures += 1

    def succeeded(self) -> None:
        """We are connected."""
        self._failures, self._not_before_s = 0, 0.0


class Link:
    """One connection as seen by the calls that share it, one after the other.

    Replies carry no number: one that stays unread, because its call was cancelled or ran out of time, would be taken
    for the answer to the next question. So each call begins by reading and dropping what is owed to those before it.
    """

    def __init__(self) -> None:
        self.owed = 0
        self.settling = False
        """Is a call waiting for what is owed to another one? If that never comes the connection is of no more use."""
        self.suspect = False
        """Was the first reply a refusal? Then it may be that of our credentials, and all replies are off by one."""
        self._proven = False

    def perform(self, state: ContextState, operation: Operation[_T]) -> Operation[_T]:
        """The operation, with what it must know of others: yields Tell, Receive and StartTls, but no Ask."""
        yield from self._settle(state)
        try:
            step = next(operation)
            while True:
                step = operation.send((yield from self._perform_step(step)))
        except StopIteration as stop:
            value: _T = stop.value
            return value

    def _settle(self, state: ContextState) -> Operation[None]:
        self.settling = self.owed > 0
        while self.owed:
            reply = yield Receive()
            self._count(reply)
            state.changes |= state_change(reply)
        self.settling = False

    def _perform_step(self, step: Step) -> Operation[Pdu | None]:
        if isinstance(step, Ask):
            self.owed += 1
            yield Tell(step.pdu)
            step = Receive()
        reply = yield step
        if isinstance(step, Receive):
            self._count(reply)
        return reply

    def _count(self, reply: Pdu | None) -> None:
        """State changes go before the reply to a fetch and settle nothing."""
        if self.owed and state_change(reply) == StateChange.NO_CHANGE:
            self.owed -= 1
            self.suspect = not self._proven and _is_refusal(reply)
            self._proven = True


def _is_refusal(reply: Pdu | None) -> bool:
    return isinstance(reply, Error) and reply.code < 0 and isinstance(from_code(reply.code), AccessError | OsError)


def host_error(host: str, error: PcpError) -> str:
    """The sentence with which every tool says that there is no connection."""
    return f'Cannot connect to PMCD on host "{host}": {error.sentence}'
