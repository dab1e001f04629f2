"""The linux agent's names, identifiers and descriptions against stock's."""

import re
from collections.abc import Iterator

import pytest

from linux_trees import recorded
from peers import StockPmcd, stock
from pypcp.errors import NotLeaf, UnknownName
from pypcp.pmda.agent import Agent

SUBTREES = (
    "hinv.ncpu",
    "hinv.ndisk",
    "hinv.ninterface",
    "hinv.pagesize",
    "hinv.physmem",
    "kernel.all",
    "kernel.percpu",
    "kernel.uname",
    "mem",
    "swap",
    "disk.dev",
    "disk.all",
    "network.interface",
)

NOT_OURS = {
    r"mem\.numa\.": "a later step: per NUMA node",
    r"mem\.slab": "a later step: needs root, and its instances are many",
    r"disk\.dev\.((|r_|w_|d_|f_)await|(|r_|w_|d_)avg_(rqsz|qlen)|util)$": "derived by stock's clients",
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
