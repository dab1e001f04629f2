"""What a fetch gives: for each metric a segment of the reply, encoded but not yet placed.

A reply is a prologue, then the value sets of all metrics, then the value blocks of all metrics; a value set points at
its blocks by their place in the whole. So a segment has two parts, of which one (the ``payload``) is encoded anew with
each fetch:

* values in place (32-bit integers), no values, an error: the payload is the value set, there are no blocks;
* all others: the payload is the blocks, and :meth:`Segment.place` gives the value set once it is known where they go.

While nothing in a reply changes its size the value sets that point at blocks stay as they are, and a repeated fetch is
refresh, pack, join. :class:`Fetched` says when that is over: its ``layout`` is another object from then on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pypcp.model.values import ValueType
from pypcp.wire.columns import (
    BLOCK_WORDS,
    IN_PLACE_TYPES,
    PAIR_SIZE,
    SET_HEAD_SIZE,
    BlockRun,
    block,
    block_column,
    empty_set,
    in_place_column,
    pointer_set,
    pointer_set_of,
)
from pypcp.wire.events import encode_events

ENCODING_ERRORS: Final = (struct.error, TypeError, ValueError, OverflowError, AttributeError)
"""What encoding a value that is not of its metric's type can raise."""


class Segment:
    """One metric's part of a reply: a value set of ``set_size`` bytes, and blocks of ``block_size`` bytes.

    The blocks of a segment in a ``run`` are in the payload of that, ``offset`` words from its beginning.
    """

    __slots__ = ("block_size", "payload", "set_size")

    payload: bytes
    set_size: int
    block_size: int
    run: RunSegment | None = None
    offset = 0

    def place(self, first_word: int) -> bytes:
        """The value set, its blocks starting ``first_word`` words into the PDU. Not for segments without blocks."""
        raise NotImplementedError


class EmptySegment(Segment):
    """No values: ``status`` 0 for "none now", else the (negative) code of the error."""

    __slots__ = ("status",)

    def __init__(self, pmid: int, status: int) -> None:
        self.status = status
        self.payload = empty_set(pmid, status)
        self.set_size = len(self.payload)
        self.block_size = 0


class InPlaceSegment(Segment):
    """32-bit integers, always for the same instances."""

    __slots__ = ("_column", "count")

    def __init__(self, pmid: int, type_: ValueType, instances: Sequence[int]) -> None:
        self._column = in_place_column(pmid, type_, instances)
        self.count = len(instances)
        self.set_size = self._column.size
        self.block_size = 0
        self.payload = b""

    def load(self, values: Sequence[Any]) -> None:
        """Take one integer an instance; ``ENCODING_ERRORS``."""
        self.payload = self._column.encode(values)


class BlockSegment(Segment):
    """64-bit and floating-point numbers, always for the same instances."""

    __slots__ = ("_column", "_instances", "_pmid", "count", "offset", "run", "type")

    def __init__(self, pmid: int, type_: ValueType, instances: Sequence[int]) -> None:
        self._column = block_column(type_, len(instances))
        self.type, self.count = type_, len(instances)
        self.run: RunSegment | None = None
        self.offset = 0
        self._pmid, self._instances = pmid, instances
        self.set_size = SET_HEAD_SIZE + PAIR_SIZE * len(instances)
        self.block_size = self._column.size
        self.payload = b""

    def load(self, values: Sequence[Any]) -> None:
        """Take one number an instance; ``ENCODING_ERRORS``."""
        self.payload = self._column.encode(values)

    def place(self, first_word: int) -> bytes:
        return pointer_set(self._pmid, self._instances, first_word, BLOCK_WORDS[self.type])


class RunSegment(Segment):
    """The blocks of several metrics, back to back; each of these knows its ``run``, which does not know them."""

    __slots__ = ("_blocks",)

    def __init__(self, members: Sequence[BlockSegment]) -> None:
        self._blocks = BlockRun([(member.type, member.count) for member in members])
        self.set_size = self.block_size = 0
        self.payload = b""
        for member in members:
            member.run, member.offset = self, self.block_size >> 2
            self.block_size += member.block_size

    def load(self, values: Sequence[Any]) -> None:
        """Take the numbers of all members, one after the other; ``ENCODING_ERRORS``."""
        self.payload = self._blocks.encode(values)


class VariableSegment(Segment):
    """Values whose blocks differ in size: strings, aggregates, event records."""

    __slots__ = ("_instances", "_pmid", "_strings", "_type", "sizes")

    def __init__(self, pmid: int, type_: ValueType, instances: Sequence[int]) -> None:
        self._pmid, self._type, self._instances = pmid, type_, instances
        self._strings: list[Any] | None = None
        self.set_size = SET_HEAD_SIZE + PAIR_SIZE * len(instances)
        self.block_size = 0
        self.sizes: tuple[int, ...] = ()
        self.payload = b""

    def load(self, values: Sequence[Any]) -> bool:
        """Take one value an instance; did a block change its size? ``ENCODING_ERRORS``."""
        if self._type is ValueType.STRING:  # most are names, which stay as they are
            strings = list(values)
            if strings == self._strings:
                return False
            self._strings = None
            grown = self._encode(strings)
            self._strings = strings
            return grown
        return self._encode(values)

    def _encode(self, values: Sequence[Any]) -> bool:
        encode = _BLOCK_DATA[self._type]
        blocks = [block(self._type, encode(value)) for value in values]
        sizes = tuple([len(each) >> 2 for each in blocks])
        self.payload = b"".join(blocks)
        if sizes == self.sizes:
            return False
        self.sizes, self.block_size = sizes, len(self.payload)
        return True

    def place(self, first_word: int) -> bytes:
        return pointer_set_of(self._pmid, self._instances, first_word, self.sizes, _FORMATS.get(self._type, 1))


def _string_data(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError("a string value ends at its first NUL; give bytes and the type AGGREGATE instead")
    return data + b"\0"


_BLOCK_DATA: Final[dict[ValueType, Callable[[Any], bytes]]] = {
    ValueType.STRING: _string_data,
    ValueType.AGGREGATE: bytes,
    ValueType.AGGREGATE_STATIC: bytes,
    ValueType.EVENT: encode_events,
    ValueType.HIGHRES_EVENT: encode_events,
}

EVENT_TYPES: Final = frozenset({ValueType.EVENT, ValueType.HIGHRES_EVENT})

_FORMATS: Final = {ValueType.AGGREGATE_STATIC: 2, ValueType.EVENT: 2, ValueType.HIGHRES_EVENT: 2}
"""PM_VAL_SPTR where stock's own value builder uses it; receivers treat both alike."""


def segment_for(
    pmid: int, type_: ValueType, instances: Sequence[int]
) -> InPlaceSegment | BlockSegment | VariableSegment:
    """The segment that encodes values of ``type_`` for ``instances`` (at least one)."""
    if type_ in IN_PLACE_TYPES:
        return InPlaceSegment(pmid, type_, instances)
    if type_ in _BLOCK_DATA:
        return VariableSegment(pmid, type_, instances)
    return BlockSegment(pmid, type_, instances)


@dataclass(slots=True, eq=False)
class Fetched:
    """The segments of one fetch, in the order of its metrics.

    An agent may return the same object again with new payloads; ``layout`` is replaced when any segment was, or
    changed its size. ``changes`` are the agent's notices (a ``StateChange`` mask) that go with this reply. ``shared``:
    another client that asks the same at the same moment may have the same answer.
    """

    segments: list[Segment]
    layout: object = field(default_factory=object)
    changes: int = 0
    shared: bool = True
