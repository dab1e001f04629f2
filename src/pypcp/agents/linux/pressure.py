"""/proc/pressure: how much of the time work waited for a resource. Since Linux 4.20."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.units import USEC
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

AVERAGES: Final = {10: "10 second", 60: "1 minute", 300: "5 minute"}

RESOURCES: Final = (
    ("cpu", 83, ("some",), "a processor"),
    ("memory", 84, ("some", "full"), "memory"),
    ("io", 85, ("some", "full"), "input or output"),
    ("irq", 93, ("full",), "interrupt handlers to finish"),
)
"""Name, cluster, the lines taken from the file, and what was waited for."""

WHO: Final = {"some": "at least one task", "full": "all tasks that could work"}

Pressure = dict[str, tuple[list[float], int]]
"""By the first word of a line ("some", "full"): percent over each of the averages, microseconds in all."""


def parse_pressure(text: bytes) -> Pressure:
    """``ValueError`` for a line that is not as the kernel writes it."""
    pressure = {}
    for line in text.splitlines():
        kind, *averages, total = (word.rpartition(b"=")[2] for word in line.split())
        if len(averages) != len(AVERAGES):
            raise ValueError(f"{line!r} has not the averages {', '.join(AVERAGES.values())}")
        pressure[kind.decode()] = list(map(float, averages)), int(total)
    return pressure


def declare(agent: Agent, files: Files) -> None:
    """kernel.all.pressure."""
    averages = agent.indom(37, fixed=AVERAGES, help_="The times over which pressure is averaged")
    for resource, number, kinds, what in RESOURCES:
        cluster = agent.cluster(number, files.parsed(f"proc/pressure/{resource}", parse_pressure))
        for position, kind in enumerate(kinds):
            name = f"kernel.all.pressure.{resource}.{kind}"
            _declare_kind(cluster, name, 2 * position, kind, f"{WHO[kind]} waited for {what}", averages)


def _declare_kind(cluster: Cluster, name: str, item: int, kind: str, waited: str, averages: Indom) -> None:
    percent, total = _readers(kind)
    share = f"Percent of the time in which {waited}"
    cluster.metric(f"{name}.avg", item, ValueType.FLOAT, percent, indom=averages, help_=share)
    cluster.metric(
        f"{name}.total",
        item + 1,
        ValueType.U64,
        total,
        sem=Semantics.COUNTER,
        units=USEC,
        help_=f"Time since boot in which {waited}",
    )


def _readers(kind: str) -> tuple[Callable[[Pressure], list[float] | None], Callable[[Pressure], int | None]]:
    nothing = (None, None)
    return lambda now: now.get(kind, nothing)[0], lambda now: now.get(kind, nothing)[1]
