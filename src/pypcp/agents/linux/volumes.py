"""/proc/diskstats again: partitions, and what the device mapper and md make of disks.

A logical volume is known by the name its administrator gave it, as is an array that has one below /dev/md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pypcp.agents.linux.devices import Device, Kind
from pypcp.agents.linux.diskstats import MEASURES, Disks, Measure, parse_partitions
from pypcp.agents.linux.files import Files
from pypcp.agents.linux.table import Table, words32
from pypcp.model.units import KBYTE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

U32: Final = ValueType.U32

Names = Callable[[Sequence[Device]], Sequence[str]]
"""Devices -> the names of their instances; an empty one for what is no instance."""

SHORT: Final = ("read_bytes", "write_bytes", "total_bytes")
"""What is told in 32 bits of a volume, and in 64 of a disk."""

MAP_HELP: Final = "The kernel's name of the device"


@dataclass(slots=True, kw_only=True)
class Volumes(Disks):
    """The devices of one kind: the instances' names, a row of counts each, and the kernel's names."""

    devices: list[str]


@dataclass(frozen=True, slots=True)
class Family:
    """What stock calls a kind of device, and where its items are."""

    kind: Kind
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

PARTITIONS: Final = Family(
    Kind.PARTITION, "partitions", 10, 10, "Partitions", "partition", "per partition", (*range(16), *range(17, 25)), 16
)
MAPPED: Final = Family(
    Kind.MAPPED, "dm", 54, 24, "Volumes of the device mapper", "volume", "per dm device", VOLUME_ITEMS, 17, 13
)
ARRAYS: Final = Family(Kind.ARRAY, "md", 59, 25, "Arrays of disks (md)", "array", "per md device", VOLUME_ITEMS, 17, 13)


def volumes_of(devices: Sequence[Device], names: Names) -> Volumes:
    """Those of ``devices`` that have a name."""
    if not devices:
        return Volumes([], Table([]), devices=[])
    named = [(name, device) for name, device in zip(names(devices), devices, strict=True) if name]
    rows = [device.counts for _, device in named]
    return Volumes([name for name, _ in named], Table(rows), devices=[device.name for _, device in named])


def kernels_names(devices: Sequence[Device]) -> list[str]:
    """What the kernel calls them."""
    return [device.name for device in devices]


def mapped_names(files: Files) -> Names:
    """Names of logical volumes, as they are now."""

    def names(devices: Sequence[Device]) -> list[str]:
        texts = [files.read_once(f"sys/block/{device.name}/dm/name") for device in devices]
        return [text.decode("utf-8", "surrogateescape") for text in texts]

    return names


def array_names(files: Files) -> Names:
    """Names of arrays, as the links below /dev/md tell them now."""

    def names(devices: Sequence[Device]) -> list[str]:
        given = {os.path.basename(target): name for name, target in files.links("dev/md").items()}
        return [given.get(device.name, device.name) for device in devices]

    return names


def declare(agent: Agent, files: Files, devices: Cluster) -> None:
    """disk.partitions, disk.dm and disk.md."""
    _declare(agent, files, PARTITIONS, _cluster(agent, devices, PARTITIONS, kernels_names))
    _declare(agent, files, MAPPED, _cluster(agent, devices, MAPPED, mapped_names(files)))
    _declare(agent, files, ARRAYS, _cluster(agent, devices, ARRAYS, array_names(files)))


def _cluster(agent: Agent, devices: Cluster, family: Family, names: Names) -> Cluster:
    return agent.cluster(family.cluster, lambda now: volumes_of(now[family.kind], names), after=devices)


def _declare(agent: Agent, files: Files, family: Family, cluster: Cluster) -> None:
    indom = agent.indom(
        family.indom,
        persistent=True,
        members=lambda volumes: volumes.names,
        help_=family.help,
        labels={"device_type": "block", "indom_name": family.group},
        label_instance=lambda name: {"device_name": name},
    )
    for item, measure in zip(family.items, MEASURES, strict=True):
        short = family.map_item is not None and measure.name in SHORT
        cluster.metric(
            f"disk.{family.name}.{measure.name}",
            item,
            U32 if short else measure.disk_type,
            _words32(measure) if short else measure.by_disk,
            indom=indom,
            sem=measure.sem,
            units=measure.units,
            help_=f"{measure.help}, by {family.each}",
        )
    _declare_constants(cluster, indom, files, family)


def _declare_constants(cluster: Cluster, indom: Indom, files: Files, family: Family) -> None:
    constant = partial(cluster.metric, indom=indom, sem=Semantics.DISCRETE)
    sizes = files.parsed("proc/partitions", parse_partitions)

    def capacities(now: Volumes) -> list[int | None]:
        size_of = sizes() if now.devices else {}
        return [size_of.get(device) for device in now.devices]

    capacity = f"Size of each {family.each}"
    constant(
        f"disk.{family.name}.capacity", family.capacity_item, ValueType.U64, capacities, units=KBYTE, help_=capacity
    )
    if family.map_item is not None:
        name = f"hinv.map.{family.name}name"
        constant(name, family.map_item, ValueType.STRING, lambda now: now.devices or None, help_=MAP_HELP)


def _words32(measure: Measure) -> Callable[[Volumes], list[int]]:
    return lambda volumes: words32(measure.by_disk(volumes))
