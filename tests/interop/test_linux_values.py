"""The linux agent's values against stock's: on recorded systems, where both read the same files, and on this one."""

import math
import re
from collections.abc import Iterator

import pytest

from linux_trees import DATA, TREES, Answer, ask, everything, recorded
from peers import StockPmcd, stock
from pypcp.agents.linux import linux_agent
from pypcp.errors import PcpError
from pypcp.model.values import Semantics
from pypcp.pmda.agent import Agent

ELSEWHERE = {
    r"kernel\.uname\.(nodename|release|version|sysname)|pmda\.uname": "stock asks uname(2), this system's only",
    r"kernel\.all\.(nusers|nroots|nsessions)": "stock reads this system's utmp",
    r"network\.interface\.(mtu|speed|baudrate|duplex|up|running|wireless|type|virtual|inet_addr)": (
        "stock asks this system's kernel about interfaces of the same name"
    ),
}
"""Metrics where a recorded system does not reach stock, and why."""

DIFFERENT = {
    r"mem\.zoneinfo\.nr_free_pages": "stock misses it: it comes first after the protection",
    r"mem\.zoneinfo\.nr_kernel_stack": "stock takes kilobytes for pages",
    r"mem\.vmstat\.balloon_(in|de)flate": "stock has the two the wrong way round",
    r"mem\.vmstat\.pgscan_direct_total": "stock adds pgscan_direct_throttle, which counts waits and not pages",
    r"mem\.vmstat\.thp_split": "stock adds splits that failed, and says -2 without any",
    r"mem\.util\.available": "stock says 0 on kernels that do not estimate it",
    r"disk\.dev\.scheduler": 'stock says "unknown" where the kernel leaves no choice but "none"',
}
"""Metrics whose values are not stock's on some recorded system, and why."""

MISSING = re.compile(r"kernel\.all\.|kernel\.percpu\.s?irq|kernel\.percpu\.intr|mem\.ksm\.|network\.sockstat\.|vfs\.")
"""Where stock says 0 (of pids: 4194304) for a file that is not there, and we that there is no value."""

INSTANCE = re.compile(r'    inst \[\d+ or "(?P<name>.*)"\] value (?P<value>.*)')


class RecordedPmcd(StockPmcd):
    """Stock's collector with its linux agent on a recorded system."""

    def __init__(self, tree: str) -> None:
        super().__init__()
        self.tree = tree

    def environment(self) -> dict[str, str]:
        return super().environment() | {"LINUX_STATSPATH": str(DATA / self.tree)}


def _stocks(address: str, names: list[str]) -> Iterator[tuple[str, object]]:
    """What pminfo prints, parsed: texts as they are printed, by instance where there are instances."""
    printed = stock("pminfo", "-h", address, "-f", *names).stdout
    for block in printed.strip().split("\n\n"):
        name, *lines = block.splitlines()
        instances = [found.group("name", "value") for line in lines if (found := INSTANCE.fullmatch(line))]
        yield name, dict(instances) if instances else lines[0].removeprefix("    value ")


def _printed(answer: Answer, error: PcpError | None = None) -> object:
    """An answer of ours as pminfo would print it, parsed again."""
    if isinstance(answer, dict):
        return {name: _one(value) for name, value in answer.items()}
    if isinstance(answer, type):
        return f"Error: {answer.sentence}"
    return "No value(s) available!" if answer is None else _one(answer)


def _one(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:.12g}" if isinstance(value, float) else str(value)


def _same(ours: object, stocks: object) -> bool:
    if isinstance(ours, dict) and isinstance(stocks, dict):
        return ours.keys() == stocks.keys() and all(_same(ours[name], stocks[name]) for name in ours)
    try:
        return ours == stocks or math.isclose(float(str(ours)), float(str(stocks)), rel_tol=1e-6)
    except ValueError:
        return False


@pytest.mark.parametrize("tree", TREES)
def test_on_a_recorded_system_all_values_are_stocks_but_for_those_explained(tree: str) -> None:
    ours = everything(recorded(tree))
    with RecordedPmcd(tree) as daemon:
        stocks = dict(_stocks(daemon.tcp, list(ours)))
    assert stocks.keys() == ours.keys()
    different = [name for name, answer in ours.items() if not _same(_printed(answer), stocks[name])]
    explained = [*ELSEWHERE, *DIFFERENT]
    left = {
        name: (ours[name], stocks[name])
        for name in different
        if not any(re.fullmatch(known, name) for known in explained)
        and not (ours[name] is None and MISSING.match(name) and _is_zero(stocks[name]))
    }
    assert left == {}


def _is_zero(printed: object) -> bool:
    values = printed.values() if isinstance(printed, dict) else [printed]
    return all(value in ("0", "4194304") for value in values)


LIVE_DIFFERENT = [
    *DIFFERENT,
    r"network\.interface\.(speed|baudrate)",  # stock takes "unknown" for the largest speed there is
    r"network\.interface\.(type|virtual)",  # stock forgets both where a driver has no speed
]


def _named(agent: Agent, sem: Semantics) -> list[str]:
    """The metrics of these semantics that we mean to have the same values as stock."""
    names = [name for name in agent.traverse("") if agent.desc(agent.lookup_name(name)).sem is sem]
    return [name for name in names if not any(re.fullmatch(known, name) for known in LIVE_DIFFERENT)]


def test_on_this_system_constants_are_stocks(stock_pmcd: StockPmcd) -> None:
    here = linux_agent()
    names = _named(here, Semantics.DISCRETE)
    ours = ask(here, names)
    stocks = dict(_stocks(stock_pmcd.tcp, names))
    assert {name: (ours[name], stocks[name]) for name in names if not _same(_printed(ours[name]), stocks[name])} == {}


def _numbers(answer: object) -> dict[str, int]:
    values = answer if isinstance(answer, dict) else {"": answer}
    return {name: int(str(value)) for name, value in values.items()}


FALLING = {"mem.vmstat.workingset_nodes"}
"""What stock calls a counter although the kernel counts it down, too."""


def test_on_this_system_counters_of_ours_lie_between_two_of_stocks(stock_pmcd: StockPmcd) -> None:
    here = linux_agent()
    names = [name for name in _named(here, Semantics.COUNTER) if name not in FALLING]
    before = dict(_stocks(stock_pmcd.tcp, names))
    ours = ask(here, names)
    after = dict(_stocks(stock_pmcd.tcp, names))
    told = [name for name in names if ours[name] is not None and not isinstance(ours[name], type)]
    assert len(told) > 200
    assert [name for name in told if not _between(before[name], ours[name], after[name])] == []


def _between(before: object, ours: object, after: object) -> bool:
    low, value, high = _numbers(before), _numbers(ours), _numbers(after)
    return value.keys() == high.keys() and all(low.get(name, 0) <= value[name] <= high[name] for name in value)
