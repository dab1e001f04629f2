"""Event arrays: the values of EVENT and HIGHRES_EVENT metrics, records with parameters.

An array is a count of records (i32), then the records, packed. A record:

=======  =======  ====================================================
EVENT    HIGHRES
=======  =======  ====================================================
i32      i64      seconds
i32      i64      microseconds; HIGHRES: nanoseconds
u32      u32      flags, :class:`pypcp.model.events.EventFlags`
i32      i32      count of parameters; with MISSED the count of records lost, and no parameters
=======  =======  ====================================================

A parameter is a pmid (u32), a word with its type (bits 31-24) and length (23-0; counts this word and the value), the
value (big-endian; texts without NUL), and zeros up to a whole word.
"""

from __future__ import annotations

import struct
from typing import Final

from pypcp.errors import RemoteProtocolError
from pypcp.model.events import EventArray, EventFlags, EventParameter, EventRecord
from pypcp.model.values import ValueType
from pypcp.wire.buffer import Reader, seconds_word, to_bytes, to_text

NUMBERS: Final[dict[int, struct.Struct]] = {
    ValueType.I32: struct.Struct(">i"),
    ValueType.U32: struct.Struct(">I"),
    ValueType.I64: struct.Struct(">q"),
    ValueType.U64: struct.Struct(">Q"),
    ValueType.FLOAT: struct.Struct(">f"),
    ValueType.DOUBLE: struct.Struct(">d"),
}
"""The layout of a number, by type."""

AGGREGATES: Final = frozenset({ValueType.AGGREGATE, ValueType.AGGREGATE_STATIC})
SIZE_LIMIT: Final = 1 << 24
"""What has its type and length in one word is shorter than this."""

_MAX_NSEC: Final = 10**9
_COUNT = struct.Struct(">i")
_RECORD = struct.Struct(">IiIi")
_HIGHRES_RECORD = struct.Struct(">qqIi")
_PARAMETER_HEAD = 8


def encode_events(events: EventArray) -> bytes:
    """The bytes of an event array; ``struct.error``, ``TypeError`` or ``ValueError`` where something does not fit."""
    parts = [_COUNT.pack(len(events.records))]
    for record in events.records:
        parts.append(_record_head(record, events.highres))
        parts += map(_encode_parameter, record.parameters)
    return b"".join(parts)


def decode_events(data: bytes, *, highres: bool) -> EventArray:
    """The event array of the bytes; ``RemoteProtocolError`` where they are none."""
    reader = Reader(data)
    size = (_HIGHRES_RECORD if highres else _RECORD).size
    records = tuple(_read_record(reader, highres) for _ in range(reader.count(size)))
    reader.finish()
    return EventArray(records, highres)


def _record_head(record: EventRecord, highres: bool) -> bytes:
    seconds, nanoseconds = divmod(record.time_ns, _MAX_NSEC)
    missed = bool(record.flags & EventFlags.MISSED)
    if missed and record.parameters:
        raise ValueError("a record of missed events has no parameters")
    if highres:
        # The C library loses the count of missed records in this form; what it sends is what peers know.
        return _HIGHRES_RECORD.pack(seconds, nanoseconds, record.flags, len(record.parameters))
    count = record.missed if missed else len(record.parameters)
    return _RECORD.pack(seconds_word(seconds), nanoseconds // 1000, record.flags, count)


def _read_record(reader: Reader, highres: bool) -> EventRecord:
    seconds, fraction = (reader.i64(), reader.i64()) if highres else (reader.i32(), reader.i32() * 1000)
    flags = EventFlags(reader.u32())
    time_ns = seconds * _MAX_NSEC + fraction
    if flags & EventFlags.MISSED:
        return EventRecord(time_ns, flags, missed=reader.i32())
    count = reader.count(_PARAMETER_HEAD)
    return EventRecord(time_ns, flags, tuple(_read_parameter(reader) for _ in range(count)))


def _encode_parameter(parameter: EventParameter) -> bytes:
    data = _encode_plain(parameter.type, parameter.value)
    size = 4 + len(data)
    if size >= SIZE_LIMIT:
        raise ValueError(f"an event parameter of {len(data)} bytes")
    return struct.pack(">II", parameter.pmid, parameter.type << 24 | size) + data + bytes(-size % 4)


def _read_parameter(reader: Reader) -> EventParameter:
    pmid, word = reader.u32(), reader.u32()
    data = reader.padded((word & 0xFFFFFF) - 4)
    return EventParameter(pmid, *_decode_plain(word >> 24, data))


def _encode_plain(type_: ValueType, value: int | float | str | bytes) -> bytes:
    if (number := NUMBERS.get(type_)) is not None:
        return number.pack(value)
    if type_ is ValueType.STRING and isinstance(value, str):
        return to_bytes(value)
    if type_ in AGGREGATES and isinstance(value, bytes):
        return value
    raise TypeError(f"{type(value).__name__} is no value of an event parameter of type {type_!r}")


def _decode_plain(code: int, data: bytes) -> tuple[ValueType, int | float | str | bytes]:
    if code == ValueType.STRING:
        return ValueType.STRING, to_text(data)
    if code in AGGREGATES:
        return ValueType(code), data
    number = NUMBERS.get(code)
    if number is None or number.size != len(data):
        raise RemoteProtocolError(f"an event parameter of type {code} with {len(data)} bytes")
    return ValueType(code), number.unpack(data)[0]
