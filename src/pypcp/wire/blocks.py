"""Value blocks: one value that does not fit a word of its value set.

A block is a word with its type (bits 31-24) and length (23-0; counts this word and the data), the data, and ``~`` up to
a whole word. The data of a number is the number; of a STRING its bytes and a NUL (what follows that is no part of it);
of an aggregate its bytes; of an EVENT an event array (:mod:`pypcp.wire.events`).

A block of type 0 does not say what it holds: so do version-1 peers send all theirs. Today's library sends 32-bit
values only in place.
"""

from __future__ import annotations

from typing import Final

from pypcp.errors import RemoteProtocolError
from pypcp.model.events import EventArray
from pypcp.model.values import Value, ValueType
from pypcp.wire.buffer import to_bytes, to_text
from pypcp.wire.events import AGGREGATES, NUMBERS, SIZE_LIMIT, decode_events, encode_events

HEAD_SIZE: Final = 4
UNTYPED: Final = 0

BLOCK_TYPES: Final[dict[int, ValueType]] = {
    type_.value: type_ for type_ in ValueType if ValueType.I64 <= type_ <= ValueType.HIGHRES_EVENT
}
"""The types that a block can say it holds."""


def head(type_: int, size: int) -> int:
    """The first word of a block with ``size`` bytes of data; ``ValueError`` if a block cannot be so long."""
    if HEAD_SIZE + size >= SIZE_LIMIT:
        raise ValueError(f"a value of {size} bytes, at most {SIZE_LIMIT - 1 - HEAD_SIZE}")
    return type_ << 24 | HEAD_SIZE + size


def encode_value(type_: ValueType | int, value: Value) -> bytes:
    """A value's data, without the block around it; ``struct.error`` or ``TypeError`` if it is none of this type."""
    if type_ == ValueType.STRING and isinstance(value, str):
        return to_bytes(value) + b"\0"
    if type_ in AGGREGATES and isinstance(value, bytes):
        return value
    if isinstance(value, EventArray) and type_ == _event_type(value):
        return encode_events(value)
    if (number := NUMBERS.get(type_)) is not None:
        data: bytes = number.pack(value)
        return data
    raise TypeError(f"{type(value).__name__} is no value of type {type_!r}")


def decode_value(type_: ValueType | int, data: bytes) -> Value:
    """The value of a block's data; ``RemoteProtocolError`` if it is none of this type."""
    if type_ == ValueType.STRING:
        return to_text(data.partition(b"\0")[0])  # libpcp sends what it has room for (__pmSetClientId)
    if type_ in AGGREGATES:
        return data
    if type_ in (ValueType.EVENT, ValueType.HIGHRES_EVENT):
        return decode_events(data, highres=type_ == ValueType.HIGHRES_EVENT)
    number = NUMBERS.get(type_)
    if number is None or number.size != len(data):
        raise RemoteProtocolError(f"a value of type {type_} with {len(data)} bytes")
    value: int | float = number.unpack(data)[0]
    return value


def _event_type(events: EventArray) -> ValueType:
    return ValueType.HIGHRES_EVENT if events.highres else ValueType.EVENT
