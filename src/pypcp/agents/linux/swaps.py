"""/proc/swaps: the devices and files that the system swaps to. See: swapon(8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.units import KBYTE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent

U32: Final = ValueType.U32


@dataclass(frozen=True, slots=True)
class Swap:
    """A device or file, sizes in kilobytes."""

    name: str
    size: int
    used: int
    priority: int


def parse_swaps(text: bytes) -> list[Swap]:
    """``ValueError`` for a line that breaks off."""
    swaps = []
    for line in text.decode("utf-8", "surrogateescape").splitlines()[1:]:
        name, _, size, used, priority = line.split()
        swaps.append(Swap(name, int(size), int(used), int(priority)))
    return swaps


def declare(agent: Agent, files: Files) -> None:
    """swapdev."""
    devices = agent.indom(
        6,
        persistent=True,
        members=lambda swaps: [swap.name for swap in swaps],
        help_="Devices and files to swap to",
        labels={"device_type": ["block", "memory"], "indom_name": "per swap device"},
        label_instance=lambda device: {"device_name": device},
    )
    cluster = agent.cluster(6, files.parsed("proc/swaps", parse_swaps))
    of_each = partial(cluster.metric, indom=devices)
    of_each("swapdev.free", 0, U32, _each(lambda swap: swap.size - swap.used), units=KBYTE, help_="Unused swap space")
    sizes = {"length": "Size of the swap space", "maxswap": "The same as swapdev.length on Linux"}
    for item, (name, help_) in enumerate(sizes.items(), start=1):
        size = _each(attrgetter("size"))
        of_each(f"swapdev.{name}", item, U32, size, sem=Semantics.DISCRETE, units=KBYTE, help_=help_)
    virtual = "Swap space beyond what the device has: always 0 on Linux"
    of_each("swapdev.vlength", 3, U32, _each(lambda _: 0), sem=Semantics.DISCRETE, units=KBYTE, help_=virtual)
    priority = "Devices of the highest priority are used first"
    of_each("swapdev.priority", 4, ValueType.I32, _each(attrgetter("priority")), help_=priority)


def _each(read: Callable[[Swap], int]) -> Callable[[list[Swap]], list[int] | None]:
    return lambda swaps: [read(swap) for swap in swaps] or None
