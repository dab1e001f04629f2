"""/proc/zoneinfo: the zones of memory and what they hold, in kilobytes. See: proc(5).

Kernels since 4.8 tell some values by NUMA node: those are instances ``node0``, the others ``Normal::node0``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from pypcp.agents.linux import vmstat_names
from pypcp.agents.linux.files import Files
from pypcp.agents.linux.meminfo import PAGE_BYTES
from pypcp.model.units import KBYTE
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

PROTECTION: Final = 70
"""The cluster of the pmid of mem.zoneinfo.protection."""

PAGE_KBYTES: Final = PAGE_BYTES // 1024

IN_KBYTES: Final = frozenset({b"nr_kernel_stack"})
"""What the kernel gives in kilobytes already."""

LIMITS: Final = (
    ("free", "Memory that nothing uses"),
    ("min", "Below so much free memory, processes have to reclaim themselves"),
    ("low", "Below so much free memory, kswapd is woken"),
    ("high", "Above so much free memory, kswapd sleeps again"),
    ("scanned", "Memory looked at since reclaim last succeeded (kernels up to 4.7)"),
    ("spanned", "The range of addresses of the zone, holes included"),
    ("present", "Memory there is in the zone"),
    ("managed", "Memory of the zone that can be allocated"),
)
"""Items 0 to 7: name, help."""

COUNTED: Final = """
    nr_free_pages nr_alloc_batch nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable nr_mlock
    nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback nr_slab_reclaimable nr_slab_unreclaimable
    nr_page_table_pages nr_kernel_stack nr_unstable nr_bounce nr_vmscan_write nr_vmscan_immediate_reclaim
    nr_writeback_temp nr_isolated_anon nr_isolated_file nr_shmem nr_dirtied nr_written numa_hit numa_miss numa_foreign
    numa_interleave numa_local numa_other workingset_refault workingset_activate workingset_nodereclaim
    nr_anon_transparent_hugepages nr_free_cma cma nr_swapcached nr_shmem_hugepages nr_shmem_pmdmapped nr_file_hugepages
    nr_file_pmdmapped nr_kernel_misc_reclaimable nr_foll_pin_acquired nr_foll_pin_released workingset_refault_anon
    workingset_refault_file workingset_active_anon workingset_active_file workingset_restore_anon
    workingset_restore_file nr_zspages nr_zone_inactive_file nr_zone_active_file nr_zone_inactive_anon
    nr_zone_active_anon nr_zone_unevictable nr_zone_write_pending
"""
"""Items 8 and up, in stock's order."""

RENAMED: Final = {
    "workingset_active_anon": "workingset_activate_anon",
    "workingset_active_file": "workingset_activate_file",
}
"""Stock's names, and the kernel's where they differ."""

HELP: Final = {
    "nr_alloc_batch": "Pages to allocate before the next zone's turn (up to 4.7)",
    "nr_kernel_stack": "Stacks of threads within the kernel",
    "cma": "Pages set aside for contiguous allocations",
    "nr_swapcached": "Pages whose copy in swap is still good",
    "workingset_refault_anon": "Pages no file backs, read again soon after they were evicted",
    "workingset_refault_file": "Pages of files, read again soon after they were evicted",
    "workingset_active_anon": "Pages no file backs, read again so soon that they became active",
    "workingset_active_file": "Pages of files, read again so soon that they became active",
    "workingset_restore_anon": "Pages no file backs, read again that had been active before",
    "workingset_restore_file": "Pages of files, read again that had been active before",
}
"""What /proc/vmstat does not have; for the others, its words hold here."""

PROTECTION_HELP: Final = """Free memory of a zone that allocations meant for another zone must leave
An instance is the zone, its node, and the position of the other zone in the order of zones."""


LABELS: Final = {"device_type": ["memory", "numa_node"], "indom_name": "per zone per numa_node"}


@dataclass(slots=True)
class Place:
    """A zone or a node: what it counts, in kilobytes."""

    name: str
    values: dict[bytes, int]


@dataclass(slots=True)
class Zoneinfo:
    """Nodes and populated zones as the file lists them; and of every zone, populated or not, its protection."""

    places: list[Place]
    protection: dict[str, int]


def parse_zoneinfo(text: bytes) -> Zoneinfo:
    """``ValueError`` for a zone that breaks off."""
    info = Zoneinfo([], {})
    for block in text.split(b"Node ")[1:]:
        # What follows is about each processor: long, and of interest to nobody here.
        _parse_zone(block.partition(b"\n  pagesets")[0], info)
    return info


def _parse_zone(block: bytes, info: Zoneinfo) -> None:
    heading, _, rest = block.partition(b"\n")
    node, _, zone = heading.partition(b", zone")
    node_name = f"node{int(node)}"
    name = f"{zone.strip().decode()}::{node_name}"
    of_node, _, of_zone = rest.rpartition(b"  pages ")
    if of_node:
        info.places.append(Place(node_name, _kilobytes(of_node.split()[2:])))
    limits, _, rest = of_zone.partition(b"protection: (")
    reserved, end, counts = rest.partition(b")")
    if not end:
        raise ValueError(f"zone {name} of /proc/zoneinfo breaks off")
    values = _kilobytes(limits.split() + counts.split())
    if values.get(b"present"):
        info.places.append(Place(name, values))
    for position, pages in enumerate(reserved.split(b",")):
        info.protection[f"{name}::lowmem_reserved{position}"] = int(pages) * PAGE_KBYTES


def _kilobytes(words: list[bytes]) -> dict[bytes, int]:
    names = words[::2]
    values = dict(zip(names, [int(word) * PAGE_KBYTES for word in words[1::2]], strict=True))
    for name in IN_KBYTES.intersection(values):
        values[name] //= PAGE_KBYTES
    return values


def label_place(name: str) -> dict[str, object]:
    """The labels of an instance such as ``Normal::node0``, or ``node0``."""
    zone, _, node = name.rpartition("::")
    number = int(node.removeprefix("node"))
    return {"zone": zone, "numa_node": number} if zone else {"numa_node": number}


def label_protection(name: str) -> dict[str, object]:
    """The labels of an instance such as ``DMA::node0::lowmem_reserved2``."""
    place, _, reserved = name.rpartition("::")
    return {**label_place(place), "lowmem_reserved": int(reserved.removeprefix("lowmem_reserved"))}


def declare(agent: Agent, files: Files) -> None:
    """mem.zoneinfo."""
    places = agent.indom(
        32,
        persistent=True,
        members=lambda info: [place.name for place in info.places],
        help_="Zones of memory, and nodes",
        labels=LABELS,
        label_instance=label_place,
    )
    protections = agent.indom(
        33,
        members=attrgetter("protection"),
        help_="Pairs of zones, of which one is protected from the other",
        label_instance=label_protection,
    )
    cluster = agent.cluster(68, files.parsed("proc/zoneinfo", parse_zoneinfo))
    _declare_values(cluster, places)
    cluster.metric(
        "mem.zoneinfo.protection",
        0,
        ValueType.U64,
        lambda info: list(info.protection.values()),
        indom=protections,
        units=KBYTE,
        number=PROTECTION,
        help_=PROTECTION_HELP,
    )


def _declare_values(cluster: Cluster, places: Indom) -> None:
    known = {name: help_ for _, name, help_ in vmstat_names.UNITLESS + vmstat_names.GAUGES + vmstat_names.PINS}
    known |= {name: help_ for _, name, help_ in vmstat_names.COUNTERS} | HELP
    metrics = [*LIMITS, *((name, f"{known[name]}: this zone or node, in kilobytes") for name in COUNTED.split())]
    for item, (name, help_) in enumerate(metrics):
        read = _column(RENAMED.get(name, name))
        cluster.metric(f"mem.zoneinfo.{name}", item, ValueType.U64, read, indom=places, units=KBYTE, help_=help_)


def _column(name: str) -> Callable[[Zoneinfo], list[int | None] | None]:
    key = name.encode()

    def read(info: Zoneinfo) -> list[int | None] | None:
        column = [place.values.get(key) for place in info.places]
        return column if any(value is not None for value in column) else None

    return read
