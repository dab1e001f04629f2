"""The columns of ``pypcp val``: which instances there are, and a line of values for each sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pypcp.model.desc import Desc
from pypcp.model.ids import IN_NULL, PM_INDOM_NULL
from pypcp.model.values import Semantics, Value, ValueType
from pypcp.tools import render

_WIDTHS: dict[int, int] = {ValueType.I32: 11, ValueType.U32: 11, ValueType.FLOAT: 13}
_WIDE = 21
_GONE = "?"
_WRAPPED = "!"
_RATE_BLANKS = 3
_NSEC = 10**9
_SECONDS = (1e-9, 1e-6, 1e-3, 1.0, 60.0, 3600.0)
"""How many seconds a unit of time is, by its scale."""

_FORMS = ((0.9999, ".4f", ""), (9.999, ".3f", " "), (99.99, ".2f", "  "), (999.9, ".1f", "   "))
_SMALLEST, _LARGEST = 0.1, 9999


def number_text(number: float, width: int) -> str:
    """About four digits, the point always in the same column; in E notation what is small, large or negative."""
    if number == 0:
        # Stock asks for the digit in what is left of the column; where nothing is left, C's printf turns to the left.
        room = width - len(".0   ")
        return ("0".rjust(room) if room >= 0 else "0".ljust(-room)) + ".0   "
    if number < _SMALLEST or number > _LARGEST:
        return f"{number:.3E}".rjust(width)
    for limit, form, blanks in _FORMS:
        if number <= limit:
            return (format(number, form) + blanks).rjust(width)
    return (f"{number:.0f}." + "    ").rjust(width)


class Rates:
    """Turns the values of a counter into rates a second; a counter of time into the share of time it counted."""

    def __init__(self, desc: Desc) -> None:
        units = desc.units
        self.of_time = (units.space, units.time, units.count) == (0, 1, 0)
        self._factor = _SECONDS[units.scale_time] if self.of_time and units.scale_time < len(_SECONDS) else 1.0
        self._before: tuple[int, Mapping[int, Value]] | None = None

    def convert(self, time_ns: int, values: Mapping[int, Value]) -> dict[int, float | None] | None:
        """The rate of each instance since the sample before, None where it ran backwards; None before there are two."""
        before, self._before = self._before, (time_ns, values)
        if before is None:
            return None
        elapsed_s = (time_ns - before[0]) / _NSEC
        return {
            instance: self._rate(before[1][instance], value, elapsed_s)
            for instance, value in values.items()
            if instance in before[1]
        }

    def _rate(self, old: Value, new: Value, elapsed_s: float) -> float | None:
        if not isinstance(old, int | float) or not isinstance(new, int | float) or new < old or elapsed_s <= 0:
            return None
        return (new - old) * self._factor / elapsed_s


class Table:
    """Lines of text: a heading with the names of instances, and the values below it."""

    def __init__(self, desc: Desc, *, raw: bool, width: int | None, precision: int | None) -> None:
        self._desc = desc
        self.converts = desc.sem == Semantics.COUNTER and not raw
        self._width = width or _WIDTHS.get(desc.type, _WIDE)
        self._precision = precision
        self._columns: dict[int, str] = {IN_NULL: ""}

    def set_columns(self, instances: Mapping[int, str]) -> bool:
        """These are the instances from now on; are they others than before?"""
        before, self._columns = self._columns, dict(instances)
        return before != self._columns

    def long_names(self) -> Iterator[str]:
        """Lines that tell all names where the heading must cut one."""
        if any(len(name) > self._width for name in self._columns.values()):
            for number, name in enumerate(self._columns.values()):
                yield f"full label for instance[{number}]: {name}"

    def heading(self) -> str:
        """The names of the instances above their columns; above rates to the left, if all names have room for that."""
        room = self._width - (_RATE_BLANKS if self.converts and self._precision is None else 0)
        if any(len(name) > room for name in self._columns.values()):
            room = self._width
        return "".join(name[: self._width].rjust(room).ljust(self._width) + " " for name in self._columns.values())

    def unknown(self, values: Mapping[int, Value]) -> list[int]:
        """The instances that have no column."""
        return [instance for instance in values if instance not in self._columns]

    def missing(self, values: Mapping[int, Value]) -> bool:
        """Is there a column without a value?"""
        return any(instance not in values for instance in self._columns)

    def row(self, values: Mapping[int, Value | None]) -> str:
        """One line of values; None is a counter that ran backwards."""
        cells = [self._cell(instance, values) for instance in self._columns]
        if self._desc.indom == PM_INDOM_NULL:
            return cells[0]
        return "".join(f"{cell} " for cell in cells)

    def _cell(self, instance: int, values: Mapping[int, Value | None]) -> str:
        if instance not in values:
            return _GONE.rjust(self._width)
        value = values[instance]
        if value is None:
            return _WRAPPED.rjust(self._width)
        if isinstance(value, float):
            return self._number(value)
        return render.value_text(value, self._desc.type, self._width)

    def _number(self, number: float) -> str:
        if self._precision is not None:
            return f"{number:{self._width}.{self._precision}f}"
        return number_text(number, self._width)
