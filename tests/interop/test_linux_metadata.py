"""The linux agent's names, identifiers and descriptions against stock's."""

import json
import re
from collections.abc import Iterator

import pytest

from linux_trees import recorded
from peers import StockPmcd, stock
from pypcp.agents.linux import linux_agent
from pypcp.errors import NotLeaf, UnknownName
from pypcp.model.ids import PM_INDOM_NULL
from pypcp.model.labels import LabelType
from pypcp.model.profile import EVERYTHING
from pypcp.pmda.agent import Agent

SUBTREES = (
    "hinv.cpu.online",
    "hinv.hugepagesize",
    "hinv.machine",
    "hinv.map.cpu_node",
    "hinv.map.cpu_num",
    "hinv.ncpu",
    "hinv.ndisk",
    "hinv.ninterface",
    "hinv.nnode",
    "hinv.node",
    "hinv.pagesize",
    "hinv.physmem",
    "kernel.all",
    "kernel.percpu",
    "kernel.uname",
    "pmda.uname",
    "mem",
    "swap",
    "swapdev",
    "vfs",
    "network.sockstat",
    "disk.dev",
    "disk.all",
    "disk.dm",
    "disk.md",
    "disk.partitions",
    "hinv.map.dmname",
    "hinv.map.mdname",
    "network.interface",
)

NOT_OURS = {
    r"mem\.numa\.(util\.|max_bandwidth)": "a later step: per NUMA node",
    r"disk\.md\.status": "stock runs mdadm(8) for it",
    r"mem\.slab": "a later step: needs root, and its instances are many",
    r"disk\.(dev|dm|md)\.((|r_|w_|d_|f_)await|(|r_|w_|d_)avg_(rqsz|qlen)|util)$": "derived by stock's clients",
}
"""Names of stock's that ours has not, and why."""

DESCRIPTION = re.compile(
    r"(?P<name>\S+) PMID: (?P<pmid>\S+)\n"
    r"    Data Type: (?P<type>.*?)  InDom: (?P<indom>\S+).*\n"
    r"    Semantics: (?P<semantics>\S+)  Units: (?P<units>.*)"
)


def _stocks(address: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    printed = stock("pminfo", "-h", address, "-dm", *SUBTREES)
    for found in DESCRIPTION.finditer(printed.stdout):
        yield found["name"], found.group("pmid", "type", "indom", "semantics", "units")


def _ours(agent: Agent, name: str) -> tuple[str, ...]:
    pmid = agent.lookup_name(name)
    desc = agent.desc(pmid)
    return tuple(map(str, (pmid, desc.type, desc.indom, desc.sem, str(desc.units) or "none")))


@pytest.fixture(scope="module")
def stocks(stock_pmcd: StockPmcd) -> dict[str, tuple[str, ...]]:
    return dict(_stocks(stock_pmcd.tcp))


def test_every_metric_is_described_as_stock_describes_it(stocks: dict[str, tuple[str, ...]]) -> None:
    agent = recorded("linux-6.18")
    ours = {name: _ours(agent, name) for name in agent.traverse("")}
    assert len(ours) > 480
    assert {name: (desc, stocks.get(name)) for name, desc in ours.items() if desc != stocks.get(name)} == {}


def test_every_name_of_stocks_is_ours_but_for_those_explained(stocks: dict[str, tuple[str, ...]]) -> None:
    ours = set(recorded("linux-6.18").traverse(""))
    missing = [name for name in stocks if name not in ours and not any(re.match(known, name) for known in NOT_OURS)]
    needless = [known for known in NOT_OURS if not any(re.match(known, name) for name in set(stocks) - ours)]
    assert (missing, needless) == ([], [])


def test_names_that_stock_has_not_are_refused_as_stock_refuses_them() -> None:
    agent = recorded("linux-6.18")
    with pytest.raises(UnknownName):
        agent.lookup_name("kernel.all.lode")
    with pytest.raises(NotLeaf):
        agent.lookup_name("kernel.all")


WITH_LABELS = (
    "kernel.percpu.cpu.user",
    "mem.numa.alloc.hit",
    "kernel.percpu.interrupts",
    "kernel.percpu.softirqs",
    "kernel.all.interrupts.total",
    "kernel.all.softirqs.total",
    "kernel.all.load",
    "mem.buddyinfo.pages",
    "mem.zoneinfo.free",
    "mem.zoneinfo.protection",
    "disk.dev.read",
    "network.interface.mtu",
    "network.interface.hw_addr",
    "mem.util.free",
    "swapdev.free",
)
"""A metric for each instance domain, and two that have no labels of their own."""

OF_THE_CONTEXT = {"domainname", "hostname", "machineid", "userid", "groupid"}
LABELS = re.compile(r'(?P<metric>\S+)\n|    (?:inst \[\d+ or "(?P<instance>.*?)"\] )?labels (?P<labels>\{.*\})')


def _labels_printed(address: str) -> dict[str, dict[str | None, dict[str, object]]]:
    """By metric: of the metric (None) and of its instances, less those that the daemon gives for everything."""
    found: dict[str, dict[str | None, dict[str, object]]] = {}
    for line in LABELS.finditer(stock("pminfo", "-h", address, "-l", *WITH_LABELS).stdout):
        if line["metric"]:
            labels = found[line["metric"]] = {}
        else:
            labels[line["instance"]] = {k: v for k, v in json.loads(line["labels"]).items() if k not in OF_THE_CONTEXT}
    return found


def _labels_given(agent: Agent, name: str) -> dict[str | None, dict[str, object]]:
    desc = agent.desc(agent.lookup_name(name))
    levels = [(desc.pmid, LabelType.DOMAIN), (desc.pmid, LabelType.CLUSTER), (desc.indom, LabelType.INDOM)]
    common: dict[str, object] = {}
    for ident, level in levels:
        for labels in agent.labels(ident, level, EVERYTHING):
            common |= json.loads(labels.json)
    given: dict[str | None, dict[str, object]] = {None: common}
    if desc.indom != PM_INDOM_NULL:
        sets = {each.instance: each for each in agent.labels(desc.indom, LabelType.INSTANCES, EVERYTHING)}
        for instance, instance_name in zip(*agent.instances(desc.indom), strict=True):
            own = json.loads(sets[instance].json or "{}") if instance in sets else {}
            given[instance_name] = common | own
    return given


def test_labels_are_stocks(stock_pmcd: StockPmcd) -> None:
    agent = linux_agent()
    stocks = _labels_printed(stock_pmcd.tcp)
    assert {name: _labels_given(agent, name) for name in WITH_LABELS} == stocks
