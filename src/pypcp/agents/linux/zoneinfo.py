"""/proc/zoneinfo: the zones of memory and what they hold, in kilobytes. See: proc(5).

Kernels since 4.8 tell some values by NUMA node: those are instances ``node0``, the others ``Normal::node0``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Final

from pypcp.agents.linux import vmstat_names
from pypcp.agents.linux.files import Files
from pypcp.agents.linux.form import Form, picker, remembering
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


class ZoneForm(Form):
    """What the words say: ``names`` of nodes and populated zones in the file's order, the ``columns`` of numbers by
    the file's names, and of every zone, populated or not, the ``protection`` in kilobytes.
    """

    def __init__(self, words: Sequence[bytes]) -> None:
        places, self.protection = _find(words)
        super().__init__(words, list(places.values()))
        self._factors = [1 if key in IN_KBYTES else PAGE_KBYTES for _, key in places]
        order = {where: at for at, where in enumerate(places)}
        present = {name: at for (name, key), at in order.items() if key == b"present"}
        self._present = picker(list(present.values()))
        self._pages = self._present(self.numbers(words) or ())
        empty = {name for name, pages in zip(present, self._pages, strict=True) if not pages}
        self.names = [name for name in dict.fromkeys(name for name, _ in places) if name not in empty]
        self.columns = {
            key: picker([order.get((name, key), len(order)) for name in self.names])
            for key in dict.fromkeys(key for name, key in places if name not in empty)
        }

    def kilobytes(self, words: Sequence[bytes]) -> list[int | None] | None:
        """What the columns pick from: all numbers, and None for what there is not; None for words of another form."""
        numbers = self.numbers(words)
        if numbers is None or self._present(numbers) != self._pages:  # a zone may be populated now, or empty
            return None
        return [*map(mul, numbers, self._factors), None]


def _find(words: Sequence[bytes]) -> tuple[dict[tuple[str, bytes], int], dict[str, int]]:
    """Which word is the number of what, by zone or node and name; and what is protected. ``ValueError``."""
    places: dict[tuple[str, bytes], int] = {}
    protection: dict[str, int] = {}
    node = zone = section = ""
    at = 0
    while at < len(words):
        word = words[at]
        if word == b"Node":
            node = f"node{int(words[at + 1].rstrip(b','))}"
            zone = section = f"{words[at + 3].decode()}::{node}"
            at += 4
        elif word == b"per-node":
            section = node
            at += 2
        elif word == b"pages":
            section = zone
            at += 1
        elif word == b"protection:":
            end = next(last for last in range(at, len(words)) if words[last].endswith(b")")) + 1
            for position, pages in enumerate(b"".join(words[at + 1 : end]).strip(b"()").split(b",")):
                protection[f"{zone}::lowmem_reserved{position}"] = int(pages) * PAGE_KBYTES
            at = end
        else:
            places[section, word] = at + 1
            at += 2
    return places, protection


@dataclass(slots=True)
class Zoneinfo:
    """The file as it is now."""

    form: ZoneForm
    kilobytes: list[int | None]

    def column(self, key: bytes) -> tuple[int | None, ...] | None:
        """What is told under a name: by node and zone, in kilobytes."""
        pick = self.form.columns.get(key)
        return None if pick is None else pick(self.kilobytes)


def parse_zoneinfo(text: bytes, last: Zoneinfo | None = None) -> Zoneinfo:
    """``last``: what the file was before. ``ValueError`` for a zone that breaks off."""
    # What follows the page sets is about each processor: long, and of interest to nobody here.
    words = b"\nNode ".join([block.partition(b"\n  pagesets")[0] for block in text.split(b"Node ")]).split()
    kilobytes = last.form.kilobytes(words) if last is not None else None
    if last is not None and kilobytes is not None:
        return Zoneinfo(last.form, kilobytes)
    if words.count(b"Node") != words.count(b"protection:"):
        raise ValueError("a zone of /proc/zoneinfo breaks off")
    form = ZoneForm(words)
    return Zoneinfo(form, form.kilobytes(words) or [])


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
        members=lambda info: info.form.names,
        help_="Zones of memory, and nodes",
        labels=LABELS,
        label_instance=label_place,
    )
    protections = agent.indom(
        33,
        members=lambda info: info.form.protection,
        help_="Pairs of zones, of which one is protected from the other",
        label_instance=label_protection,
    )
    cluster = agent.cluster(68, files.parsed("proc/zoneinfo", remembering(parse_zoneinfo)))
    _declare_values(cluster, places)
    cluster.metric(
        "mem.zoneinfo.protection",
        0,
        ValueType.U64,
        lambda info: list(info.form.protection.values()),
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


def _column(name: str) -> Callable[[Zoneinfo], Sequence[int | None] | None]:
    key = name.encode()
    return lambda info: info.column(key)
