"""pmlogger and pmie over an agent that takes 1.2 s for each answer: what is in the archive, and that it comes back."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.stock_agents import AGENTS, Pair, pair
from peers import Daemon, StockAgent, clean_environment, stock

FAKE_AGENT = Path(__file__).parents[1] / "fakes" / "agent.py"
SECONDS = 9
METRICS = ("pmcd.numagents", "fake100.value", "fake101.value")


@contextmanager
def late_agent(behaviour: str, directory: Path) -> Iterator[Pair]:
    """Both daemons with fake100, in good order, and fake101, which behaves as told."""
    names = directory / "names"
    blocks = "".join(f"fake{domain} {{\n    value {domain}:0:0\n}}\n" for domain in (100, 101))
    names.write_text(f"root {{\n    fake100\n    fake101\n}}\n{blocks}")
    AGENTS["names of fakes"] = StockAgent("", str(names))
    line = f"fake{{}} {{}} pipe binary {sys.executable} {FAKE_AGENT} {{}} {{}}\n"
    lines = line.format(100, 100, 100, "well") + line.format(101, 101, 101, behaviour)
    with pair(["pmcd", "names of fakes"], more=lines) as daemons:
        yield daemons


def logger(daemon: Daemon, directory: Path) -> list[str]:
    configuration = directory / "pmlogger.conf"
    configuration.write_text("log mandatory on 1500 msec { " + "\n".join(METRICS) + " }\n")
    log, archive = daemon.directory / "pmlogger.log", daemon.directory / "archive"
    where = ["-h", daemon.unix, "-c", str(configuration), "-T", f"{SECONDS}sec", "-l", str(log), str(archive)]
    return ["/usr/lib/pcp/bin/pmlogger", *where]


def rules(daemon: Daemon, directory: Path) -> list[str]:
    configuration = directory / "rules.pmie"
    configuration.write_text("delta = 1500 msec;\n" + "".join(f'{m} >= 0 -> print "{m} is %v";\n' for m in METRICS[1:]))
    where = [
        "-h",
        daemon.unix,
        "-T",
        f"{SECONDS}sec",
        "-c",
        str(configuration),
        "-l",
        str(daemon.directory / "pmie.log"),
    ]
    return ["/usr/bin/pmie", "-v", "-U", "root", *where]


@pytest.fixture(scope="module", params=["late 1.2", "recovering 1.2"])
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Pair]]:
    """Daemons that a pmlogger and a pmie have watched for nine seconds, all at the same time."""
    directory = tmp_path_factory.mktemp("late")
    with late_agent(request.param, directory) as daemons:
        commands = [make(each, directory) for each in daemons.both for make in (logger, rules)]
        processes = [
            subprocess.Popen(
                command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            for command in commands
        ]
        for process in processes:
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0, out
        yield request.param, daemons


def samples(daemon: Daemon, metric: str) -> list[str]:
    """What the archive has of a metric, in order: values and errors."""
    dumped = stock("pmdumplog", daemon.directory / "archive", metric).stdout
    return re.findall(rf"\({metric}\): (.*)", dumped)


def test_the_archive_has_every_sample_of_those_in_good_order(watched: tuple[str, Pair]) -> None:
    """Stock's has fewer, and later ones: its whole pmcd waits with the late agent, and its pmlogger with it."""
    _, daemons = watched
    ours, theirs = (samples(each, "fake100.value") for each in daemons.both)
    assert len(ours) >= 5
    assert len(ours) >= len(theirs)
    assert all(each.startswith("value ") for each in ours)
    assert len(samples(daemons.ours, "pmcd.numagents")) == len(ours)


def test_the_archive_has_values_of_the_late_agent_or_that_it_was_late(watched: tuple[str, Pair]) -> None:
    _, daemons = watched
    late = samples(daemons.ours, "fake101.value")
    assert len(late) == len(samples(daemons.ours, "fake100.value"))
    assert {each.partition(" ")[0] for each in late} <= {"value", "Try"}
    assert len([each for each in late if each.startswith("value ")]) >= len(late) // 2


def test_values_come_back_when_the_agent_does(watched: tuple[str, Pair]) -> None:
    behaviour, daemons = watched
    last = samples(daemons.ours, "fake101.value")[-2:]
    if behaviour.startswith("recovering"):
        assert all(each.startswith("value ") for each in last)
    else:
        assert any(each.startswith("value ") for each in last)


def test_rules_go_on_being_evaluated(watched: tuple[str, Pair]) -> None:
    _, daemons = watched
    said = (daemons.ours.directory / "pmie.log").read_text()
    assert said.count("fake100.value is") >= 5
    assert said.count("fake101.value is") >= 2


def test_no_agent_was_ended_for_being_late(watched: tuple[str, Pair]) -> None:
    _, daemons = watched
    assert "Cleanup" not in daemons.ours.log
