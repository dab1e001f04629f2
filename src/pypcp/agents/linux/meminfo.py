"""/proc/meminfo: how memory and swap are used. See: proc(5)."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.units import BYTE, COUNT, KBYTE, MBYTE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.metrics import Cluster

U64: Final = ValueType.U64
PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")

Meminfo = dict[bytes, int]
"""By the file's own names: kilobytes, or a count."""

Value = Callable[[Meminfo], int | None]

KILOBYTES: Final = (
    (2, "free", b"MemFree", "Memory that nothing uses"),
    (3, "shared", b"MemShared", "Memory shared by processes (kernels up to 2.4)"),
    (4, "bufmem", b"Buffers", "Memory that caches blocks of disks"),
    (5, "cached", b"Cached", "Memory that caches the content of files, or is shared memory"),
    (13, "swapCached", b"SwapCached", "Memory whose copy in swap is still good"),
    (14, "active", b"Active", "Memory used lately, reclaimed last"),
    (15, "inactive", b"Inactive", "Memory not used lately, reclaimed first"),
    (16, "highTotal", b"HighTotal", "Memory the kernel cannot address all the time (32-bit systems)"),
    (17, "highFree", b"HighFree", "Unused memory of the kind in highTotal"),
    (18, "lowTotal", b"LowTotal", "Memory the kernel can address all the time (32-bit systems)"),
    (19, "lowFree", b"LowFree", "Unused memory of the kind in lowTotal"),
    (20, "swapTotal", b"SwapTotal", "Swap space there is"),
    (21, "swapFree", b"SwapFree", "Swap space that nothing uses"),
    (22, "dirty", b"Dirty", "Memory to be written to disk"),
    (23, "writeback", b"Writeback", "Memory being written to disk"),
    (24, "mapped", b"Mapped", "File content mapped into processes"),
    (25, "slab", b"Slab", "The kernel's own data structures"),
    (26, "committed_AS", b"Committed_AS", "Memory promised to processes, whether they used it yet or not"),
    (27, "pageTables", b"PageTables", "Tables that map addresses to memory"),
    (28, "reverseMaps", b"ReverseMaps", "Tables that map memory to addresses (kernels up to 2.6)"),
    (30, "anonpages", b"AnonPages", "Memory of processes that no file backs"),
    (31, "commitLimit", b"CommitLimit", "Memory that could be promised under strict accounting"),
    (32, "bounce", b"Bounce", "Copies for devices that do not reach all memory"),
    (33, "NFS_Unstable", b"NFS_Unstable", "Sent to an NFS server and not yet on its disk"),
    (34, "slabReclaimable", b"SReclaimable", "Kernel data structures that can be given up, such as caches of names"),
    (35, "slabUnreclaimable", b"SUnreclaim", "Kernel data structures that cannot be given up"),
    (36, "active_anon", b"Active(anon)", "Memory used lately that no file backs"),
    (37, "inactive_anon", b"Inactive(anon)", "Memory not used lately that no file backs"),
    (38, "active_file", b"Active(file)", "File content used lately"),
    (39, "inactive_file", b"Inactive(file)", "File content not used lately"),
    (40, "unevictable", b"Unevictable", "Memory that must not be reclaimed"),
    (41, "mlocked", b"Mlocked", "Memory locked by mlock(2)"),
    (42, "shmem", b"Shmem", "Shared memory and files of tmpfs"),
    (43, "kernelStack", b"KernelStack", "Stacks of threads within the kernel"),
    (48, "directMap4k", b"DirectMap4k", "The kernel's own map of memory: the part in small pages"),
    (49, "directMap2M", b"DirectMap2M", "The kernel's own map of memory: the part in pages of 2 Mbyte"),
    (50, "vmallocTotal", b"VmallocTotal", "Addresses the kernel has for vmalloc"),
    (51, "vmallocUsed", b"VmallocUsed", "Addresses in use by vmalloc"),
    (52, "vmallocChunk", b"VmallocChunk", "The largest free piece of addresses for vmalloc"),
    (53, "mmap_copy", b"MmapCopy", "Memory that copies files for mmap (systems without an MMU)"),
    (54, "quicklists", b"Quicklists", "Free pages kept ready for page tables"),
    (55, "corrupthardware", b"HardwareCorrupted", "Memory taken out of use because it is broken"),
    (56, "anonhugepages", b"AnonHugePages", "Memory of processes in transparent huge pages"),
    (57, "directMap1G", b"DirectMap1G", "The kernel's own map of memory: the part in pages of 1 Gbyte"),
    (58, "available", b"MemAvailable", "Memory to be had without swapping: the kernel's estimate"),
)
"""Item, name, the file's name, help."""

HUGE_PAGES: Final = (
    (44, 60, "hugepagesTotal", b"HugePages_Total", "Huge pages in the pool"),
    (45, 61, "hugepagesFree", b"HugePages_Free", "Huge pages nobody has"),
    (46, 62, "hugepagesRsvd", b"HugePages_Rsvd", "Huge pages promised and not yet taken"),
    (47, 63, "hugepagesSurp", b"HugePages_Surp", "Huge pages above the size set for the pool"),
)
"""Item of the count, item of the bytes, name, the file's name, help."""

PHYSMEM_HELP: Final = """Memory the kernel can use
What the hardware has, less what the firmware and the kernel's image keep."""


def parse_meminfo(text: bytes) -> Meminfo:
    """``ValueError`` unless every name has a number."""
    words = text.replace(b" kB", b"").replace(b":", b" ").split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def declare(agent: Agent, files: Files) -> None:
    """mem.util, mem.physmem, mem.freemem, swap and the sizes of hinv."""
    cluster = agent.cluster(1, files.parsed("proc/meminfo", parse_meminfo))
    for item, name, key, help_ in KILOBYTES:
        cluster.metric(f"mem.util.{name}", item, U64, _value(key), units=KBYTE, help_=help_)
    for item, bytes_item, name, key, help_ in HUGE_PAGES:
        cluster.metric(f"mem.util.{name}", item, U64, _value(key), units=COUNT, help_=help_)
        cluster.metric(f"mem.util.{name}Bytes", bytes_item, U64, _huge(key), units=BYTE, help_=f"{help_}, in bytes")
    _declare_differences(cluster)
    _declare_swap(cluster)
    _declare_sizes(cluster)
    huge = "Size of a huge page, unless another is asked for"
    cluster.metric("hinv.hugepagesize", 59, ValueType.U32, _huge_page, sem=Semantics.DISCRETE, units=BYTE, help_=huge)
    page = "Size of a page of memory"
    constant = partial(agent.cluster(1).metric, sem=Semantics.DISCRETE)
    constant("hinv.pagesize", 11, ValueType.U32, lambda _: PAGE_BYTES, units=BYTE, help_=page)


def _value(key: bytes) -> Value:
    return lambda info: info.get(key)


def _huge(key: bytes) -> Value:
    return lambda info: None if key not in info else info[key] * info.get(b"Hugepagesize", 0) * 1024


def _huge_page(info: Meminfo) -> int | None:
    return info[b"Hugepagesize"] * 1024 if b"Hugepagesize" in info else None


def _less(total: bytes, *parts: bytes) -> Value:
    """The total less the parts; not below zero, for the kernel does not count them all in one instant."""
    return lambda info: max(info[total] - sum([info[part] for part in parts]), 0) if total in info else None


def _declare_differences(cluster: Cluster) -> None:
    kilobytes = partial(cluster.metric, type_=U64, units=KBYTE)
    used = "Memory in use, for whatever: all but what is free"
    kilobytes("mem.util.used", 1, read=_less(b"MemTotal", b"MemFree"), help_=used)
    other = "Memory in use that caches neither files nor disks"
    kilobytes("mem.util.other", 12, read=_less(b"MemTotal", b"MemFree", b"Cached", b"Buffers"), help_=other)
    clean = "Cached file content that is on disk as it is in memory"
    kilobytes("mem.util.cache_clean", 29, read=_less(b"Cached", b"Dirty", b"Writeback"), help_=clean)


def _declare_swap(cluster: Cluster) -> None:
    in_bytes = partial(cluster.metric, type_=U64, units=BYTE)
    total, free = _less(b"SwapTotal"), _less(b"SwapFree")
    used = _less(b"SwapTotal", b"SwapFree")
    in_bytes("swap.length", 6, read=_bytes(total), help_="Swap space there is")
    in_bytes("swap.used", 7, read=_bytes(used), help_="Swap space in use")
    in_bytes("swap.free", 8, read=_bytes(free), help_="Swap space that nothing uses")


def _bytes(kilobytes: Value) -> Value:
    def read(info: Meminfo) -> int | None:
        value = kilobytes(info)
        return None if value is None else value * 1024

    return read


def _declare_sizes(cluster: Cluster) -> None:
    constant = partial(cluster.metric, sem=Semantics.DISCRETE)
    total = _value(b"MemTotal")
    constant("mem.physmem", 0, U64, total, units=KBYTE, help_=PHYSMEM_HELP)
    cluster.metric("mem.freemem", 10, U64, _value(b"MemFree"), units=KBYTE, help_="Memory that nothing uses")
    megabytes = "Memory the kernel can use, in megabytes"
    constant("hinv.physmem", 9, ValueType.U32, _megabytes, units=MBYTE, help_=megabytes)


def _megabytes(info: Meminfo) -> int | None:
    return info[b"MemTotal"] // 1024 if b"MemTotal" in info else None
