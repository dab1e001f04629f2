"""Numbers of a fetch list that are read in a row, and packed with one call where they are neighbours in the reply.

A run is made for what its metrics gave when it was made: which of them have values, for which instances. Whatever is
different at a later fetch (an error, a value more or less, another instance) makes it fail as a whole; then its readers
are asked one by one, which is also the reference that the tests hold it to.

The function of a metric that reads a snapshot may be called again for the same fetch then. Those that take none may do
anything, count their calls for example: they are no members of runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, groupby
from typing import Any, Final

from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster
from pypcp.pmda.readers import ColumnReader, Reader, UnknownReader
from pypcp.pmda.segments import BlockSegment, InPlaceSegment, RunSegment
from pypcp.wire.columns import BLOCK_WORDS, IN_PLACE_TYPES

NUMBER_TYPES: Final = BLOCK_WORDS.keys() | IN_PLACE_TYPES

LONGEST: Final = 128
"""Values of a metric in a run; longer columns have a faster way of their own."""


class _Changed(Exception):
    """Something is not as it was when the run was made."""


@dataclass(slots=True, frozen=True)
class Member:
    """What a metric gives to a run: one number (``indom`` is None), or a column of which the ``present`` have values.

    ``pick`` is what the profile wants of the column. Without ``indom`` and ``present`` there is nothing now.
    """

    reader: Reader
    indom: Indom | None = None
    pick: Callable[[Sequence[Any]], Sequence[Any]] | None = None
    present: tuple[bool, ...] = (True,)

    @property
    def is_without(self) -> bool:
        """Was there neither a number nor a column?"""
        return self.indom is None and not self.present

    def kind(self) -> tuple[Cluster, Indom | None, tuple[bool, ...]]:
        """What neighbours have in common that are read in one loop."""
        return self.reader.metric.cluster, self.indom, self.present


class _Numbers:
    """Metrics of one cluster, each with its one number or each without."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._cluster = members[0].reader.metric.cluster
        self._reads: list[Callable[[Any], Any]] = [member.reader.metric.read for member in members]

    def add_to(self, values: list[Any]) -> None:
        snapshot = self._cluster.snapshot
        values += [read(snapshot) for read in self._reads]


class _Columns(_Numbers):
    """Metrics of one cluster over one instance domain, with values for the same instances."""

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__(members)
        first = members[0]
        assert first.indom is not None
        self._size = len(first.indom)
        self._pick = first.pick
        self._present = first.present
        self._missing = first.present.count(False)

    def add_to(self, values: list[Any]) -> None:
        snapshot, size, pick, missing = self._cluster.snapshot, self._size, self._pick, self._missing
        for read in self._reads:
            column = read(snapshot)
            if len(column) != size:
                raise _Changed
            if pick is not None:
                column = pick(column)
            if not missing:
                values += column  # a None among them could not be packed
            elif column.count(None) == missing:
                values += compress(column, self._present)
            else:
                raise _Changed


class Run(ABC):
    """Metrics at their ``places`` in a fetch list that are read together."""

    def __init__(self, places: Sequence[int], members: Sequence[Member]) -> None:
        self.places = places
        self._clusters = list({member.reader.metric.cluster: None for member in members})
        self._indoms = [(each, each.generation) for each in {member.indom for member in members} if each is not None]
        without = [member for member in members if member.is_without]
        self._having = _steps([member for member in members if not member.is_without])
        self._without = _steps(without)
        self._count_without = len(without)

    def load(self) -> bool:
        """Read all and load their segments. False when anything is not as it was: ask the readers then."""
        for cluster in self._clusters:
            if cluster.failure is not None:
                return False
        for indom, generation in self._indoms:
            if indom.generation != generation:
                return False
        try:
            self._take(_values(self._having))
            return _values(self._without).count(None) == self._count_without
        except Exception:  # noqa: BLE001 - whatever it is, the reader of the metric will tell
            return False

    @abstractmethod
    def _take(self, values: list[Any]) -> None:
        """Load the segments with the values of all members, one after the other."""

    @abstractmethod
    def release(self) -> None:
        """Give the segments back to the readers."""


class BlockRun(Run):
    """Neighbours whose values have blocks, which are packed together."""

    def __init__(self, places: Sequence[int], members: Sequence[Member]) -> None:
        super().__init__(places, members)
        segments = [member.reader.segment for member in members]
        self._segments = [segment for segment in segments if isinstance(segment, BlockSegment)]
        self._together = RunSegment(self._segments)

    def _take(self, values: list[Any]) -> None:
        self._together.load(values)

    def release(self) -> None:
        for segment in self._segments:
            segment.run = None


class WordRun(Run):
    """Metrics whose values are in their value sets, so that each of these is packed anew."""

    def __init__(self, places: Sequence[int], members: Sequence[Member]) -> None:
        super().__init__(places, members)
        segments = [member.reader.segment for member in members]
        self._parts = []
        at = 0
        for segment in segments:
            if isinstance(segment, InPlaceSegment):
                self._parts.append((segment, slice(at, at + segment.count)))
                at += segment.count

    def _take(self, values: list[Any]) -> None:
        for segment, part in self._parts:
            segment.load(values[part])

    def release(self) -> None:
        """They have been the readers' all the time."""


def _values(steps: Iterable[_Numbers]) -> list[Any]:
    values: list[Any] = []
    for step in steps:
        step.add_to(values)
    return values


def _steps(members: Sequence[Member]) -> list[_Numbers]:
    groups = [list(group) for _, group in groupby(members, Member.kind)]
    return [_Numbers(group) if group[0].indom is None else _Columns(group) for group in groups]


def may_run(reader: Reader) -> bool:
    """Is it a metric that can be a member of a run? One of numbers, read from what a source returned."""
    if isinstance(reader, UnknownReader):
        return False
    metric = reader.metric
    return metric.desc.type in NUMBER_TYPES and metric.cluster.refreshes and not metric.per_client


def may_have_blocks(reader: Reader) -> bool:
    """Are there values of this metric that need blocks?"""
    return not isinstance(reader, UnknownReader) and reader.metric.desc.type not in IN_PLACE_TYPES


def member(reader: Reader) -> Member | None:
    """A metric that has just been read, as a member of a run, if it can be one with what it gave."""
    cluster = reader.metric.cluster
    if cluster.failure is not None:
        return None
    try:
        value = reader.metric.read(cluster.snapshot)
    except Exception:  # noqa: BLE001 - the author's code; its reader has told
        return None
    if value is None:
        return Member(reader, present=())
    if isinstance(reader, ColumnReader):
        return _column_member(reader, value)
    return Member(reader) if isinstance(reader.segment, (BlockSegment, InPlaceSegment)) else None


def _column_member(reader: ColumnReader, column: Any) -> Member | None:
    if not isinstance(column, (list, tuple)) or len(column) != len(reader.indom) or not reader.is_current:
        return None
    pick = reader.pick
    present = tuple([value is not None for value in (column if pick is None else pick(column))])
    segment = reader.segment
    count = segment.count if isinstance(segment, (BlockSegment, InPlaceSegment)) else 0
    return Member(reader, reader.indom, pick, present) if present.count(True) == count <= LONGEST else None
