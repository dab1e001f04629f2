"""wrap, slow_wrap, rapid, const_rate: counters that grow by the same with each fetch, or with time."""

from __future__ import annotations

import time
from typing import Final

from pypcp.agents.sample.bench import Bench
from pypcp.model.units import COUNT, NONE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda import U32, Counter
from pypcp.pmda.labels import NO_LABELS, Labels

_I32_MAX, _I64_MAX = 2**31 - 1, 2**63 - 1
WRAPPING: Final = {
    "wrap.long": (57, ValueType.I32, _I32_MAX // 2 - 1),
    "wrap.ulong": (58, ValueType.U32, _I32_MAX - 1),
    "wrap.longlong": (59, ValueType.I64, _I64_MAX // 2 - 1),
    "wrap.ulonglong": (60, ValueType.U64, _I64_MAX - 1),
    "slow_wrap.long": (160, ValueType.I32, _I32_MAX // 10 - 1),
    "slow_wrap.ulong": (161, ValueType.U32, _I32_MAX // 10 - 1),
    "slow_wrap.longlong": (162, ValueType.I64, _I64_MAX // 10 - 1),
    "slow_wrap.ulonglong": (163, ValueType.U64, _I64_MAX // 10 - 1),
    "rapid": (64, ValueType.U32, 800_000_000),
}
"""Item, type, and by how much each fetch makes it grow."""

_SPEED: Final = Labels({"measure": "speed", "units": "metres per second", "unitsystem": "SI"})


def wrapped(number: int, type_: ValueType) -> int:
    """The number as it is when it does not fit any more."""
    size = 1 << (32 if type_ in (ValueType.I32, ValueType.U32) else 64)
    number %= size
    signed = type_ in (ValueType.I32, ValueType.I64)
    return number - size if signed and number >= size // 2 else number


def declare(bench: Bench) -> None:
    """Declare them."""
    for name, (item, type_, step) in WRAPPING.items():
        _declare_wrapping(bench, name, item, type_, step)
    _declare_const_rate(bench)


def _declare_wrapping(bench: Bench, name: str, item: int, type_: ValueType, step: int) -> None:
    now = [0]

    def grow(_: object) -> int:
        now[0] = wrapped(now[0] + step, type_)
        return now[0]

    units, labels = (COUNT, _SPEED) if name == "rapid" else (NONE, NO_LABELS)
    help_ = f"A counter that grows by {step} with each fetch"
    bench.metrics.metric(
        f"sample.{name}", item, type_, grow, sem=Semantics.COUNTER, help_=help_, units=units, labels=labels
    )


def _declare_const_rate(bench: Bench) -> None:
    agent = bench.agent
    help_ = "By how much sample.const_rate.value grows in a second"
    gradient = bench.storable("sample.const_rate.gradient", 73, ValueType.U32, 0, help_)
    now = [10 * 2**20, time.monotonic()]

    @agent.metric("sample.const_rate.value", item=72, units="count")
    def counted() -> Counter[U32]:
        """A counter that grows at a rate that can be stored, as it can itself"""
        before, now[1] = now[1], time.monotonic()
        now[0] = (now[0] + gradient() * (now[1] - before)) % 2**32
        return int(now[0])

    @counted.on_store
    def go_on(value: int) -> None:
        now[:] = value, time.monotonic()
