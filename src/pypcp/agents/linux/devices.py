"""/proc/diskstats: what block devices there are, and their counts. Read once a fetch for all that is told of them."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.pmda.agent import Agent
from pypcp.pmda.metrics import Cluster

NOT_LISTED: Final = ("loop", "ram", "zram", "dm-", "md")
"""Devices that are made of memory, of files or of other devices; stock counts none of them with the disks."""

NUMBERED: Final = ("nvme", "mmcblk", "nbd", "rbd")
"""Disks whose names end in a number, so that a partition's needs a "p" before its own."""

ARRAY: Final = re.compile("md(?!_)")
"""Arrays that can have partitions (md_d0) are left out, as by stock."""


class Kind(Enum):
    """What stock tells of a device under."""

    DISK = auto()
    PARTITION = auto()
    MAPPED = auto()
    ARRAY = auto()
    NOTHING = auto()


@dataclass(slots=True)
class Device:
    """A line of the file: the kernel's name of a device, and its counts."""

    name: str
    counts: list[bytes]


Devices = defaultdict[Kind, list[Device]]


def is_disk(name: str) -> bool:
    """Does stock list the device under disk.dev?

    It goes by the name alone. A name that ends in a letter is a disk (sda, dasdb), one that ends in a number a
    partition (sda1) or something else that is not listed (sr0, fd0, bcache0). Of those named with numbers throughout
    (nvme0n1, and all with a "/" such as cciss/c0d0) the partitions end in "p" and a number.
    """
    if name.startswith(NOT_LISTED):
        return False
    stem = name.rstrip("0123456789")
    if name.startswith(NUMBERED) or "/" in name:
        return stem == name or not stem.endswith("p")
    return stem == name


def is_partition(name: str) -> bool:
    """Does stock list the device under disk.partitions? All it has no other place for, but for CD-ROMs."""
    return not is_disk(name) and not name.startswith((*NOT_LISTED, "sr"))


def kind_of(name: str) -> Kind:
    """What a device is, by its name."""
    if is_disk(name):
        return Kind.DISK
    if is_partition(name):
        return Kind.PARTITION
    if name.startswith("dm-"):
        return Kind.MAPPED
    return Kind.ARRAY if ARRAY.match(name) else Kind.NOTHING


@lru_cache(maxsize=8192)
def _identify(name: bytes) -> tuple[Kind, str]:
    """Remembered, for most lines of the file are always of the same devices."""
    text = name.decode("utf-8", "surrogateescape")
    return kind_of(text), text


def parse_diskstats(text: bytes) -> Devices:
    """``ValueError`` for a line without counts."""
    devices: Devices = defaultdict(list)
    for line in text.splitlines():
        _, _, device, counts = line.split(None, 3)
        kind, name = _identify(device)
        if kind is not Kind.NOTHING:
            devices[kind].append(Device(name, counts.split()))
    return devices


def block_devices(agent: Agent, files: Files) -> Cluster:
    """The cluster that those of disks, partitions, volumes and arrays are refreshed after."""
    return agent.cluster(0, files.parsed("proc/diskstats", parse_diskstats))
