"""RESULT and HIGHRES_RESULT: values of metrics, and the readable reference for their encoding.

The fast way for whole columns is :mod:`pypcp.wire.columns`; this module is what it must agree with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from pypcp.errors import ConversionError, RemoteProtocolError, from_code
from pypcp.model.values import Value, ValueFormat, ValueSet, ValueType
from pypcp.wire import columns
from pypcp.wire.blocks import BLOCK_TYPES, HEAD_SIZE, UNTYPED, decode_value, encode_value, head
from pypcp.wire.buffer import Reader, Writer, pad4, seconds_word
from pypcp.wire.pdu import Envelope, Pdu, PduType, register
from pypcp.wire.versions import Channel, is_version_1, value_sets_from_v1, value_sets_to_v1

_NSEC: Final = 10**9
_IN_PLACE: Final = (None, ValueType.I32, ValueType.U32)


@register
@dataclass(frozen=True, slots=True)
class Result(Pdu):
    """RESULT and HIGHRES_RESULT (``highres``): the answer to a fetch; from a client or to an agent, values to store.

    ======  =======  ====================================================
    RESULT  HIGHRES
    ======  =======  ====================================================
     20      12      i32, count of value sets
     12      16      i32, i64: seconds
     16      24      i32 microseconds, i64 nanoseconds
     24      32      value sets, packed, in the order asked for
     ...     ...     value blocks (:mod:`pypcp.wire.blocks`), back to back, to the end of the PDU
    ======  =======  ====================================================

    A value set: pmid u32; count i32, negative: an error, 0: no value; and if there are values: format i32, and for each
    an instance i32 and a word. The word is the value (format 0, INSITU), or the number of words from the start of the
    PDU to its block (1 DPTR, 2 SPTR). Every block belongs to exactly one value.

    An agent's RESULT carries state changes in place of the seconds; in a store the time means nothing.
    """

    pdu_types: ClassVar = (PduType.RESULT, PduType.HIGHRES_RESULT)
    time_ns: int
    value_sets: list[ValueSet]
    highres: bool = False
    sender: int = 0

    @property
    def pdu_type(self) -> int:
        """The type in the header."""
        return PduType.HIGHRES_RESULT if self.highres else PduType.RESULT

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        seconds, nanoseconds = divmod(self.time_ns, _NSEC)
        if self.highres:
            writer.i32(len(self.value_sets))
            writer.i64(seconds)
            writer.i64(nanoseconds)
        else:
            writer.u32(seconds_word(seconds))
            writer.i32(nanoseconds // 1000)
            writer.i32(len(self.value_sets))
        write_value_sets(writer, value_sets_to_v1(self.value_sets) if is_version_1(channel) else self.value_sets)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> Result:
        """Prologue, then value sets and their blocks."""
        highres = envelope.type == PduType.HIGHRES_RESULT
        if highres:
            count, time_ns = reader.i32(), reader.i64() * _NSEC + reader.i64()
        else:
            time_ns, count = reader.i32() * _NSEC + reader.i32() * 1000, reader.i32()
        value_sets = read_value_sets(reader, count)
        if is_version_1(envelope.channel):
            value_sets = value_sets_from_v1(value_sets)
        return cls(time_ns, value_sets, highres, envelope.sender)


def typed(value_set: ValueSet, type_: ValueType | int) -> ValueSet:
    """The same values, of the type that the metric's descriptor tells.

    Words in place become signed (I32) or floats (FLOAT, an old habit of agents); blocks that do not say their type are
    read as this type. :class:`ConversionError` where the values cannot be of this type, ``RemoteProtocolError`` where
    the bytes of an untyped block are no such value.
    """
    if value_set.type == type_ or not value_set.values:
        return value_set
    values = value_set.values
    if value_set.type is None and value_set.format is ValueFormat.INSITU:
        values = columns.reinterpret(values, type_)
    elif value_set.type is None and type_ in BLOCK_TYPES:
        values = [decode_value(type_, data) for data in values if isinstance(data, bytes)]
    elif {value_set.type, type_} != {ValueType.AGGREGATE, ValueType.AGGREGATE_STATIC}:
        raise ConversionError(f"metric {value_set.pmid} is of type {type_}, its values are of {value_set.type}")
    return ValueSet(value_set.pmid, value_set.instances, values, type=ValueType(type_), format=value_set.format)


# Encoding.


def write_value_sets(writer: Writer, value_sets: Sequence[ValueSet]) -> None:
    """Appends value sets and then their blocks; the end of the prologue is where ``writer`` stands."""
    blocks = [_blocks_of(value_set) for value_set in value_sets]
    next_block = writer.at + sum(_set_size(value_set) for value_set in value_sets)
    for value_set, datas in zip(value_sets, blocks, strict=True):
        if value_set.error is not None or not value_set.values:
            _write_empty_set(writer, value_set)
        elif datas:
            next_block = _write_pointer_set(writer, value_set, datas, next_block)
        else:
            _write_in_place_set(writer, value_set)
    for value_set, datas in zip(value_sets, blocks, strict=True):
        for data in datas:
            writer.u32(head(UNTYPED if value_set.type is None else value_set.type, len(data)))
            writer.padded(data)


def _is_in_place(value_set: ValueSet) -> bool:
    if value_set.type is None:
        return value_set.format is ValueFormat.INSITU
    return value_set.type in _IN_PLACE


def _set_size(value_set: ValueSet) -> int:
    if value_set.error is not None or not value_set.values:
        return 8
    return 12 + 8 * len(value_set.values)


def _blocks_of(value_set: ValueSet) -> list[bytes]:
    if value_set.error is not None or _is_in_place(value_set):
        return []
    if value_set.type is None:
        return [_untyped(value) for value in value_set.values]
    return [encode_value(value_set.type, value) for value in value_set.values]


def _untyped(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"a {type(value).__name__} needs a type to be sent in a block")
    return value


def _write_empty_set(writer: Writer, value_set: ValueSet) -> None:
    writer.u32(value_set.pmid)
    writer.i32(0 if value_set.error is None else value_set.error.code)


def _write_in_place_set(writer: Writer, value_set: ValueSet) -> None:
    writer.u32(value_set.pmid)
    writer.i32(len(value_set.values))
    writer.u32(ValueFormat.INSITU)
    write_value = writer.i32 if value_set.type is ValueType.I32 else writer.u32
    for instance, value in zip(value_set.instances, value_set.values, strict=True):
        writer.i32(instance)
        write_value(value)  # type: ignore[arg-type]  # what is no int is refused by struct


def _write_pointer_set(writer: Writer, value_set: ValueSet, datas: list[bytes], next_block: int) -> int:
    writer.u32(value_set.pmid)
    writer.i32(len(datas))
    writer.u32(value_set.format or ValueFormat.DPTR)
    for instance, data in zip(value_set.instances, datas, strict=True):
        writer.i32(instance)
        writer.u32(next_block // 4)
        next_block += pad4(HEAD_SIZE + len(data))
    return next_block


# Decoding.


class _Head(NamedTuple):
    """A value set as it stands in front of the blocks."""

    pmid: int
    numval: int
    format: ValueFormat
    instances: list[int]
    words: list[int]


def read_value_sets(reader: Reader, count: int) -> list[ValueSet]:
    """``count`` value sets and then their blocks, which must fill ``reader`` to its end: no gap, nothing shared.

    ``RemoteProtocolError`` for anything else.
    """
    heads = [_read_head(reader) for _ in range(reader.holds(count, 8))]
    region = _BlockRegion(reader)
    value_sets = [_value_set(entry, region) for entry in heads]
    region.finish()
    return value_sets


def _read_head(reader: Reader) -> _Head:
    pmid, count = reader.u32(), reader.i32()
    if count <= 0:
        return _Head(pmid, count, ValueFormat.INSITU, [], [])
    format_ = reader.u32()
    if format_ > ValueFormat.SPTR:
        raise RemoteProtocolError(f"value format {format_}")
    at = reader.skip(columns.PAIR_SIZE * count)
    return _Head(pmid, count, ValueFormat(format_), *columns.read_pairs(reader.data, at, count))


def _value_set(entry: _Head, region: _BlockRegion) -> ValueSet:
    if entry.numval < 0:
        return ValueSet(entry.pmid, error=from_code(entry.numval))
    if entry.numval == 0:
        return ValueSet(entry.pmid)
    if entry.format is ValueFormat.INSITU:
        return ValueSet(entry.pmid, entry.instances, entry.words, format=entry.format)
    type_, values = region.values(entry.words)
    return ValueSet(entry.pmid, entry.instances, values, type=type_, format=entry.format)


class _BlockRegion:
    """What follows the value sets: blocks that must tile it, each belonging to one value, in any order."""

    def __init__(self, reader: Reader) -> None:
        self._data = reader.data
        self._start = reader.at
        self._end = reader.end
        self._room = reader.remaining
        self._spans: list[tuple[int, int]] = []
        reader.skip(reader.remaining)

    def values(self, pointers: list[int]) -> tuple[ValueType | None, Sequence[Value]]:
        """The values of one set and the type that its blocks have in common."""
        code = self._head(4 * pointers[0]) >> 24
        type_ = BLOCK_TYPES.get(code)
        if type_ is None and code != UNTYPED:
            raise RemoteProtocolError(f"a value block of type {code}")
        if type_ in columns.BLOCK_WORDS:
            column = columns.read_blocks(self._data, pointers, self._end, type_)
            if column is not None:
                self._take(4 * pointers[0], 4 * columns.BLOCK_WORDS[type_] * len(pointers))
                return type_, column
        datas = [self._block(4 * pointer, code) for pointer in pointers]
        return type_, datas if type_ is None else [decode_value(type_, data) for data in datas]

    def finish(self) -> None:
        """Demands that the blocks taken are exactly the region."""
        at = self._start
        for offset, size in sorted(self._spans):
            if offset != at:
                raise RemoteProtocolError("value blocks with a gap or in one another")
            at += size
        if at != self._end:
            raise RemoteProtocolError(f"{self._end - at} bytes after the last value block")

    def _head(self, offset: int) -> int:
        if offset > self._end - HEAD_SIZE:
            raise RemoteProtocolError(f"a value block at byte {offset} of {self._end}")
        return Reader(self._data, offset).u32()

    def _block(self, offset: int, code: int) -> bytes:
        word = self._head(offset)
        size = word & 0xFFFFFF
        if word >> 24 != code:
            raise RemoteProtocolError(f"value blocks of types {code} and {word >> 24} in one value set")
        if size < HEAD_SIZE or offset + pad4(size) > self._end:
            raise RemoteProtocolError(f"a value block of {size} bytes at byte {offset} of {self._end}")
        self._take(offset, pad4(size))
        return bytes(self._data[offset + HEAD_SIZE : offset + size])

    def _take(self, offset: int, size: int) -> None:
        # Counted as they are taken: values that share a block would otherwise multiply it.
        self._room -= size
        if self._room < 0:
            raise RemoteProtocolError("value blocks are shared")
        self._spans.append((offset, size))
