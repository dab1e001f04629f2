"""One file of memory-mapped values: what it declares becomes metrics, and its values are read at each fetch.

The file is read, not mapped: an application that makes its file shorter would end whoever has it mapped.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from pypcp.agents.mmv.layout import (
    HEADER_SIZE,
    TEXT_SIZE,
    Layout,
    MappedMetric,
    MmvFlag,
    elapsed_at,
    number_reader,
    read_header,
    read_layout,
    text_of,
    text_place,
    values_section,
)
from pypcp.errors import NoValue
from pypcp.model.labels import LabelType
from pypcp.model.values import ValueType
from pypcp.pmda.labels import Labels

_MAX_BYTES: Final = 64 << 20
_HARMLESSLY: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
"""Everybody may put something into the directory: a pipe that nobody writes to, a link to a device."""
_SERIAL_BITS: Final = 11


class Values(NamedTuple):
    """The values of a file at one moment."""

    data: bytes
    now_usec: int


class MappedFile:
    """A file that an application has written and goes on writing values into.

    ``ValueError``: it is none, or not finished yet. ``OSError``: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, _HARMLESSLY)
        try:
            self._read_layout()
        except BaseException:
            self.close()
            raise

    def _read_layout(self) -> None:
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("no regular file")
        if found.st_size > _MAX_BYTES:
            raise ValueError(f"{found.st_size} bytes, more than {_MAX_BYTES}")
        read_header(os.pread(self._descriptor, HEADER_SIZE, 0))  # before all of a large file is read for nothing
        data = os.pread(self._descriptor, found.st_size, 0)
        self.layout: Layout = read_layout(data)
        if not self.layout.header.complete:
            raise ValueError("being written")
        self._offset, self._size = values_section(data)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    @property
    def current(self) -> bool:
        """Is the file still what was read, and its process there if it has to be?"""
        try:
            header = read_header(os.pread(self._descriptor, HEADER_SIZE, 0))
        except (OSError, ValueError):
            return False
        known = self.layout.header
        return header.complete and header.generation == known.generation and self.alive

    @property
    def alive(self) -> bool:
        """Is there a process, as far as the values depend on one?"""
        header = self.layout.header
        return not header.flags & MmvFlag.PROCESS or _exists(header.pid)

    def read(self) -> Values:
        """The values now. ``NoValue``: the file is shorter than it was."""
        data = os.pread(self._descriptor, self._size, self._offset)
        if len(data) != self._size:
            raise NoValue(f"{self.path.name} has lost its values")
        return Values(data, time.time_ns() // 1000)

    def name_of(self, metric: MappedMetric) -> str:
        """The metric's name below the agent's."""
        prefix = "" if self.layout.header.flags & MmvFlag.NOPREFIX else f"{self.path.name}."
        return f"{prefix}{metric.name}"

    def reader_of(self, metric: MappedMetric) -> Callable[[Values], Any]:
        """What takes a metric's value, or its values by instance, out of what was read."""
        if metric.serial is None:
            return self._single(metric, metric.places[None] - self._offset)
        numbers = self.layout.indoms[metric.serial].instances
        lacking = not numbers or any(number not in metric.places for number in numbers)
        if lacking or metric.elapsed or metric.type is ValueType.STRING:
            return self.reader_by_name(metric)
        read = number_reader(metric.type, [metric.places[each] - self._offset for each in numbers], self._has_sentinels)
        return lambda values: read(values.data)

    def reader_by_name(self, metric: MappedMetric) -> Callable[[Values], dict[str, Any]]:
        """What takes the values of a metric's instances, of those that have one, by their names."""
        assert metric.serial is not None
        names = self.layout.indoms[metric.serial].instances
        readers = {
            names[number]: self._single(metric, place - self._offset)
            for number, place in metric.places.items()
            if number in names
        }
        return lambda values: {name: read(values) for name, read in readers.items()}

    def _single(self, metric: MappedMetric, place: int) -> Callable[[Values], Any]:
        if metric.elapsed:
            return lambda values: elapsed_at(values.data, place, values.now_usec)
        if metric.type is ValueType.STRING:
            return lambda values: self._text_at(text_place(values.data, place))
        read = number_reader(metric.type, [place], self._has_sentinels)
        return lambda values: read(values.data)[0]

    def _text_at(self, offset: int) -> str | None:
        text = text_of(os.pread(self._descriptor, TEXT_SIZE, offset)) if offset > 0 else ""
        return None if not text and self._has_sentinels else text

    @property
    def _has_sentinels(self) -> bool:
        return bool(self.layout.header.flags & MmvFlag.SENTINEL)

    def labels_of(self, level: LabelType, ident: int | None = None) -> Labels:
        """What the file says of its cluster, an item, or an instance domain."""
        found: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        for each in self.layout.labels:
            if each.level == level and ident in (None, each.ident):
                merge(found[each.optional], each.labels)
        return Labels(found[0] or None, found[1] or None)

    def instance_labels(self, serial: int) -> Callable[[str], Mapping[str, Any]] | None:
        """What gives the labels of an instance by its name; None where no instance has any."""
        numbers = self.layout.indoms[serial].instances
        found: dict[str, dict[str, Any]] = {}
        for each in self.layout.labels:
            if each.level == LabelType.INSTANCES and each.ident == serial and each.instance in numbers:
                merge(found.setdefault(numbers[each.instance], {}), each.labels)
        return (lambda name: found.get(name, {})) if found else None


class Part(NamedTuple):
    """What one file has of a metric with instances."""

    file: MappedFile
    metric: MappedMetric


def read_together(parts: Sequence[Part]) -> Callable[[Values], dict[str, Any]]:
    """What takes a metric's values by instance out of several files, of which the first has been read.

    Of an instance that several have, the first file's value is taken; none of a file that cannot be read now.
    """
    readers = [(part.file, part.file.reader_by_name(part.metric)) for part in parts]

    def read(first: Values) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for file, reader in reversed(readers):
            with suppress(NoValue, OSError):
                found |= reader(first if file is readers[0][0] else file.read())
        return found

    return read


def merge(labels: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add labels to others, maps member by member; the later value stays."""
    for name, value in more.items():
        there = labels.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            merge(there, value)
        else:
            labels[name] = dict(value) if isinstance(value, dict) else value


def serial_of(cluster: int, serial: int) -> int:
    """An instance domain's serial among those of all files."""
    return (cluster << _SERIAL_BITS | serial & (1 << _SERIAL_BITS) - 1) & 0x3FFFFF


def _exists(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return pid > 0
