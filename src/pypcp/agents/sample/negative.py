"""negative: numbers below zero, under semantics that allow for them and under one that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pypcp.agents.sample.bench import Bench
from pypcp.model.values import Semantics, ValueType

_FIRST: Final = 141
_SEMANTICS: Final = {"ctr": Semantics.COUNTER, "instant": Semantics.INSTANT, "discrete": Semantics.DISCRETE}
_TYPES: Final = {
    "m_32": ValueType.I32,
    "m_64": ValueType.I64,
    "m_float": ValueType.FLOAT,
    "m_double": ValueType.DOUBLE,
}


class Shared:
    """A number that grows with each fetch of any metric of its type."""

    def __init__(self, value: float) -> None:
        self.value = value

    def next(self, _: object) -> float:
        """The number of the next fetch."""
        self.value += 1
        return self.value

    def store(self, value: float) -> None:
        """Go on from there."""
        self.value = value


def declare(bench: Bench) -> None:
    """Declare a metric for each type and semantics."""
    shared = {
        name: Shared(-10000.0 if type_ in (ValueType.FLOAT, ValueType.DOUBLE) else -10000)
        for name, type_ in _TYPES.items()
    }
    pairs = [(group, sem, name, type_) for group, sem in _SEMANTICS.items() for name, type_ in _TYPES.items()]
    for item, (group, sem, name, type_) in enumerate(pairs, _FIRST):
        read: Callable[[object], float] = shared[name].next
        help_ = f"From -10000 upwards; what is stored goes for all of sample.negative.*.{name}"
        made = bench.metrics.metric(f"sample.negative.{group}.{name}", item, type_, read, sem=sem, help_=help_)
        bench.on_store(made, shared[name].store)
