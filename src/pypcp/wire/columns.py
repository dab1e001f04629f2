"""Whole columns of values, encoded at C speed.

The hot side of ``RESULT``: a value set of 10,000 instances is packed with ``array`` and ``struct``, never in a Python
loop per instance. The readable reference for all of it is :mod:`pypcp.wire.result`, and a property test holds the two
together.

A value set (see :mod:`pypcp.wire.result` for the layout) is ``pmid, numval, valfmt`` and then ``numval`` pairs of an
instance and a word. The word is the value itself (INSITU: 32 and U32) or the index, in words from the start of the PDU,
of a value block further back (everything else). So a column is encoded in one of two ways:

* :class:`InPlaceColumn` gives the whole value set anew for each list of values;
* :class:`BlockColumn` gives the blocks anew, while the value set (:func:`pointer_set`) stays as it is for as long as
  nothing in the reply moves.
"""

from __future__ import annotations

import functools
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from pypcp.errors import ConversionError
from pypcp.model.values import Value, ValueFormat, ValueType

_SWAP: Final = sys.byteorder == "little"
_SMALL: Final = 128
"""Up to this many values one struct.pack is faster than the array's four steps (measured: equal at about 130)."""

_EMPTY_SET: Final = struct.Struct(">Ii")
_SET_HEAD: Final = struct.Struct(">IiI")

SET_HEAD_SIZE: Final = _SET_HEAD.size
PAIR_SIZE: Final = 8
BLOCK_LIMIT: Final = 1 << 24
"""The length in a block's head word has 24 bits."""

BLOCK_WORDS: Final = {ValueType.I64: 3, ValueType.U64: 3, ValueType.DOUBLE: 3, ValueType.FLOAT: 2}
"""Words of a value block, by the types whose blocks are all of one size."""

IN_PLACE_TYPES: Final = frozenset({ValueType.I32, ValueType.U32})

_CODES: Final = {
    ValueType.I32: "i",
    ValueType.U32: "I",
    ValueType.I64: "q",
    ValueType.U64: "Q",
    ValueType.FLOAT: "f",
    ValueType.DOUBLE: "d",
}


def empty_set(pmid: int, status: int) -> bytes:
    """A value set without values: ``status`` 0 for "none now", negative for an error."""
    return _EMPTY_SET.pack(pmid, status)


def block_head(type_: int, length: int) -> int:
    """The first word of a value block; ``length`` counts the word itself and the data, not the padding."""
    return type_ << 24 | length


_Column = TypeVar("_Column", "array[int]", "array[float]")


def _big_endian(words: _Column) -> _Column:
    if _SWAP:
        words.byteswap()
    return words


@functools.cache
def _packer(layout: str) -> Callable[..., bytes]:
    """What packs values that lie so. Small columns of one type and length share it: it is larger than they are."""
    return struct.Struct(layout).pack


class InPlaceColumn(Protocol):
    """Encodes the value set, of ``size`` bytes, of a 32-bit metric with always the same instances."""

    @property
    def size(self) -> int: ...

    def encode(self, values: Sequence[int]) -> bytes:
        """The whole value set, of one ``int`` an instance.

        ``struct.error``, ``TypeError`` or ``OverflowError`` when a value is no integer of the type.
        """


def in_place_column(pmid: int, type_: ValueType, instances: Sequence[int]) -> InPlaceColumn:
    """The column of a metric, for at least one instance."""
    if len(instances) == 1:
        return _OneInPlace(pmid, type_, instances[0])
    return _FewInPlace(pmid, type_, instances) if len(instances) <= _SMALL else _ManyInPlace(pmid, type_, instances)


class _OneInPlace:
    __slots__ = ("_head", "_pack")

    size = SET_HEAD_SIZE + PAIR_SIZE

    def __init__(self, pmid: int, type_: ValueType, instance: int) -> None:
        self._head = struct.pack(">IiIi", pmid, 1, ValueFormat.INSITU, instance)
        self._pack = _packer(">" + _CODES[type_])

    def encode(self, values: Sequence[int]) -> bytes:
        return self._head + self._pack(values[0])


class _FewInPlace:
    __slots__ = ("_pack", "_pairs", "size")

    def __init__(self, pmid: int, type_: ValueType, instances: Sequence[int]) -> None:
        count = len(instances)
        self.size = SET_HEAD_SIZE + PAIR_SIZE * count
        self._pack = _packer(">IiI" + ("i" + _CODES[type_]) * count)
        self._pairs = [pmid, count, ValueFormat.INSITU]
        for instance in instances:
            self._pairs += (instance, 0)

    def encode(self, values: Sequence[int]) -> bytes:
        pairs = self._pairs
        pairs[4::2] = values
        return self._pack(*pairs)


class _ManyInPlace:
    __slots__ = ("_code", "_words", "size")

    def __init__(self, pmid: int, type_: ValueType, instances: Sequence[int]) -> None:
        count = len(instances)
        self.size = SET_HEAD_SIZE + PAIR_SIZE * count
        self._code = _CODES[type_]
        words = array("I", [pmid, count, ValueFormat.INSITU])
        words.extend([0] * (2 * count))
        words[3::2] = array("I", array("i", instances).tobytes())
        self._words = _big_endian(words)

    def encode(self, values: Sequence[int]) -> bytes:
        column = array(self._code, values)
        self._words[4::2] = array("I", _big_endian(column).tobytes())
        return self._words.tobytes()


class BlockColumn(Protocol):
    """Encodes the value blocks, ``size`` bytes, of a 64-bit or floating-point metric with always as many values."""

    @property
    def size(self) -> int: ...

    def encode(self, values: Sequence[int | float]) -> bytes:
        """The blocks, back to back, of one number an instance; the same errors as of :class:`InPlaceColumn`."""


def block_column(type_: ValueType, count: int) -> BlockColumn:
    """The column of a metric with ``count`` values, at least one."""
    if count == 1:
        return _OneBlock(type_)
    return _FewBlocks(type_, count) if count <= _SMALL else _ManyBlocks(type_, count)


class _OneBlock:
    __slots__ = ("_head", "_pack", "size")

    def __init__(self, type_: ValueType) -> None:
        self.size = 4 * BLOCK_WORDS[type_]
        self._head = block_head(type_, self.size)
        self._pack = _packer(">I" + _CODES[type_])

    def encode(self, values: Sequence[int | float]) -> bytes:
        return self._pack(self._head, values[0])


class _FewBlocks:
    __slots__ = ("_args", "_pack", "size")

    def __init__(self, type_: ValueType, count: int) -> None:
        block_size = 4 * BLOCK_WORDS[type_]
        self.size = block_size * count
        self._pack = _packer(">" + ("I" + _CODES[type_]) * count)
        self._args: list[int | float] = [block_head(type_, block_size), 0] * count

    def encode(self, values: Sequence[int | float]) -> bytes:
        args = self._args
        args[1::2] = values
        return self._pack(*args)


class _ManyBlocks:
    __slots__ = ("_code", "_words", "size")

    def __init__(self, type_: ValueType, count: int) -> None:
        block_words = BLOCK_WORDS[type_]
        self.size = 4 * block_words * count
        self._code = _CODES[type_]
        self._words = _big_endian(array("I", ([block_head(type_, 4 * block_words)] + [0] * (block_words - 1)) * count))

    def encode(self, values: Sequence[int | float]) -> bytes:
        column: array[float] = array(self._code, values)
        numbers = array("I", _big_endian(column).tobytes())
        words = self._words
        if column.itemsize == words.itemsize:
            words[1::2] = numbers
        else:
            words[1::3] = numbers[0::2]
            words[2::3] = numbers[1::2]
        return words.tobytes()


class BlockRun:
    """Encodes the value blocks of several columns, one behind the other: ``columns`` are their types and lengths.

    ``encode(values)`` takes the numbers of all columns in a row; the same errors as :class:`BlockColumn`, and
    ``ValueError`` when there are more or fewer.
    """

    __slots__ = ("_args", "_pack")

    def __init__(self, columns: Sequence[tuple[ValueType, int]]) -> None:
        # Not shared: hardly two lists have one alike.
        self._pack = struct.Struct(">" + "".join([("I" + _CODES[type_]) * count for type_, count in columns])).pack
        self._args: list[int | float] = []
        for type_, count in columns:
            self._args += [block_head(type_, 4 * BLOCK_WORDS[type_]), 0] * count

    def encode(self, values: Sequence[int | float]) -> bytes:
        """The blocks."""
        args = self._args
        args[1::2] = values
        return self._pack(*args)


def pointer_set(
    pmid: int, instances: Sequence[int], first_word: int, block_words: int, format_: int = ValueFormat.DPTR
) -> bytes:
    """The value set of a column whose blocks are all ``block_words`` long and start at ``first_word`` of the PDU."""
    count = len(instances)
    words = array("I", [pmid, count, format_])
    words.extend([0] * (2 * count))
    words[3::2] = array("I", array("i", instances).tobytes())
    words[4::2] = array("I", range(first_word, first_word + block_words * count, block_words))
    return _big_endian(words).tobytes()


def pointer_set_of(
    pmid: int, instances: Sequence[int], first_word: int, sizes: Sequence[int], format_: int = ValueFormat.DPTR
) -> bytes:
    """The value set of values whose blocks have different ``sizes`` (in words), the first at ``first_word``."""
    words = array("I", [pmid, len(instances), format_])
    at = first_word
    for instance, size in zip(instances, sizes, strict=True):
        words.append(instance & 0xFFFFFFFF)
        words.append(at)
        at += size
    return _big_endian(words).tobytes()


def block(type_: int, data: bytes) -> bytes:
    """One value block of any type: head word, data, ``~`` up to a whole word. ``ValueError``: it is too long."""
    size = 4 + len(data)
    if size >= BLOCK_LIMIT:
        raise ValueError(f"a value of {len(data)} bytes, at most {BLOCK_LIMIT - 5}")
    return struct.pack(">I", block_head(type_, size)) + data + b"~" * (-size % 4)


# Decoders.


def read_pairs(data: bytes | memoryview, at: int, count: int) -> tuple[list[int], list[int]]:
    """The instances and the words of ``count`` pairs at byte ``at``, which must all be there."""
    if count <= _SMALL:
        pairs = struct.unpack_from(">" + "iI" * count, data, at)
        return list(pairs[0::2]), list(pairs[1::2])
    words = _big_endian(array("I", bytes(data[at : at + PAIR_SIZE * count])))
    return array("i", words[0::2].tobytes()).tolist(), words[1::2].tolist()


def read_blocks(data: bytes | memoryview, pointers: list[int], end: int, type_: ValueType) -> list[int | float] | None:
    """The values of blocks of one size that stand back to back; None where they do not, or are not all of ``type_``.

    The first pointer must lie in ``data``, whose blocks end at byte ``end``.
    """
    count, size = len(pointers), BLOCK_WORDS[type_]
    first = pointers[0]
    if 4 * (first + size * count) > end or pointers != list(range(first, first + size * count, size)):
        return None
    words = array("I", bytes(data[4 * first : 4 * (first + size * count)]))
    if words[0::size].tobytes() != struct.pack(">I", block_head(type_, 4 * size)) * count:
        return None
    values: array[float] = array(_CODES[type_], _payload(words, size))
    return list(_big_endian(values))


def _payload(words: array[int], size: int) -> bytes:
    """What follows the first word of every block."""
    if size == 2:
        return words[1::2].tobytes()
    payload = array("I", bytes(8 * (len(words) // size)))
    payload[0::2] = words[1::3]
    payload[1::2] = words[2::3]
    return payload.tobytes()


def reinterpret(words: Sequence[Value], type_: ValueType | int) -> list[Value]:
    """Words in place as what they stand for: I32, U32 or FLOAT; ``ConversionError`` for any other type."""
    if type_ == ValueType.U32:
        return list(words)
    if type_ not in (ValueType.I32, ValueType.FLOAT):
        raise ConversionError(f"values in place cannot be of type {type_}")
    unsigned = array("I", words)  # type: ignore[type-var]  # what is no int is refused
    return list(array(_CODES[ValueType(type_)], unsigned.tobytes()))
