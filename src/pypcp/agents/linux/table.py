"""Rows of numbers, read by column: what most files of the kernel are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

FEW: Final = 32
"""Up to so many rows all is converted at once, which costs less than asking whether it has been (17 columns of one row:
1 us and 10 us)."""


class Table:
    """A column is converted when it is first asked for: of a large table most fetches want one or two.

    ``ValueError`` unless all rows have the same length: a torn row must not pass for counters that fell to zero.
    """

    __slots__ = ("_columns", "_texts", "height")

    def __init__(self, rows: Sequence[Sequence[bytes]]) -> None:
        self.height = len(rows)
        self._texts = tuple(zip(*rows, strict=True))
        self._columns: dict[int, list[int]] = {}
        if len(rows) <= FEW:
            self._columns = dict(enumerate([list(map(int, texts)) for texts in self._texts]))

    def column(self, number: int) -> list[int]:
        """One number a row; zeros for a column that this kernel does not have yet, as stock answers."""
        found = self._columns.get(number)
        if found is None:
            texts = self._texts
            found = list(map(int, texts[number])) if number < len(texts) else [0] * self.height
            self._columns[number] = found
        return found

    def added(self, *numbers: int) -> list[int]:
        """The sum of several columns, row by row."""
        columns = [self.column(number) for number in numbers]
        return columns[0] if len(columns) == 1 else list(map(sum, zip(*columns, strict=True)))


def words32(column: Sequence[int]) -> list[int]:
    """As unsigned 32-bit counters, which start again at zero."""
    return [value & 0xFFFFFFFF for value in column]
