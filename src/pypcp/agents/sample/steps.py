"""step, scale_step, updown: values that stay for a while and change at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any, Final

from pypcp.agents.sample.bench import Bench
from pypcp.model.values import ValueType
from pypcp.pmda import I32, Counter
from pypcp.pmda.units import parse_units

_STEP_S: Final = 30.0
_SAME: Final = 5
"""Fetches for which a scale stays."""

_TB: Final = [2.0**power for power in range(41)]
SCALES: Final = {
    "bytes_up": (65, "byte / sec", _TB),
    "bytes_down": (66, "byte", _TB[:1] + _TB[:0:-1]),
    "count_up": (67, "count / sec", [10.0**power for power in range(13)]),
    "count_down": (68, "count", [1.0] + [10.0**power for power in range(12, 0, -1)]),
    "time_up_secs": (69, "sec", [10.0**power for power in range(6)]),
    "time_up_nanosecs": (70, "nanosec", [10.0**power for power in range(15)]),
    "none_up": (71, "", [10.0**power for power in range(8)]),
}
"""Item, units, and the values in turn."""


def declare(bench: Bench) -> None:
    """Declare them."""
    _declare_step(bench)
    for name, (item, units, values) in SCALES.items():
        _declare_scale(bench, name, item, units, values)
    _declare_updown(bench)


def _declare_step(bench: Bench) -> None:
    agent, begun, first = bench.agent, time.monotonic(), [20]

    def steps() -> int:
        return int((time.monotonic() - begun) / _STEP_S)

    @agent.metric("sample.step", item=8, units="count")
    def step() -> I32:
        """One, two or three times as much, for half a minute each; once as much may be stored"""
        return first[0] * (1 + steps() % 3)

    @step.on_store
    def set_first(value: int) -> None:
        first[0] = value

    @agent.metric("sample.step_counter", item=63, units="count")
    def step_counter() -> Counter[I32]:
        """What grows by as much every half a minute"""
        return first[0] * (1 + steps())


def _declare_scale(bench: Bench, name: str, item: int, units: str, values: list[float]) -> None:
    turn: Iterator[float] = cycle([value for value in values for _ in range(_SAME)])
    bench.metrics.metric(
        f"sample.scale_step.{name}",
        item,
        ValueType.DOUBLE,
        lambda _: next(turn),
        units=parse_units(units),
        help_=f"Another scale every {_SAME} fetches, then again from 1",
    )


class UpAndDown:
    """A stair that goes up to its top and down again, ``repeat`` fetches a step."""

    def __init__(self, bench: Bench) -> None:
        self.value, self._way = 0, 1
        add = self._controls(bench)
        self.repeat = add("repeat", 165, ValueType.U32, 5, "Fetches for which sample.updown.obs stays")
        self.lowest = add("min", 166, ValueType.I32, 0, "The lowest that sample.updown.obs gets")
        self.highest = add("max", 167, ValueType.I32, 200, "The highest that sample.updown.obs gets")
        self.step = add("step", 168, ValueType.U32, 10, "How much sample.updown.obs moves at a time")
        self._left = self.repeat()

    @staticmethod
    def _controls(bench: Bench) -> Any:
        return lambda name, *facts: bench.storable(f"sample.updown.control.{name}", *facts)

    def next(self) -> int:
        """The value of the next fetch."""
        self._left -= 1
        if self._left <= 0:
            self._left = self.repeat()
            self._move()
        return self.value

    def _move(self) -> None:
        self.value += self._way * self.step()
        beyond = self.value
        if beyond > self.highest():
            self.value = self.highest() - self.step()
        elif beyond < self.lowest():
            self.value = self.lowest() + self.step()
        if beyond != self.value:
            self._way = -self._way


def _declare_updown(bench: Bench) -> None:
    stair = UpAndDown(bench)

    @bench.agent.metric("sample.updown.obs", item=164)
    def obs() -> I32:
        """A stair up and down; sample.updown.control says how"""
        return stair.next()
