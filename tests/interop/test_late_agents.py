"""pmlogger and pmie over an agent that takes 1.2 s for each answer: what is in the archive, and that it comes back.

Each runs until it has what it is to have, however long that takes on a busy machine; how long it takes beside stock's
daemon is what ``make stall`` measures.
"""

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.stock_agents import AGENTS, OurPmcd
from peers import Daemon, StockAgent, clean_environment, stock
from waiting import wait_until

FAKE_AGENT = Path(__file__).parents[1] / "fakes" / "agent.py"
LIMIT_S = 60
SAMPLES = 6
METRICS = ("pmcd.numagents", "fake100.value", "fake101.value")


@contextmanager
def late_agent(behaviour: str, directory: Path) -> Iterator[Daemon]:
    """Our daemon with fake100, in good order, and fake101, which behaves as told."""
    names = directory / "names"
    blocks = "".join(f"fake{domain} {{\n    value {domain}:0:0\n}}\n" for domain in (100, 101))
    names.write_text(f"root {{\n    fake100\n    fake101\n}}\n{blocks}")
    AGENTS["names of fakes"] = StockAgent("", str(names))
    line = f"fake{{}} {{}} pipe binary {sys.executable} {FAKE_AGENT} {{}} {{}}\n"
    lines = line.format(100, 100, 100, "well") + line.format(101, 101, 101, behaviour)
    with OurPmcd(["pmcd", "names of fakes"], more=lines) as daemon:
        yield daemon


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def logger(daemon: Daemon, directory: Path) -> list[str]:
    configuration = directory / "pmlogger.conf"
    configuration.write_text("log mandatory on 1500 msec { " + "\n".join(METRICS) + " }\n")
    log, archive = daemon.directory / "pmlogger.log", daemon.directory / "archive"
    where = ["-h", daemon.unix, "-c", str(configuration), "-s", str(SAMPLES), "-l", str(log), str(archive)]
    return ["/usr/lib/pcp/bin/pmlogger", *where]


def rules(daemon: Daemon, directory: Path) -> list[str]:
    configuration = directory / "rules.pmie"
    configuration.write_text("delta = 1500 msec;\n" + "".join(f'{m} >= 0 -> print "{m} is %v";\n' for m in METRICS[1:]))
    log = daemon.directory / "pmie.log"
    return ["/usr/bin/pmie", "-v", "-U", "root", "-h", daemon.unix, "-c", str(configuration), "-l", str(log)]


def wait_for_rules(daemon: Daemon) -> None:
    """Both rules have fired again and again."""
    log = daemon.directory / "pmie.log"

    def said() -> str:
        return log.read_text() if log.exists() else ""

    def fired(metric: str, least: int) -> bool:
        return said().count(f"{metric} is") >= least

    wait_until(lambda: fired("fake100.value", 5) and fired("fake101.value", 2), said, LIMIT_S)


@pytest.fixture(scope="module", params=["late 1.2", "recovering 1.2"])
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Daemon]]:
    """A daemon that a pmlogger and a pmie have watched at the same time."""
    directory = tmp_path_factory.mktemp("late")
    with late_agent(request.param, directory) as daemon:
        with running(*rules(daemon, directory)) as evaluating, running(*logger(daemon, directory)) as logging:
            out, _ = logging.communicate(timeout=LIMIT_S)
            assert logging.returncode == 0, out
            wait_for_rules(daemon)
            evaluating.send_signal(signal.SIGTERM)
            evaluating.communicate(timeout=LIMIT_S)
        yield request.param, daemon


def samples(daemon: Daemon, metric: str) -> list[str]:
    """What the archive has of a metric, in order: values and errors."""
    dumped = stock("pmdumplog", daemon.directory / "archive", metric).stdout
    return re.findall(rf"\({metric}\): (.*)", dumped)


def test_the_archive_has_every_sample_of_those_in_good_order(watched: tuple[str, Daemon]) -> None:
    _, daemon = watched
    logged = samples(daemon, "fake100.value")
    assert len(logged) == SAMPLES
    assert all(each.startswith("value ") for each in logged)
    assert len(samples(daemon, "pmcd.numagents")) == SAMPLES


def test_the_archive_has_values_of_the_late_agent_or_that_it_was_late(watched: tuple[str, Daemon]) -> None:
    _, daemon = watched
    late = samples(daemon, "fake101.value")
    assert len(late) == SAMPLES
    assert {each.partition(" ")[0] for each in late} <= {"value", "Try"}


def test_values_come_back_when_the_agent_does(watched: tuple[str, Daemon]) -> None:
    behaviour, daemon = watched
    last = samples(daemon, "fake101.value")[-2:]
    if behaviour.startswith("recovering"):
        assert all(each.startswith("value ") for each in last)
    else:
        assert any(each.startswith("value ") for each in samples(daemon, "fake101.value"))


def test_no_agent_was_ended_for_being_late(watched: tuple[str, Daemon]) -> None:
    _, daemon = watched
    assert "Cleanup" not in daemon.log
