"""Event records: values that carry many small timed records. See: pmUnpackEventRecords(3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import EJECT, IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pypcp.model.values import ValueType


class EventFlags(IntFlag, boundary=EJECT):
    """PM_EVENT_FLAG_*: what an event record stands for. Any other bit makes it a plain number."""

    NONE = 0
    POINT = 1
    START = 2
    END = 4
    ID = 8
    PARENT = 0x10
    MISSED = 0x80000000


@dataclass(frozen=True, slots=True)
class EventParameter:
    """One parameter of an event record: a metric's value at that moment, of a scalar, string or aggregate type."""

    pmid: int
    type: ValueType
    value: int | float | str | bytes


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event: when (ns since the epoch), what kind, with which parameters.

    ``missed`` is the number of records lost; with it the flags are ``MISSED`` and there are no parameters.
    """

    time_ns: int
    flags: EventFlags = EventFlags.POINT
    parameters: tuple[EventParameter, ...] = ()
    missed: int = 0


@dataclass(frozen=True, slots=True)
class EventArray:
    """The value of an EVENT or HIGHRES_EVENT metric: records in order of time.

    The classic form (``highres`` false) keeps microseconds only.
    """

    records: tuple[EventRecord, ...] = field(default_factory=tuple)
    highres: bool = False
