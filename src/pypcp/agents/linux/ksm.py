"""/sys/kernel/mm/ksm: merging of memory pages that are the same."""

from __future__ import annotations

from typing import Final

from pypcp.agents.linux.files import Files, number
from pypcp.model.units import COUNT, MSEC, NONE
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent

NUMBERS: Final = (
    (0, "full_scans", "full_scans", COUNT, "How often all mergeable memory has been scanned"),
    (1, "merge_across_nodes", "merge_across_nodes", NONE, "Are pages of different NUMA nodes merged? 1 yes, 0 no"),
    (2, "pages_shared", "pages_shared", NONE, "Merged pages in use: each stands for several"),
    (3, "pages_sharing", "pages_sharing", NONE, "Places that use a merged page: how much is saved"),
    (4, "pages_to_scan", "pages_to_scan", NONE, "Pages scanned before the scanner sleeps again"),
    (5, "pages_unshared", "pages_unshared", COUNT, "Pages without an equal, scanned again and again"),
    (6, "pages_volatile", "pages_volatile", NONE, "Pages that change too fast to be merged"),
    (7, "run_state", "run", NONE, "The scanner: 0 stopped, 1 runs, 2 stopped and everything unmerged"),
    (8, "sleep_time", "sleep_millisecs", MSEC, "How long the scanner sleeps between scans"),
)
"""Item, name, file, units, help."""


def declare(agent: Agent, files: Files) -> None:
    """mem.ksm."""
    for item, name, file, units, help_ in NUMBERS:
        cluster = agent.cluster(69, files.parsed(f"sys/kernel/mm/ksm/{file}", number))
        cluster.metric(f"mem.ksm.{name}", item, ValueType.U64, lambda value: value, units=units, help_=help_)
