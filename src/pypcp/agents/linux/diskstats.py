"""/proc/diskstats: what the disks did. See: the kernel's Documentation/admin-guide/iostats.rst."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Final

from pypcp.agents.linux.devices import Devices, Kind
from pypcp.agents.linux.files import Files
from pypcp.agents.linux.table import Table, words32
from pypcp.model.units import COUNT, KBYTE, MSEC, NONE, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

U32: Final = ValueType.U32
U64: Final = ValueType.U64

READ, READ_MERGE, READ_SECTORS, READ_MS, WRITE, WRITE_MERGE, WRITE_SECTORS, WRITE_MS = range(8)
IN_FLIGHT, BUSY_MS, QUEUE_MS = range(8, 11)
DISCARD, DISCARD_MERGE, DISCARD_SECTORS, DISCARD_MS, FLUSH, FLUSH_MS = range(11, 17)
"""The columns after the name: discards came with Linux 4.18, flushes with 5.5."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What is told of each disk and of all together: the columns that make it up."""

    name: str
    disk_item: int
    all_item: int
    help: str
    columns: tuple[int, ...]
    units: Units = COUNT
    sem: Semantics = Semantics.COUNTER
    disk_type: ValueType = U64
    all_type: ValueType = U64

    def by_disk(self, disks: Disks) -> list[int]:
        """One value a disk."""
        if not disks.names:
            return []
        found = disks.told.get(self.name)
        if found is None:
            found = disks.told[self.name] = self._work_out(disks)
        return found

    def _work_out(self, disks: Disks) -> list[int]:
        values = disks.counts.added(*self.columns)
        if self.units is KBYTE:  # from sectors, which are half a kilobyte whatever the disk says
            return [value // 2 for value in values]
        return words32(values) if self.disk_type is U32 else values

    def of_all(self, disks: Disks) -> int:
        """Added up over all disks."""
        total = sum(self.by_disk(disks))
        return total & 0xFFFFFFFF if self.all_type is U32 else total


_milliseconds = partial(Measure, units=MSEC, disk_type=U32)

MEASURES: Final = (
    Measure("read", 4, 24, "Reads completed", (READ,)),
    Measure("write", 5, 25, "Writes completed", (WRITE,)),
    Measure("total", 28, 29, "Reads and writes completed", (READ, WRITE)),
    Measure("blkread", 6, 26, "Blocks of 512 bytes read", (READ_SECTORS,)),
    Measure("blkwrite", 7, 27, "Blocks of 512 bytes written", (WRITE_SECTORS,)),
    Measure("blktotal", 36, 37, "Blocks of 512 bytes read and written", (READ_SECTORS, WRITE_SECTORS)),
    Measure("read_bytes", 38, 41, "Data read", (READ_SECTORS,), KBYTE),
    Measure("write_bytes", 39, 42, "Data written", (WRITE_SECTORS,), KBYTE),
    Measure("total_bytes", 40, 43, "Data read and written", (READ_SECTORS, WRITE_SECTORS), KBYTE),
    Measure("read_merge", 49, 51, "Reads joined with another before they went to the disk", (READ_MERGE,)),
    Measure("write_merge", 50, 52, "Writes joined with another before they went to the disk", (WRITE_MERGE,)),
    _milliseconds("avactive", 46, 44, "Time with something to do: its rate is the utilization", (BUSY_MS,)),
    _milliseconds(
        "aveq", 47, 45, "Time of all requests waiting or served: its rate is the queue's length", (QUEUE_MS,)
    ),
    _milliseconds("read_rawactive", 72, 74, "Time that reads took, waiting included, added up", (READ_MS,)),
    _milliseconds("write_rawactive", 73, 75, "Time that writes took, waiting included, added up", (WRITE_MS,)),
    _milliseconds("total_rawactive", 79, 80, "Time that reads and writes took, added up", (READ_MS, WRITE_MS)),
    Measure("discard", 88, 96, "Discards completed", (DISCARD,)),
    Measure("blkdiscard", 89, 97, "Blocks of 512 bytes discarded", (DISCARD_SECTORS,)),
    Measure("discard_bytes", 90, 98, "Data discarded", (DISCARD_SECTORS,), KBYTE),
    Measure("discard_merge", 91, 99, "Discards joined with another before they went to the disk", (DISCARD_MERGE,)),
    _milliseconds("discard_rawactive", 92, 100, "Time that discards took, added up", (DISCARD_MS,), all_type=U32),
    Measure("flush", 93, 101, "Flushes of the disk's own cache completed", (FLUSH,)),
    _milliseconds("flush_rawactive", 94, 102, "Time that flushes took, added up", (FLUSH_MS,), all_type=U32),
    Measure(
        "inflight", 95, 104, "Requests the driver has and has not completed", (IN_FLIGHT,), NONE, Semantics.INSTANT, U32
    ),
)

SCHEDULER_HELP: Final = """The scheduler that orders the disk's requests
"unknown" where the kernel does not say."""


@dataclass(slots=True)
class Disks:
    """The disks of the file: a row of counts for each name. ``told`` is what has been worked out of them."""

    names: list[str]
    counts: Table
    told: dict[str, list[int]] = field(default_factory=dict)


def disks_of(devices: Devices) -> Disks:
    """Those that are disks."""
    disks = devices[Kind.DISK]
    return Disks([disk.name for disk in disks], Table([disk.counts for disk in disks]))


def parse_partitions(text: bytes) -> dict[str, int]:
    """/proc/partitions: the size of each block device, in kilobytes."""
    lines = [line.split() for line in text.splitlines()[2:]]
    return {name.decode("utf-8", "surrogateescape"): int(blocks) for _, _, blocks, name in lines}


def declare(agent: Agent, files: Files, devices: Cluster) -> None:
    """disk.dev, disk.all and hinv.ndisk."""
    disks = agent.indom(
        1,
        persistent=True,
        members=attrgetter("names"),
        help_="Disks\nWhole disks, not partitions or what is made of several disks.",
        labels={"device_type": "block", "indom_name": "per disk"},
        label_instance=lambda disk: {"device_name": disk},
    )
    cluster = agent.cluster(0, disks_of, after=devices)
    for measure in MEASURES:
        declare_measure = partial(cluster.metric, sem=measure.sem, units=measure.units)
        per_disk, of_all = f"{measure.help}, by disk", f"{measure.help}, over all disks"
        declare_measure(
            f"disk.dev.{measure.name}",
            measure.disk_item,
            measure.disk_type,
            measure.by_disk,
            indom=disks,
            help_=per_disk,
        )
        declare_measure(f"disk.all.{measure.name}", measure.all_item, measure.all_type, measure.of_all, help_=of_all)
    _declare_constants(cluster, disks, files)


def _declare_constants(cluster: Cluster, disks: Indom, files: Files) -> None:
    constant = partial(cluster.metric, sem=Semantics.DISCRETE)
    constant("hinv.ndisk", 33, U32, lambda now: len(now.names), help_="Disks of the system")
    constant("disk.dev.scheduler", 59, ValueType.STRING, _schedulers(files), indom=disks, help_=SCHEDULER_HELP)
    sizes = files.parsed("proc/partitions", parse_partitions)

    def capacities(now: Disks) -> list[int | None]:
        size_of = sizes() if now.names else {}
        return [size_of.get(name) for name in now.names]

    constant("disk.dev.capacity", 87, U64, capacities, indom=disks, units=KBYTE, help_="Size of a disk")


def _schedulers(files: Files) -> Callable[[Disks], list[str]]:
    schedulers = files.of_each(lambda name: f"sys/block/{name.replace('/', '!')}/queue/scheduler")
    return lambda now: [chosen_scheduler(text.decode().strip()) for text in schedulers.read(now.names)]


def chosen_scheduler(text: str) -> str:
    """The one in brackets; the only one, where the kernel leaves no choice."""
    _, _, chosen = text.partition("[")
    return chosen.partition("]")[0] or text or "unknown"
