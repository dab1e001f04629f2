"""/proc/diskstats again: partitions, and what the device mapper and md make of disks.

A logical volume is known by the name its administrator gave it, as is an array that has one below /dev/md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from pypcp.agents.linux.diskstats import MEASURES, Disks, Measure, is_disk, parse_partitions
from pypcp.agents.linux.files import Files
from pypcp.agents.linux.table import Table, words32
from pypcp.model.units import KBYTE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

U32: Final = ValueType.U32

NameOf = Callable[[str], str | None]
"""The kernel's name of a device -> the instance's; None for what is no instance."""

SHORT: Final = ("read_bytes", "write_bytes", "total_bytes")
"""What is told in 32 bits of a volume, and in 64 of a disk."""

ARRAY: Final = re.compile("md(?!_)")
"""Arrays that can have partitions (md_d0) are left out, as by stock."""

MAP_HELP: Final = "The kernel's name of the device"


@dataclass(slots=True)
class Volumes(Disks):
    """The devices of one kind: the instances' names, a row of counts each, and the kernel's names."""

    devices: list[str]


@dataclass(frozen=True, slots=True)
class Kind:
    """What stock calls a kind of device, and where its items are."""

    name: str
    cluster: int
    indom: int
    help: str
    each: str
    group: str
    items: tuple[int, ...]
    capacity_item: int
    map_item: int | None = None


VOLUME_ITEMS: Final = (*range(13), *range(14, 17), *range(18, 26))
"""Stock's order of the measures; in between are the map's item and the capacity's."""

PARTITIONS: Final = Kind(
    "partitions", 10, 10, "Partitions", "partition", "per partition", (*range(16), *range(17, 25)), 16
)
MAPPED: Final = Kind("dm", 54, 24, "Volumes of the device mapper", "volume", "per dm device", VOLUME_ITEMS, 17, 13)
ARRAYS: Final = Kind("md", 59, 25, "Arrays of disks (md)", "array", "per md device", VOLUME_ITEMS, 17, 13)


def is_partition(device: str) -> bool:
    """Does stock list the device under disk.partitions? All it has no other place for, but for CD-ROMs."""
    return not is_disk(device) and not device.startswith(("loop", "ram", "zram", "dm-", "md", "sr"))


def parse_volumes(text: bytes, name_of: NameOf) -> Volumes:
    """``ValueError`` for a text that breaks off."""
    devices, names, rows = [], [], []
    for line in text.splitlines():
        _, _, device, *counts = line.split()
        kernels = device.decode("utf-8", "surrogateescape")
        name = name_of(kernels)
        if name:
            devices.append(kernels)
            names.append(name)
            rows.append(counts)
    return Volumes(names, Table(rows), devices)


def mapped_names(files: Files) -> Callable[[], NameOf]:
    """Names of logical volumes, as they are now."""

    def name_of(device: str) -> str | None:
        if not device.startswith("dm-"):
            return None
        return files.read_once(f"sys/block/{device}/dm/name").decode("utf-8", "surrogateescape") or None

    return lambda: name_of


def array_names(files: Files) -> Callable[[], NameOf]:
    """Names of arrays, as the links below /dev/md tell them now."""

    def names_now() -> NameOf:
        given = {os.path.basename(target): name for name, target in files.links("dev/md").items()}
        return lambda device: given.get(device, device) if ARRAY.match(device) else None

    return names_now


def declare(agent: Agent, files: Files) -> None:
    """disk.partitions, disk.dm and disk.md."""
    _declare(agent, files, PARTITIONS, lambda: lambda device: device if is_partition(device) else None)
    _declare(agent, files, MAPPED, mapped_names(files))
    _declare(agent, files, ARRAYS, array_names(files))


def _declare(agent: Agent, files: Files, kind: Kind, names: Callable[[], NameOf]) -> None:
    indom = agent.indom(
        kind.indom,
        persistent=True,
        members=lambda volumes: volumes.names,
        help_=kind.help,
        labels={"device_type": "block", "indom_name": kind.group},
        label_instance=lambda name: {"device_name": name},
    )
    refresh = files.parsed("proc/diskstats", lambda text: parse_volumes(text, names()))
    cluster = agent.cluster(kind.cluster, refresh)
    for item, measure in zip(kind.items, MEASURES, strict=True):
        short = kind.map_item is not None and measure.name in SHORT
        cluster.metric(
            f"disk.{kind.name}.{measure.name}",
            item,
            U32 if short else measure.disk_type,
            _words32(measure) if short else measure.by_disk,
            indom=indom,
            sem=measure.sem,
            units=measure.units,
            help_=f"{measure.help}, by {kind.each}",
        )
    _declare_constants(cluster, indom, files, kind)


def _declare_constants(cluster: Cluster, indom: Indom, files: Files, kind: Kind) -> None:
    constant = partial(cluster.metric, indom=indom, sem=Semantics.DISCRETE)
    sizes = files.parsed("proc/partitions", parse_partitions)

    def capacities(now: Volumes) -> list[int | None]:
        size_of = sizes()
        return [size_of.get(device) for device in now.devices]

    capacity = f"Size of each {kind.each}"
    constant(f"disk.{kind.name}.capacity", kind.capacity_item, ValueType.U64, capacities, units=KBYTE, help_=capacity)
    if kind.map_item is not None:
        name = f"hinv.map.{kind.name}name"
        constant(name, kind.map_item, ValueType.STRING, lambda now: now.devices or None, help_=MAP_HELP)


def _words32(measure: Measure) -> Callable[[Volumes], list[int]]:
    return lambda volumes: words32(measure.by_disk(volumes))
