"""The last events of connections and PDUs, kept to be written to the log when somebody asks for them. See: pmcd(1)."""

from __future__ import annotations

import logging
import time
from collections import deque
from enum import IntFlag
from typing import Final

from pypcp.errors import BadArgument
from pypcp.pmcd.logfile import block
from pypcp.pmcd.statistics import Statistics
from pypcp.wire.framing import frame_type
from pypcp.wire.pdu import PduType

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # what was asked for is written, however quiet the log is otherwise

MAX_EVENTS: Final = 10_000
_USUAL_EVENTS: Final = 20


class TraceFlag(IntFlag):
    """What ``pmcd -T`` asks for."""

    NOTHING = 0
    CONNECTIONS = 1
    PDUS = 2
    AT_ONCE = 256

    @classmethod
    def of(cls, text: str) -> TraceFlag:
        """The flags of a number. ``BadArgument`` for what is none, or has bits without a meaning."""
        if not (text.isascii() and text.isdigit()) or int(text) & ~sum(cls):
            raise BadArgument(f"-T {text}: a sum of 1 (connections), 2 (PDUs) and 256 (unbuffered) is needed")
        return cls(int(text))


class EventTrace:
    """Events in order, the oldest forgotten. ``connections``: clients and agents that come and go are events.

    ``at_once``: events are written as they happen, and not kept.
    """

    def __init__(self) -> None:
        self.connections = False
        self.at_once = False
        self._events: deque[tuple[float, str]] = deque(maxlen=_USUAL_EVENTS)

    @property
    def capacity(self) -> int:
        """How many events are kept, 1 to ``MAX_EVENTS``."""
        return self._events.maxlen or 0

    @capacity.setter
    def capacity(self, events: int) -> None:
        self._events = deque(self._events, events)

    def begin(self, flags: TraceFlag, statistics: Statistics) -> None:
        """Trace what the flags say from now on."""
        self.connections = TraceFlag.CONNECTIONS in flags
        self.at_once = TraceFlag.AT_ONCE in flags
        statistics.pdu_trace = self.pdu if TraceFlag.PDUS in flags else None

    def connection(self, what: str) -> None:
        """Somebody came or went."""
        if self.connections:
            self._take(what)

    def pdu(self, done: str, frame: bytes, peer: str) -> None:
        """A PDU was received or sent: ``done`` is ``Recv`` or ``Xmit``."""
        self._take(f"{done}: {_name(frame_type(frame))} PDU, {peer}, len={len(frame)}")

    def dump(self) -> None:
        """Write what is kept to the log, and forget it."""
        lines = [_line(when, what) for when, what in self._events]
        self._events.clear()
        block(log, "trace", "\n".join([f"\n->PMCD event trace: starting at {time.ctime()}", *lines, ""]))

    def _take(self, what: str) -> None:
        if self.at_once:
            block(log, "trace", _line(time.time(), what))
        else:
            self._events.append((time.time(), what))


def _line(when: float, what: str) -> str:
    return f"->{time.strftime('%H:%M:%S', time.localtime(when))} {what}"


def _name(type_: int) -> str:
    try:
        return PduType(type_).name
    except ValueError:
        return f"{type_:#x}"
