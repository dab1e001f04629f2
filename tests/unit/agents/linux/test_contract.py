"""What holds for every metric that the linux agent declares, on every recorded system."""

import os
import re
from pathlib import Path

import pytest

from linux_trees import TREES, everything, fetch, recorded
from pypcp.errors import AppVersion
from pypcp.model.ids import IN_NULL, PM_INDOM_NULL
from pypcp.model.values import ValueType
from pypcp.pmda.interface import Client, FetchRequest
from pypcp.wire.text import TextKind

PYTHON_TYPES = {
    ValueType.I32: int,
    ValueType.U32: int,
    ValueType.I64: int,
    ValueType.U64: int,
    ValueType.FLOAT: float,
    ValueType.DOUBLE: float,
    ValueType.STRING: str,
}

IN_NO_TREE = {
    "kernel.all.pressure.irq": "needs a kernel built to account for interrupts",
    "mem.util.shared": "left out by kernels since 2.6",
    "mem.util.reverseMaps": "left out by kernels since 2.6",
    "mem.util.mmap_copy": "for systems without an MMU",
    "mem.util.quicklists": "for other architectures",
    "mem.vmstat.compact_": "kernels from 2.6.35 to 3.7",
    "mem.vmstat.kswapd_skip_congestion_wait": "kernels from 2.6.35 to 3.7",
    "mem.vmstat.nr_pages_scanned": "kernels from 4.6 to 4.11",
    "mem.vmstat.workingset_restore": "kernels from 4.20 to 5.8",
    "mem.vmstat.allocstall_high": "kernels since 4.10, of 32 bits",
    "mem.vmstat.pgrefill_dma32": "kernels up to 4.7, of 64 bits",
    "mem.vmstat.pgsteal_": "by zone and by whom: kernels from 3.4 to 4.7; with a zone for 32 bits: of 64 bits",
    "mem.vmstat.pgscan_kswapd_dma32": "kernels up to 4.7, of 64 bits",
    "mem.vmstat.pgscan_direct_dma32": "kernels up to 4.7, of 64 bits",
    "mem.zoneinfo.nr_alloc_batch": "kernels from 3.12 to 4.7",
    "network.interface.inet_addr": "asked of the running kernel, not read from a file",
    "swap.in": "never counted",
    "swap.out": "never counted",
}
"""Metrics that have a value on none of the recorded systems (or the beginning of their names), and why."""


@pytest.mark.parametrize("tree", TREES)
def test_every_metric_answers_with_values_of_its_type_or_with_none(tree: str) -> None:
    agent = recorded(tree)
    names = agent.traverse("")
    for name, values in zip(names, fetch(agent, names), strict=True):
        desc = agent.desc(values.pmid)
        assert values.error is None or isinstance(values.error, AppVersion), name
        if values.values:
            assert values.type in (desc.type, None), name
            assert all(type(value) is PYTHON_TYPES[desc.type] for value in values.values), name
            if desc.indom == PM_INDOM_NULL:
                assert list(values.instances) == [IN_NULL], name
            else:
                assert set(values.instances) <= set(agent.instances(desc.indom)[0]), name


def test_every_metric_has_a_value_on_some_recorded_system() -> None:
    answers = [everything(recorded(tree)) for tree in TREES]
    without = [name for name in answers[0] if all(each[name] in (None, AppVersion) for each in answers)]
    unexplained = [name for name in without if not name.startswith(tuple(IN_NO_TREE))]
    needless = [start for start in IN_NO_TREE if not any(name.startswith(start) for name in without)]
    assert (unexplained, needless) == ([], [])


def test_every_metric_and_every_instance_domain_says_in_a_line_what_it_is() -> None:
    agent = recorded("linux-6.18")
    pmids = [int(agent.lookup_name(name)) for name in agent.traverse("")]
    indoms = {agent.desc(pmid).indom for pmid in pmids} - {PM_INDOM_NULL}
    lines = [agent.text(pmid, TextKind.PMID | TextKind.ONELINE) for pmid in pmids]
    lines += [agent.text(indom, TextKind.INDOM | TextKind.ONELINE) for indom in indoms]
    assert [line for line in lines if not re.fullmatch(r"[A-Z0-9].{3,95}[^.\s]", line)] == []


@pytest.mark.parametrize("tree", TREES)
def test_a_reply_is_laid_out_for_the_first_fetches_and_kept_for_all_that_follow(tree: str) -> None:
    agent = recorded(tree)
    request = FetchRequest(tuple(int(agent.lookup_name(name)) for name in agent.traverse("")))
    layouts = [agent.fetch(request, Client()).layout for _ in range(100)]
    assert len(set(layouts[2:])) == 1


def test_a_fetch_reads_only_the_files_it_needs() -> None:
    agent = recorded("linux-6.18")
    fetch(agent, ["kernel.all.load", "mem.util.free"])
    opened = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    below = sorted(path.partition("linux-6.18/")[2] for path in opened if "linux-6.18/" in path)
    assert below == ["proc/loadavg", "proc/meminfo"]
