"""/proc/vmstat: what the memory management did. See: proc(5)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from pypcp.agents.linux import vmstat_names as names
from pypcp.agents.linux.files import Files
from pypcp.errors import AppVersion
from pypcp.model.units import COUNT
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.metrics import Cluster

Vmstat = dict[bytes, int]
Value = Callable[[Vmstat], int | None]

U64: Final = ValueType.U64

SWAP: Final = 0
"""The cluster of the swap metrics' pmids."""

TOTALS: Final = (
    (176, "pgscan_direct_total", ("pgscan_direct",), "Pages looked at by processes that reclaim themselves, all zones"),
    (177, "pgscan_kswapd_total", ("pgscan_kswapd",), "Pages looked at by kswapd, all zones"),
    (
        178,
        "pgsteal_total",
        ("pgsteal", "pgsteal_kswapd", "pgsteal_direct", "pgsteal_khugepaged", "pgsteal_proactive"),
        "Pages reclaimed, by whomever, all zones",
    ),
)
"""Item, name, what is added up (as a whole or by zone, as the kernel gives it), help."""

INSTEAD: Final = {
    "nr_slab": ("nr_slab_reclaimable", "nr_slab_unreclaimable"),
    "thp_split": ("thp_split_page",),
}
"""Names that kernels dropped, and the ones that say the same since."""


def parse_vmstat(text: bytes) -> Vmstat:
    """``ValueError`` unless every name has a number."""
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def declare(agent: Agent, files: Files) -> None:
    """mem.vmstat, and how much was swapped."""
    cluster = agent.cluster(28, files.parsed("proc/vmstat", parse_vmstat))
    for item, name, help_ in names.UNITLESS:
        cluster.metric(f"mem.vmstat.{name}", item, U64, _value(name), help_=help_)
    for item, name, help_ in names.GAUGES + names.PINS:
        cluster.metric(f"mem.vmstat.{name}", item, U64, _value(name), units=COUNT, help_=help_)
    _declare_counters(cluster)
    _declare_swap(cluster, agent.cluster(SWAP))


def _declare_counters(cluster: Cluster) -> None:
    counter = partial(cluster.metric, type_=U64, sem=Semantics.COUNTER, units=COUNT)
    for item, name, help_ in names.COUNTERS:
        counter(f"mem.vmstat.{name}", item, read=_value(name), help_=help_)
    for family, help_, items in names.ZONE_COUNTERS:
        for zone, item in items.items():
            name = f"{family}_{zone}"
            counter(f"mem.vmstat.{name}", item, read=_value(name), help_=f"{help_}, zone {zone}")
    for item, name, families, help_ in TOTALS:
        parts = [each for family in families for each in (family, *(f"{family}_{zone}" for zone in names.ZONES))]
        counter(f"mem.vmstat.{name}", item, read=_sum(parts), help_=help_)


def _declare_swap(pages: Cluster, transfers: Cluster) -> None:
    counter = partial(pages.metric, type_=ValueType.U32, sem=Semantics.COUNTER, units=COUNT, number=SWAP)
    counter("swap.pagesin", 8, read=_word32("pswpin"), help_="Pages read back from swap")
    counter("swap.pagesout", 9, read=_word32("pswpout"), help_="Pages written to swap")
    counter = partial(transfers.metric, type_=ValueType.U32, sem=Semantics.COUNTER, units=COUNT)
    counter("swap.in", 10, read=_not_counted, help_="Reads from swap\nNo kernel since 2.6 counts them.")
    counter("swap.out", 11, read=_not_counted, help_="Writes to swap\nNo kernel since 2.6 counts them.")


def _value(name: str) -> Value:
    key = name.encode()
    if name in INSTEAD:
        since = _sum(INSTEAD[name])
        return lambda stat: stat[key] if key in stat else since(stat)
    return lambda stat: stat.get(key)


def _sum(parts: list[str] | tuple[str, ...]) -> Value:
    """The sum of those of the parts that there are; None if there is none."""
    keys = [part.encode() for part in parts]

    def read(stat: Vmstat) -> int | None:
        found = [stat[key] for key in keys if key in stat]
        return sum(found) if found else None

    return read


def _word32(name: str) -> Value:
    key = name.encode()
    return lambda stat: stat[key] & 0xFFFFFFFF if key in stat else None


def _not_counted(_: object) -> int:
    raise AppVersion("this kernel counts pages, not transfers")
