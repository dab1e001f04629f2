"""What is in a file of memory-mapped values: a pure reader of the format that applications write. See: mmv(5).

All words are the application's own, so this machine's. A file is a header, a table of contents, and its sections:
instance domains, instances, metrics, values, texts and labels; they refer to one another by offsets from the start of
the file, none of which is believed before it was looked at.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, Final

from pypcp.model.ids import PM_INDOM_NULL
from pypcp.model.labels import LabelType
from pypcp.model.units import USEC, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.wire.label import label_set

_HEADER: Final = struct.Struct("=4sIQQIIiI")
_SECTION: Final = struct.Struct("=IIQ")
_INDOM: Final = struct.Struct("=IIQQQ")
_INSTANCE: Final = {1: struct.Struct("=Qii64s"), 2: struct.Struct("=QiiQ")}
_METRIC: Final = {1: struct.Struct("=64sIiiIIiQQ"), 2: struct.Struct("=QIiiIIiQQ")}
_VALUE: Final = struct.Struct("=8sqQQ")
_LABEL: Final = struct.Struct("=IIi244s")

_SEMANTICS: Final = {0: Semantics.COUNTER, **{int(each): each for each in Semantics}}
"""0 is what those say who say nothing, stock's Python module among them; stock's agent makes a counter of it."""

HEADER_SIZE: Final = _HEADER.size
VALUE_SIZE: Final = _VALUE.size
TEXT_SIZE: Final = 256
ELAPSED: Final = 9
"""A type of its own: a 64-bit counter of microseconds that may be running."""

_MAX_SECTIONS: Final = 64
_LEVELS: Final = LabelType.CLUSTER | LabelType.ITEM | LabelType.INDOM | LabelType.INSTANCES


class MmvFlag(IntFlag):
    """MMV_FLAG_*: what the application wants."""

    NOPREFIX = 1
    """The names of its metrics do not begin with the name of the file."""
    PROCESS = 2
    """Its values count only while it runs."""
    SENTINEL = 4
    """A value of which all bits are set is none."""


class _Section(IntEnum):
    INDOMS = 1
    INSTANCES = 2
    METRICS = 3
    VALUES = 4
    TEXTS = 5
    LABELS = 6


@dataclass(frozen=True, slots=True)
class Header:
    """The beginning of a file. ``complete``: the application has finished writing it."""

    version: int
    generation: int
    complete: bool
    sections: int
    flags: MmvFlag
    pid: int
    cluster: int


@dataclass(slots=True)
class MappedIndom:
    """An instance domain of the file, by its serial."""

    serial: int
    help: str
    instances: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class MappedMetric:
    """A metric. ``places``: where in the file each instance has its value (None: the only one)."""

    name: str
    item: int
    type: ValueType
    elapsed: bool
    sem: Semantics
    units: Units
    serial: int | None
    help: str
    places: dict[int | None, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MappedLabel:
    """Labels or notes at one level: of the cluster, an item, an indom's serial, or one of its instances."""

    level: LabelType
    optional: bool
    ident: int
    instance: int
    labels: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """All of a file but its values."""

    header: Header
    indoms: dict[int, MappedIndom]
    metrics: list[MappedMetric]
    labels: list[MappedLabel]


def read_header(data: bytes) -> Header:
    """``ValueError``: this is no such file."""
    if len(data) < HEADER_SIZE:
        raise ValueError("too short")
    tag, version, first, second, sections, flags, pid, cluster = _HEADER.unpack_from(data)
    if tag != b"MMV\0" or version not in (1, 2, 3):
        raise ValueError("not a file of memory-mapped values")
    complete = first == second and first != 0
    return Header(version, first, complete, sections, MmvFlag(flags & 7), pid, cluster)


def read_layout(data: bytes) -> Layout:
    """``ValueError`` says what is wrong in a whole file."""
    header = read_header(data)
    reader = _LayoutReader(data, header)
    indoms = {indom.serial: indom for indom in reader.indoms()}
    metrics = reader.metrics()
    reader.place_values(metrics)
    return Layout(header, indoms, list(metrics.values()), list(reader.labels()))


class _LayoutReader:
    """The sections of a file, each looked at within its bounds."""

    def __init__(self, data: bytes, header: Header) -> None:
        self._data = data
        self._kind = 1 if header.version == 1 else 2
        self._sections: dict[int, tuple[int, int]] = {}
        if not 2 <= header.sections <= _MAX_SECTIONS:
            raise ValueError(f"{header.sections} sections")
        for index in range(header.sections):
            type_, count, offset = self._at(_SECTION, HEADER_SIZE + index * _SECTION.size)
            self._sections[type_] = (count, offset)

    def indoms(self) -> Iterator[MappedIndom]:
        for _, (serial, count, first, short, long) in self._entries(_Section.INDOMS, _INDOM):
            indom = MappedIndom(serial, self._help(short, long))
            layout = _INSTANCE[self._kind]
            for index in range(self._bounded(count, first, layout.size)):
                _, _, number, name = self._at(layout, first + index * layout.size)
                indom.instances[number] = self._name(name)
            yield indom

    def metrics(self) -> dict[int, MappedMetric]:
        """By the offset at which a metric stands: that is how its values refer to it."""
        found: dict[int, MappedMetric] = {}
        for at, entry in self._entries(_Section.METRICS, _METRIC[self._kind]):
            name, item, type_, sem, units, serial, _, short, long = entry
            elapsed = type_ == ELAPSED
            if not elapsed and not ValueType.I32 <= type_ <= ValueType.STRING:
                continue
            found[at] = MappedMetric(
                self._name(name),
                item,
                ValueType.I64 if elapsed else ValueType(type_),
                elapsed,
                _SEMANTICS.get(sem, Semantics.INSTANT),
                USEC if elapsed else Units.unpack(units),
                None if serial in (0, PM_INDOM_NULL) else serial,
                self._help(short, long),
            )
        return found

    def place_values(self, metrics: dict[int, MappedMetric]) -> None:
        for at, (_, _, metric_at, instance_at) in self._entries(_Section.VALUES, _VALUE):
            metric = metrics.get(metric_at)
            if metric is not None:
                instance = None if metric.serial is None else self._at(_INSTANCE[self._kind], instance_at)[2]
                metric.places[instance] = at

    def labels(self) -> Iterator[MappedLabel]:
        for _, (flags, ident, instance, payload) in self._entries(_Section.LABELS, _LABEL):
            level = LabelType(flags) & _LEVELS
            try:
                labels = json.loads(payload.split(b"\0", 1)[0])
                label_set(labels, level)
            except (ValueError, TypeError, AttributeError):
                continue  # no labels that could be told to anybody
            yield MappedLabel(level, bool(flags & LabelType.OPTIONAL), ident, instance, labels)

    def _entries(self, section: _Section, layout: struct.Struct) -> Iterator[tuple[int, tuple[Any, ...]]]:
        count, offset = self._sections.get(section, (0, 0))
        for index in range(self._bounded(count, offset, layout.size)):
            at = offset + index * layout.size
            yield at, layout.unpack_from(self._data, at)

    def _bounded(self, count: int, offset: int, size: int) -> int:
        if count and offset + count * size > len(self._data):
            raise ValueError(f"{count} entries at {offset} in {len(self._data)} bytes")
        return count

    def _at(self, layout: struct.Struct, offset: int) -> tuple[Any, ...]:
        self._bounded(1, offset, layout.size)
        return layout.unpack_from(self._data, offset)

    def _name(self, name: bytes | int) -> str:
        return self._text(name) if isinstance(name, int) else text_of(name)

    def _text(self, offset: int) -> str:
        if not offset:
            return ""
        self._bounded(1, offset, 1)
        return text_of(self._data[offset : offset + TEXT_SIZE])

    def _help(self, short: int, long: int) -> str:
        return "\n".join(filter(None, (self._text(short), self._text(long))))


def text_of(data: bytes) -> str:
    """The text up to the first NUL."""
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


# Values.

_CODES: Final = {
    ValueType.I32: "i",
    ValueType.U32: "I",
    ValueType.I64: "q",
    ValueType.U64: "Q",
    ValueType.FLOAT: "f",
    ValueType.DOUBLE: "d",
}
_NONE: Final = b"\xff" * 8


def number_reader(type_: ValueType, places: list[int], sentinel: bool) -> Callable[[bytes], list[Any]]:
    """What takes the numbers at ``places`` out of the bytes of a values section; None for those that are none."""
    code = _CODES[type_]
    width = struct.calcsize(code)
    if not sentinel and places == list(range(places[0], places[0] + VALUE_SIZE * len(places), VALUE_SIZE)):
        first, end, step = places[0], places[-1] + VALUE_SIZE, VALUE_SIZE // width
        return lambda values: memoryview(values)[first:end].cast(code)[::step].tolist()  # type: ignore[call-overload]
    unpack = struct.Struct("=" + code).unpack_from

    def read(values: bytes) -> list[Any]:
        return [None if sentinel and values[at : at + 8] == _NONE else unpack(values, at)[0] for at in places]

    return read


def elapsed_at(values: bytes, place: int, now_usec: int) -> int:
    """Microseconds of an interval counter: what it had, and what the interval that runs now has taken."""
    had, began = struct.unpack_from("=qq", values, place)
    return int(had + (now_usec + began if began < 0 else 0))


def text_place(values: bytes, place: int) -> int:
    """Where in the file the text of a string value is."""
    where: int = struct.unpack_from("=q", values, place + 8)[0]
    return where


def values_section(data: bytes) -> tuple[int, int]:
    """Offset and size of the values of a file that has been read as a :class:`Layout`."""
    header = read_header(data)
    for index in range(header.sections):
        type_, count, offset = _SECTION.unpack_from(data, HEADER_SIZE + index * _SECTION.size)
        if type_ == _Section.VALUES:
            return offset, count * VALUE_SIZE
    return 0, 0
