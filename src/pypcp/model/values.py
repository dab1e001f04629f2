"""Types, semantics and values of metrics. See: pmLookupDesc(3), pmFetch(3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from pypcp.errors import PcpError
from pypcp.model.events import EventArray
from pypcp.model.ids import IN_NULL

Value = int | float | str | bytes | EventArray
"""What a metric can be: by its type an int, a float, a str, bytes (aggregates), or event records."""


class ValueType(IntEnum):
    """PM_TYPE_*: how a value is encoded."""

    NOSUPPORT = -1
    I32 = 0
    U32 = 1
    I64 = 2
    U64 = 3
    FLOAT = 4
    DOUBLE = 5
    STRING = 6
    AGGREGATE = 7
    AGGREGATE_STATIC = 8
    EVENT = 9
    HIGHRES_EVENT = 10
    UNKNOWN = 255

    def __str__(self) -> str:
        return _TYPE_NAMES[self]


_TYPE_NAMES = {
    ValueType.NOSUPPORT: "Not Supported",
    ValueType.I32: "32-bit int",
    ValueType.U32: "32-bit unsigned int",
    ValueType.I64: "64-bit int",
    ValueType.U64: "64-bit unsigned int",
    ValueType.FLOAT: "float",
    ValueType.DOUBLE: "double",
    ValueType.STRING: "string",
    ValueType.AGGREGATE: "aggregate",
    ValueType.AGGREGATE_STATIC: "static aggregate",
    ValueType.EVENT: "event record array",
    ValueType.HIGHRES_EVENT: "highres event record array",
    ValueType.UNKNOWN: "unknown",
}


class Semantics(IntEnum):
    """PM_SEM_*: how values of a metric relate over time."""

    COUNTER = 1
    INSTANT = 3
    DISCRETE = 4

    def __str__(self) -> str:
        return self.name.lower()


class ValueFormat(IntEnum):
    """PM_VAL_*: where a value is in a result: in its word, or in a block the word points at."""

    INSITU = 0
    DPTR = 1
    SPTR = 2


@dataclass(slots=True)
class ValueSet:
    """One metric of a fetch result: its values, or why there are none.

    ``instances`` and ``values`` have the same length; a singular metric has the one instance ``IN_NULL`` (-1).
    With ``error`` set both are empty. No values and no error: the metric has none now.

    ``type`` is what the bytes say. Values that travel in place (INSITU) do not say it: there it is None, the values are
    unsigned 32-bit words, and only the descriptor knows whether they are signed.
    """

    pmid: int
    instances: Sequence[int] = field(default_factory=list)
    values: Sequence[Value] = field(default_factory=list)
    error: PcpError | None = None
    type: ValueType | None = None
    format: ValueFormat = ValueFormat.DPTR

    def by_instance(self) -> dict[int, Value]:
        """``{instance id: value}``; raises ``error`` if the metric has one."""
        if self.error is not None:
            raise self.error
        return dict(zip(self.instances, self.values, strict=True))

    @property
    def value(self) -> Value | None:
        """The only value of a singular metric, None if there is none; raises ``error`` if the metric has one."""
        if self.error is not None:
            raise self.error
        return self.values[0] if self.values else None

    @classmethod
    def singular(cls, pmid: int, value: Value, type_: ValueType) -> ValueSet:
        """A value set with one value and no instance domain."""
        return cls(pmid, [IN_NULL], [value], type=type_)
