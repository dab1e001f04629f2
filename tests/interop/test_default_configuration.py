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


def test_what_is_in_the_daemon_is_described_alike(ours: Daemon, theirs: Daemon) -> None:
    seen = [sorted(printed(each, "-d", "-m", "jbd2", "mmv", "pmproxy").split("\n\n")) for each in (ours, theirs)]
    assert len(seen[0]) > 28
    assert seen[0] == seen[1]


def printed(daemon: Daemon, *arguments: str) -> str:
    run = stock("pminfo", "-h", daemon.tcp, *arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()
