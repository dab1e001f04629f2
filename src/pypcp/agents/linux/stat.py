"""/proc/stat: time of the processors, interrupts, context switches, processes. See: proc(5)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.agents.linux.processors import online
from pypcp.agents.linux.table import Table
from pypcp.model.units import COUNT, MSEC, SEC, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

U32: Final = ValueType.U32
U64: Final = ValueType.U64

USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, GUEST, GUEST_NICE = range(10)
"""The columns of the cpu lines."""

HZ: Final = os.sysconf("SC_CLK_TCK")
"""Ticks a second of the kernel's times, as it shows them to programs."""

PER_SECOND: Final = Units(time=-1, count=1, scale_time=SEC.scale_time)


@dataclass(frozen=True, slots=True)
class CpuTime:
    """One kind of time: the columns that make it up, less another, and the items of its two metrics."""

    name: str
    per_cpu_item: int
    all_item: int
    help: str
    columns: tuple[int, ...]
    less: int | None = None

    def milliseconds(self, ticks: Table) -> list[int]:
        """One value for each row of ``ticks``."""
        values = ticks.added(*self.columns)
        if self.less is not None:
            # The kernel counts a guest's time twice, and not both in the same instant.
            pairs = zip(values, ticks.column(self.less), strict=True)
            values = [max(both - guest, 0) for both, guest in pairs]
        return [value * 1000 // HZ for value in values]


CPU_TIMES: Final = (
    CpuTime("user", 0, 20, "Time in programs at ordinary priority, guests of this host included", (USER,)),
    CpuTime("nice", 1, 21, "Time in programs at lowered priority, guests of this host included", (NICE,)),
    CpuTime("sys", 2, 22, "Time in the kernel on behalf of programs", (SYSTEM,)),
    CpuTime("idle", 3, 23, "Time with nothing to run and no disk awaited", (IDLE,)),
    CpuTime("wait.total", 30, 35, "Time with nothing to run while a program waited for a disk", (IOWAIT,)),
    CpuTime("intr", 31, 34, "Time in interrupt handlers, hard and soft", (IRQ, SOFTIRQ)),
    CpuTime("irq.soft", 56, 53, "Time in soft interrupt handlers", (SOFTIRQ,)),
    CpuTime("irq.hard", 57, 54, "Time in hard interrupt handlers", (IRQ,)),
    CpuTime("steal", 58, 55, "Time the hypervisor gave to somebody else", (STEAL,)),
    CpuTime("guest", 61, 60, "Time in guests that run at ordinary priority", (GUEST,)),
    CpuTime("vuser", 76, 78, "Time in programs at ordinary priority, guests left out", (USER,), GUEST),
    CpuTime("guest_nice", 83, 81, "Time in guests that run at lowered priority", (GUEST_NICE,)),
    CpuTime("vnice", 84, 82, "Time in programs at lowered priority, guests left out", (NICE,), GUEST_NICE),
)

COUNTS: Final = (
    ("intr", 12, b"intr", "Interrupts serviced since boot, of all kinds"),
    ("pswitch", 13, b"ctxt", "Context switches since boot, on all processors"),
    ("sysfork", 14, b"processes", "Processes and threads created since boot"),
)

GAUGES: Final = (
    ("running", 15, b"procs_running", "Threads that run or are ready to run"),
    ("blocked", 16, b"procs_blocked", "Processes blocked until some input or output is done"),
)


@dataclass(slots=True)
class Stat:
    """The file: one row for all processors, one for each, and what else it counts."""

    total: Table
    cpus: Table
    cpu_names: list[str]
    counts: dict[bytes, int]


def parse_stat(text: bytes) -> Stat:
    """``ValueError`` for a text that breaks off within the lines of the processors."""
    rows = []
    counts = {}
    for line in text.splitlines():
        if line.startswith(b"cpu"):
            rows.append(line.split())
        else:
            key, value, *_ = line.split(None, 2)  # the rest of the line counts each interrupt: often thousands
            counts[key] = int(value)
    names = [row[0].decode() for row in rows[1:]]
    return Stat(Table([row[1:] for row in rows[:1]]), Table([row[1:] for row in rows[1:]]), names, counts)


def declare(agent: Agent, files: Files, cpus: Indom) -> None:
    """kernel.all.cpu, kernel.percpu.cpu and the rest of /proc/stat."""
    read = files.parsed("proc/stat", parse_stat)

    def refresh() -> Stat:
        stat = read()
        online(cpus, stat.cpu_names)
        return stat

    cluster = agent.cluster(0, refresh)
    _declare_times(cluster, cpus)
    _declare_counts(cluster)
    _declare_clock(agent.cluster(0))


def _declare_times(cluster: Cluster, cpus: Indom) -> None:
    declare_time = partial(cluster.metric, sem=Semantics.COUNTER, units=MSEC)
    for time in CPU_TIMES:
        per_cpu, of_all = _readers(time)
        name, help_ = f"cpu.{time.name}", time.help
        declare_time(
            f"kernel.percpu.{name}", time.per_cpu_item, U64, per_cpu, indom=cpus, help_=f"{help_}, by processor"
        )
        declare_time(f"kernel.all.{name}", time.all_item, U64, of_all, help_=f"{help_}, over all processors")


def _readers(time: CpuTime) -> tuple[Callable[[Stat], list[int] | None], Callable[[Stat], int | None]]:
    return (
        lambda stat: time.milliseconds(stat.cpus) or None,
        lambda stat: next(iter(time.milliseconds(stat.total)), None),
    )


def _declare_counts(cluster: Cluster) -> None:
    for name, item, key, help_ in COUNTS:
        cluster.metric(f"kernel.all.{name}", item, U64, _count(key), sem=Semantics.COUNTER, units=COUNT, help_=help_)
    for name, item, key, help_ in GAUGES:
        cluster.metric(f"kernel.all.{name}", item, U64, _count(key), help_=help_)
    constant = partial(cluster.metric, sem=Semantics.DISCRETE)
    boot = "When the system was started\nIn seconds since the start of 1970, UTC."
    constant("kernel.all.boottime", 17, ValueType.I64, _count(b"btime"), units=SEC, help_=boot)
    online = "Processors online\nAs the scheduler counts them: hardware threads."
    constant("hinv.ncpu", 32, U32, lambda stat: stat.cpus.height, help_=online)


def _declare_clock(cluster: Cluster) -> None:
    ticks = "Ticks a second of the kernel's clock as programs see it\nTimes in /proc are counted in these ticks."
    cluster.metric("kernel.all.hz", 48, U32, lambda _: HZ, sem=Semantics.DISCRETE, units=PER_SECOND, help_=ticks)


def _count(key: bytes) -> Callable[[Stat], int | None]:
    return lambda stat: stat.counts.get(key)
