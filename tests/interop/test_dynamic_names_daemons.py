"""Dynamic names with stock's client library, which stays connected: our daemon beside stock's, with stock's agents.

Where the two differ it is on purpose (docs/reference/compatibility.md), and said in the test.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from interop.stock_agents import AGENTS, PYTHON, Pair, pair
from peers import Daemon, StockAgent, clean_environment

HERE = Path(__file__).parent
NAME, PMID, IPC, NOAGENT = -12357, -12358, -12366, -12386
NAMES_CHANGE = 16
BIN, FOO_ONE = 29 << 22 | 6, 29 << 22 | 1001


class NamesClient:
    """`names_client.py`, connected for as long as the ``with`` block."""

    def __init__(self, daemon: Daemon) -> None:
        command = [PYTHON, str(HERE / "names_client.py"), daemon.tcp]
        self._process = subprocess.Popen(
            command, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "NamesClient":
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(10) == 0

    def __call__(self, call: str, argument: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([call, argument]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


class Both:
    """A client of each daemon, asked the same."""

    def __init__(self, daemons: Pair, clients: tuple[NamesClient, NamesClient]) -> None:
        self.daemons, self._clients = daemons, clients

    def __call__(self, call: str, argument: object) -> tuple[Any, Any]:
        """What ours and stock's say."""
        ours, theirs = (client(call, argument) for client in self._clients)
        return ours, theirs

    def same(self, call: str, argument: object) -> Any:
        """What both say."""
        ours, theirs = self(call, argument)
        assert ours == theirs, (call, argument)
        return ours


@contextmanager
def clients_of(daemons: Pair) -> Iterator[Both]:
    with NamesClient(daemons.ours) as ours, NamesClient(daemons.theirs) as theirs:
        yield Both(daemons, (ours, theirs))


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with pair(["pmcd", "sample", "simple", "mmv"]) as daemons, clients_of(daemons) as clients:
        yield clients


@pytest.fixture(scope="module")
def without_agent() -> Iterator[Both]:
    """Daemons with the names of sample, but without the agent."""
    AGENTS["names of sample"] = StockAgent("", AGENTS["sample"].names)
    with pair(["pmcd", "names of sample"]) as daemons, clients_of(daemons) as clients:
        yield clients


@contextmanager
def published(both: Both) -> Iterator[None]:
    """An application publishes the metrics of mmv.acme on each side, and then withdraws them."""
    with ExitStack() as stack:
        for daemon in both.daemons.both:
            process = subprocess.Popen(
                [PYTHON, str(HERE / "mmv_publisher.py"), "acme", "42"],
                env=daemon.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            assert process.stdout is not None
            assert process.stdout.readline() == "published\n"
            stack.callback((daemon.directory / "tmp/mmv/acme").unlink)
        yield


SUBTREE = ("sample.secret", "sample.secret.foo", "sample.secret.foo.bar", "sample.secret.foo.one")


def test_the_observed_answers_below_a_dynamic_root(both: Both) -> None:
    """The table of what a stock pmcd was seen to answer, as far as it can be said in numbers."""
    assert [both.same("children", name) for name in SUBTREE] == [
        [["bar", 0], ["foo", 1]],
        [["bar", 1], ["one", 0], ["two", 0]],
        [["four", 0], ["grunt", 1], ["max", 1], ["three", 0]],
        [],
    ]
    assert [len(both.same("traverse", name)) for name in SUBTREE] == [9, 8, 6, 1]
    assert [both.same("lookup", [name]) for name in SUBTREE] == [NAME, NAME, NAME, [1, FOO_ONE]]


@pytest.mark.parametrize(
    "name",
    [
        *("", "nosuch", "mmv", "mmv.control", "mmv.control.files", "sample", "sample.ghosts", "sample.long"),
        *("sample.nosuch", "sample.secret.nosuch", "sample.secret.foo.one.below", "sample.secret.", "simple.color"),
    ],
)
def test_children_and_look_up_of_any_name_are_the_same(both: Both, name: str) -> None:
    both.same("children", name)
    both.same("lookup", [name])
    if name:
        both.same("traverse", name)


def test_several_names_at_once_give_those_there_are(both: Both) -> None:
    assert both.same("lookup", ["sample.secret.foo.one", "sample.secret.nosuch"]) == [1, FOO_ONE, 0xFFFFFFFF]
    assert both.same("lookup", ["sample.nosuch", "mmv.control.files", "simple"])[0] == 1


@pytest.mark.parametrize(
    "pmid", [BIN, FOO_ONE, 29 << 22 | 1000, 29 << 22 | 1023, 2 << 22 | 4 << 10 | 1, 511 << 22 | 29 << 10]
)
def test_names_of_a_metric_are_the_same(both: Both, pmid: int) -> None:
    both.same("names", pmid)
    both.same("desc", pmid)
    both.same("fetch", pmid)


def test_a_name_both_static_and_dynamic_is_told_by_its_static_names(both: Both) -> None:
    assert "sample.bin" in both.same("names", BIN)
    assert not [name for name in both.same("names", BIN) if name.startswith("sample.secret")]


def test_names_come_and_go_while_clients_stay(both: Both) -> None:
    """stock's mmv agent over files of stock's mmv library, asked before, during and after."""
    count = 70 << 22 | 42 << 10 | 7
    assert both.same("children", "mmv") == [["control", 1]]
    with published(both):
        assert both.same("children", "mmv") == [["acme", 1], ["control", 1]]
        assert both.same("children", "mmv.acme.products") == [["count", 0]]
        assert both.same("traverse", "mmv")[:2] == ["mmv.acme.uptime", "mmv.acme.products.count"]
        assert both.same("lookup", ["mmv.acme.products.count"]) == [1, count]
        assert both.same("names", count) == ["mmv.acme.products.count"]
        assert both.same("fetch", count)[1] == 1
    assert both.same("lookup", ["mmv.acme.products.count"]) == NAME
    assert both.same("children", "mmv") == [["control", 1]]
    assert both.same("fetch", count)[1] == PMID
    assert both.same("desc", count) == PMID
    assert both.same("names", count) == PMID


def test_the_news_of_names_reaches_each_client_once(both: Both) -> None:
    count = 70 << 22 | 42 << 10 | 7
    both.same("fetch", 70 << 22)
    with clients_of(both.daemons) as others, published(both):
        others.same("fetch", BIN)
        seen = [both.same("fetch", count) for _ in range(3)]
        assert [bool(changes & NAMES_CHANGE) for changes, _ in seen].count(True) == 1
        heard = [others.same("fetch", BIN) for _ in range(2)]
        assert [bool(changes & NAMES_CHANGE) for changes, _ in heard] == [True, False]
    both.same("fetch", count)
    both.same("fetch", BIN)


def test_without_the_agent_its_names_have_no_agent(without_agent: Both) -> None:
    assert without_agent.same("children", "sample.secret") == NOAGENT
    assert without_agent.same("children", "sample.secret.foo") == NOAGENT
    assert without_agent.same("lookup", ["sample.secret.foo"]) == NOAGENT
    assert without_agent.same("lookup", ["sample.secret.foo.one", "pmcd.numagents"])[0] == 1
    assert "long" in [name for name, _ in without_agent.same("children", "sample")]
    assert without_agent.same("names", FOO_ONE) == NOAGENT
    assert "sample.bin" in without_agent.same("names", BIN)


def test_on_purpose_an_absent_root_is_no_metric_and_a_traverse_below_it_says_why(without_agent: Both) -> None:
    """6.0.3 lists the root as if it were a metric, and calls a name below it unknown; we give the error, as 7.2."""
    assert without_agent("traverse", "sample.secret") == (NOAGENT, ["sample.secret"])
    assert without_agent("traverse", "sample.secret.foo") == (NOAGENT, NAME)
    ours, theirs = without_agent("traverse", "sample")
    assert set(theirs) - set(ours) == {"sample.secret", "sample.ghosts"}
    assert [name for name in theirs if name in ours] == ours


def test_on_purpose_the_error_of_an_agents_children_is_an_error(both: Both) -> None:
    """Stock passes the error on as a negative number of names, which its own clients take for a broken PDU."""
    assert both("children", "mmv.nosuch") == (NAME, IPC)
