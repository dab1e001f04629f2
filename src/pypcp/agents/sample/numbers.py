"""long, ulong, longlong, ulonglong, float, double: the same numbers in every type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pypcp.agents.sample.bench import Bench
from pypcp.model.units import KBYTE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.units import parse_units

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

COUNTS: Final = {
    "base": (115, "count", 42_000_000),
    "deca": (116, "count x 10", 4_200_000),
    "hecto": (117, "count x 10^2", 420_000),
    "kilo": (118, "count x 10^3", 42_000),
    "mega": (119, "count x 10^6", 42),
}
"""Item, the scale that is counted in, and the value."""

_CAST: Final[dict[ValueType, Callable[[int], float]]] = {
    ValueType.U32: lambda number: number % 2**32,
    ValueType.U64: lambda number: number % 2**64,
    ValueType.FLOAT: float,
    ValueType.DOUBLE: float,
}
"""What makes a number one of the type, where it may not be one already."""


def declare(bench: Bench) -> None:
    """Declare all groups."""
    for name, (type_, first, write_me, in_bins, counter) in GROUPS.items():
        zero = 0.0 if type_ in (ValueType.FLOAT, ValueType.DOUBLE) else 0
        _declare_magnitudes(bench, name, type_, zero, first)
        bench.write_me(f"sample.{name}.write_me", write_me, type_, zero + 13)
        _declare_bins(bench, name, type_, in_bins, counter)
    for name, (item, scale, value) in COUNTS.items():
        _declare_count(bench, name, item, scale, value)


def _declare_magnitudes(bench: Bench, name: str, type_: ValueType, zero: float, first: int) -> None:
    for item, (word, magnitude) in enumerate(MAGNITUDES.items(), first):
        value = zero + magnitude
        bench.metrics.metric(
            f"sample.{name}.{word}", item, type_, lambda _, value=value: value, help_=f"{word.title()}, always"
        )


def _declare_bins(bench: Bench, name: str, type_: ValueType, in_bins: int, counter: int) -> None:
    add, bins = bench.metrics.metric, bench.bins
    cast = _CAST.get(type_, int)
    moves = type_ is ValueType.U64

    def column(_: object) -> list[float]:
        more = bench.seconds() if moves else 0
        return [cast(value + more) for value in bench.bin_values.values()]

    grown = ", and the seconds since the agent was started" if moves else ""
    add(f"sample.{name}.bin", in_bins, type_, column, indom=bins, help_=f"What is in each bin{grown}")
    add(
        f"sample.{name}.bin_ctr",
        counter,
        type_,
        column,
        indom=bins,
        sem=Semantics.COUNTER,
        units=KBYTE,
        help_=f"What is in each bin{grown}, as a counter",
    )


def _declare_count(bench: Bench, name: str, item: int, scale: str, value: int) -> None:
    bench.metrics.metric(
        f"sample.ulong.count.{name}",
        item,
        ValueType.U32,
        lambda _: value,
        units=parse_units(f"{scale} / Mbyte"),
        help_=f"42 millions, in units of {scale}",
    )
