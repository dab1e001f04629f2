"""Texts of which only the numbers change: what the other words say is worked out once.

A large file of the kernel is read again and again with the same names in the same order. Who knows where its numbers
are has them for the price of splitting the text (measured: /proc/interrupts 10 us instead of 45).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeVar

Snapshot = TypeVar("Snapshot")


class Form:
    """What the words of a text say, and where its numbers are (``places``, ascending)."""

    def __init__(self, words: Sequence[bytes], places: Sequence[int]) -> None:
        numbers = frozenset(places)
        self._length = len(words)
        self._numbers = picker(places)
        self._others = picker([at for at in range(len(words)) if at not in numbers])
        self._known = self._others(words)

    def numbers(self, words: Sequence[bytes]) -> list[int] | None:
        """The numbers among ``words``; None when these have another form. ``ValueError``: one is none."""
        if len(words) != self._length or self._others(words) != self._known:
            return None
        return list(map(int, self._numbers(words)))


def picker(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """What takes a tuple of what is at ``places``."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda items: tuple([items[at] for at in places])


def remembering(parse: Callable[[bytes, Snapshot | None], Snapshot]) -> Callable[[bytes], Snapshot]:
    """``parse`` with what it made of the text before, if anything."""
    last: Snapshot | None = None

    def parse_next(text: bytes) -> Snapshot:
        nonlocal last
        last = parse(text, last)
        return last

    return parse_next
