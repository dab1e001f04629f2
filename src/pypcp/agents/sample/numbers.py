"""long, ulong, longlong, ulonglong, float, double: the same numbers in every type."""

from __future__ import annotations

from typing import Final

from pypcp.agents.sample.bench import BINS, Bench
from pypcp.model.units import KBYTE
from pypcp.model.values import Semantics, ValueType

MAGNITUDES: Final = {"one": 1, "ten": 10, "hundred": 100, "million": 1_000_000}

GROUPS: Final = {
    "long": (ValueType.I32, 10, 14, 103, 104),
    "ulong": (ValueType.U32, 93, 97, 105, 106),
    "float": (ValueType.FLOAT, 15, 19, 107, 108),
    "longlong": (ValueType.I64, 20, 24, 109, 110),
    "ulonglong": (ValueType.U64, 98, 102, 111, 112),
    "double": (ValueType.DOUBLE, 25, 29, 113, 114),
}
"""Type, and the items of the first magnitude, of write_me, of bin and of bin_ctr."""


def declare(bench: Bench) -> None:
    """Declare all groups."""
    for name, (type_, first, write_me, in_bins, counter) in GROUPS.items():
        zero = 0.0 if type_ in (ValueType.FLOAT, ValueType.DOUBLE) else 0
        _declare_magnitudes(bench, name, type_, zero, first)
        bench.storable(f"sample.{name}.write_me", write_me, type_, zero + 13, "A number that can be stored")
        _declare_bins(bench, name, type_, [zero + number for number in BINS], in_bins, counter)


def _declare_magnitudes(bench: Bench, name: str, type_: ValueType, zero: float, first: int) -> None:
    for item, (word, magnitude) in enumerate(MAGNITUDES.items(), first):
        value = zero + magnitude
        bench.metrics.metric(
            f"sample.{name}.{word}", item, type_, lambda _, value=value: value, help_=f"{word.title()}, always"
        )


def _declare_bins(bench: Bench, name: str, type_: ValueType, column: list[float], in_bins: int, counter: int) -> None:
    add, bins = bench.metrics.metric, bench.bins
    add(f"sample.{name}.bin", in_bins, type_, lambda _: column, indom=bins, help_="A number for each bin")
    add(
        f"sample.{name}.bin_ctr",
        counter,
        type_,
        lambda _: column,
        indom=bins,
        sem=Semantics.COUNTER,
        units=KBYTE,
        help_="A counter for each bin that does not move",
    )
