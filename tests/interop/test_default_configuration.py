"""Stock's default pmcd.conf as it is installed: what stock loads into its pmcd, ours answers by agents of its own."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from peers import PMNS, STOCK_PMCD, Daemon, OurDaemon, StockPmcd, require, stock

CONFIGURATION = Path("/etc/pcp/pmcd/pmcd.conf")
DSO = re.compile(r"^(?P<name>\w+)\s+(?P<domain>\d+)\s+dso\s", re.MULTILINE)
IN_THE_DAEMON = {("pmcd", "2"), ("pmproxy", "4"), ("mmv", "70"), ("jbd2", "122")}
"""Name and domain of its dso lines."""


def files(daemon: Daemon) -> list[str]:
    return ["-c", str(CONFIGURATION), "-n", f"{PMNS}/root", "-l", str(daemon.directory / "pmcd.log")]


class OurDefault(OurDaemon):
    def command(self) -> Sequence[str]:
        return [*super().command(), *files(self)]


class TheirDefault(StockPmcd):
    def command(self) -> Sequence[str]:
        return [STOCK_PMCD, "-f", "-A", "-p", str(self.port), "-s", str(self.socket), *files(self)]


@pytest.fixture(scope="module", autouse=True)
def default_configuration() -> None:
    text = CONFIGURATION.read_text() if CONFIGURATION.exists() else ""
    lines = {found.group("name", "domain") for found in DSO.finditer(text)}
    require(lines == IN_THE_DAEMON, f"stock's default {CONFIGURATION}")


@pytest.fixture(scope="module")
def ours() -> Iterator[Daemon]:
    require(Path(PMNS, "root").exists(), f"stock's name space: run {PMNS}/Rebuild -u")
    with OurDefault(tool="pmcd") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def theirs() -> Iterator[Daemon]:
    with TheirDefault() as daemon:
        yield daemon


def test_no_line_is_refused(ours: Daemon) -> None:
    assert "is left out" not in ours.log
    assert set(re.findall(r"^(\w+) +(\d+) +\d+ dso ", ours.log, re.MULTILINE)) == IN_THE_DAEMON


def test_both_daemons_have_the_same_agents(ours: Daemon, theirs: Daemon) -> None:
    seen = [re.findall(r'inst \[(\d+ or "\w+")\]', printed(each, "-f", "pmcd.agent.status")) for each in (ours, theirs)]
    assert len(seen[0]) > 4
    assert seen[0] == seen[1]


def blocks(text: str) -> dict[str, str]:
    """What pminfo says of each metric, by its name; what our daemon tells of agents beyond stock's is left out."""
    told = {block.split(maxsplit=1)[0]: block for block in text.split("\n\n") if block}
    return {name: block for name, block in told.items() if not MORE.fullmatch(name)}


MORE = re.compile(r"pmcd\.agent\.(requests|latency\..*|late|restarts|queue|pid)")
LIVE = re.compile(r"(proc|pmcd\.client|pmcd\.pmlogger|pmcd\.pmie|cgroup|containers)\..*")
"""Metrics with an instance for each process, client or control group: not the same twice."""


def test_every_name_is_listed_in_the_same_order(ours: Daemon, theirs: Daemon) -> None:
    names = [[name for name in printed(each).split() if not MORE.fullmatch(name)] for each in (ours, theirs)]
    assert len(names[0]) > 2000
    assert names[0] == names[1]


@pytest.mark.parametrize("options", [["-d", "-m"], ["-M", "-I"]], ids=" ".join)
def test_every_metric_is_described_alike(ours: Daemon, theirs: Daemon, options: list[str]) -> None:
    seen = [blocks(printed(each, *options)) for each in (ours, theirs)]
    assert {name for name in seen[0] if seen[0][name] != seen[1].get(name)} == set()
    assert len(seen[0]) == len(seen[1])


def test_every_metric_has_the_same_labels(ours: Daemon, theirs: Daemon) -> None:
    """In whatever order of their instances: stock lists agents as configured, and their values by domain."""
    seen = [
        {name: sorted(block.splitlines()) for name, block in blocks(printed(each, "-l")).items()}
        for each in (ours, theirs)
    ]
    differ = {name for name in seen[1] if seen[0].get(name) != seen[1][name] and not LIVE.fullmatch(name)}
    assert {name for name in differ if not name.startswith("jbd2.")} == set()  # stock's jbd2 has no label "agent"


def test_every_metric_has_texts(ours: Daemon, theirs: Daemon) -> None:
    """Ours are in our own words; where stock has none there need be none."""
    seen = [printed(each, "-t", "-T") for each in (ours, theirs)]
    assert [seen[0].count("One-line Help: Error"), seen[0].count("Full Help: Error")] <= [
        seen[1].count("One-line Help: Error"),
        seen[1].count("Full Help: Error"),
    ]


def test_the_same_metrics_have_values(ours: Daemon, theirs: Daemon) -> None:
    def having(daemon: Daemon) -> dict[str, str]:
        found = dict(line.split(maxsplit=1) for line in stock("pmprobe", "-h", daemon.tcp).stdout.splitlines())
        return {name: count for name, count in found.items() if not (MORE.fullmatch(name) or LIVE.fullmatch(name))}

    seen = [having(each) for each in (ours, theirs)]
    assert {name for name in seen[1] if seen[0].get(name) != seen[1][name]} <= MAY_HAVE_MORE_OR_LESS


MAY_HAVE_MORE_OR_LESS = {"pmcd.services", "pmcd.labels"}


def test_stock_finds_an_installation_in_good_order(ours: Daemon) -> None:
    verified = stock("pcp", "-h", ours.tcp, "verify", "-v")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "pmdajbd2(1), status=0" in verified.stdout + verified.stderr


def printed(daemon: Daemon, *arguments: str) -> str:
    run = stock("pminfo", "-h", daemon.tcp, *arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()
