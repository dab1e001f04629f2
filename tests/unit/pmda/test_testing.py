"""The test kit: what it gives, and what it catches."""

import asyncio
import re
from pathlib import Path

import pytest

from pypcp.errors import NoText, UnknownInstance, UnknownName
from pypcp.model.labels import LabelType
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmda import Agent, Client, Counter
from pypcp.pmda.indom import Indom
from pypcp.pmda.review import review
from pypcp.pmda.testing import AgentTester

pytest_plugins = ["pypcp.pmda.pytest_plugin"]


@pytest.fixture
def agent() -> Agent:
    return Agent("t", 100)


def test_a_counter_that_goes_back_fails_the_test(agent):
    values = iter([5, 6, 4])

    @agent.metric()
    def count() -> Counter[int]:
        return next(values)

    tester = AgentTester(agent)
    assert (tester.fetch("t.count"), tester.fetch("t.count")) == (5, 6)
    with pytest.raises(AssertionError, match="went back from 6 to 4"):
        tester.fetch("t.count")


def test_a_counter_may_start_anew_where_the_author_says_so(agent):
    values = iter([5, 0])

    @agent.metric()
    def count() -> Counter[int]:
        return next(values)

    tester = AgentTester(agent)
    tester.fetch("t.count")
    tester.forget_counters()
    assert tester.fetch("t.count") == 0


def test_values_of_instances_that_there_are_not_fail_the_test(agent):
    things = agent.indom(0, fixed={0: "a"})

    @agent.metric(indom=Indom(things.id, fixed={0: "a", 9: "ghost"}))
    def thing() -> list[int]:
        return [1, 2]

    with pytest.raises(AssertionError, match=r"\[9\]"):
        AgentTester(agent).fetch("t.thing")


def test_what_a_metric_is_can_be_asserted(agent):
    @agent.metric(units="Kbyte")
    def size() -> int:
        return 1

    tester = AgentTester(agent)
    tester.assert_metric("t.size", type_=ValueType.I64, units="Kbyte")
    with pytest.raises(AssertionError, match="in Kbyte, not byte"):
        tester.assert_metric("t.size", units="byte")
    with pytest.raises(AssertionError, match="type"):
        tester.assert_metric("t.size", type_=ValueType.STRING)


def test_background_sources_are_read_once_at_the_beginning_and_again_on_demand(agent):
    reads = iter(range(10))

    @agent.source(every=3600)
    async def source() -> int:
        return next(reads)

    @source.metric()
    def value(snapshot: int) -> int:
        return snapshot

    with AgentTester(agent) as tester:
        assert (tester.fetch("t.value"), tester.fetch("t.value")) == (0, 0)
        tester.refresh()
        assert tester.fetch("t.value") == 1


def test_what_is_not_there_is_raised_as_what_it_is(agent):
    things = agent.indom(0, fixed={0: "a"})

    @agent.metric(indom=things)
    def thing() -> list[int]:
        return [1]

    tester = AgentTester(agent)
    for ask, error in (
        (lambda: tester.fetch("t.nosuch"), UnknownName),
        (lambda: tester.fetch("t.thing", "b"), UnknownInstance),
        (lambda: tester.help("t.thing"), NoText),
    ):
        with pytest.raises(error):
            ask()


def test_all_values_can_be_fetched_at_once_errors_included(agent):
    @agent.metric()
    def good() -> int:
        return 1

    @agent.metric()
    def bad() -> int:
        raise FileNotFoundError(2, "gone")

    found = AgentTester(agent).fetch_all()
    assert found["t.good"] == 1
    assert found["t.bad"].code == -2


def test_the_fixture_finds_an_agent_in_a_file_and_ends_it_with_the_test(agent_tester, tmp_path: Path):
    file = tmp_path / "acme.py"
    file.write_text(
        'from pypcp.pmda import Agent\nagent = Agent("acme", 300)\n@agent.metric()\ndef one() -> int:\n    return 1\n'
    )
    assert agent_tester(file).fetch("acme.one") == 1


# Shipped agents: in process and through dispatch the same, and what dispatch sends is what the reference encodes.

SHIPPED = ["trivial", "simple", "sample", "mmv", "pmproxy", "jbd2"]


@pytest.fixture(params=SHIPPED)
def shipped(request, tmp_path, monkeypatch):
    monkeypatch.setenv("PCP_TMP_DIR", str(tmp_path))
    with AgentTester(request.param, state=tmp_path / "state") as tester:
        yield tester


def test_a_shipped_agent_says_the_same_in_process_and_through_dispatch(shipped):
    agent = shipped.agent
    names = shipped.names()
    assert names == agent.traverse("")
    for name in names:
        pmid = shipped.pmid(name)
        assert pmid == agent.lookup_name(name)
        if pmid not in agent.registry.metrics:
            continue  # another agent's, or nobody's
        assert shipped.desc(name) == agent.desc(pmid)
        assert name in shipped.names_of(pmid)
        assert shipped.labels(pmid, LabelType.ITEM) == agent.labels(pmid, LabelType.ITEM, _everything())


def test_a_shipped_agents_fetch_is_what_the_reference_encodes(shipped):
    from pypcp.wire.fetch import Fetch
    from pypcp.wire.pdu import decode, encode
    from pypcp.wire.result import Result

    pmids = tuple(shipped.pmid(name) for name in shipped.names())
    frame = shipped._dispatcher.answer(encode(Fetch(0, pmids)))
    reply = decode(frame)
    assert isinstance(reply, Result)
    assert [each.pmid for each in reply.value_sets] == list(pmids)
    assert encode(reply) == frame


def test_every_metric_of_a_shipped_agent_has_help(shipped):
    metrics = shipped.agent.registry.metrics.values()
    assert [each.name for each in metrics if not each.oneline] == []


def _everything():
    from pypcp.model.profile import EVERYTHING

    return EVERYTHING


def test_what_a_client_may_store_is_given_to_the_agent_as_its_own_type(agent):
    stored: list[object] = []

    @agent.metric()
    def number() -> float:
        return 0.0

    @number.on_store
    def _(value: float, client: Client) -> None:
        stored.append((value, client.context))

    tester = AgentTester(agent)
    tester.store("t.number", 2.5, client=tester.client())
    assert stored == [(2.5, 1)]
    assert isinstance(tester.fetch_sets([number.desc.pmid])[0], ValueSet)


def test_the_startup_has_run_before_the_sources_are_read(agent):
    sessions = []

    @agent.startup
    async def connect() -> None:
        sessions.append(asyncio.get_running_loop())

    @agent.source(every=60)
    async def later() -> int:
        return len(sessions) if sessions == [asyncio.get_running_loop()] else 0

    @later.metric()
    def count(now: int) -> int:
        return now

    with AgentTester(agent) as tester:
        assert tester.fetch("t.count") == 1


def test_a_startup_that_fails_fails_the_test_and_the_review(agent):
    @agent.startup
    async def broken() -> None:
        raise RuntimeError("no controller")

    with pytest.raises(RuntimeError, match="no controller"), AgentTester(agent):
        pass
    (found,) = review(agent)
    assert re.fullmatch(
        r"mistake  t: its startup failed: .*test_testing.py:\d+: RuntimeError: no controller", str(found)
    )


def test_an_error_says_what_was_asked_for():
    agent = Agent("t", 100)
    agent.metric("t.value", indom=agent.indom(0, fixed={0: "red"}), type_=ValueType.U32)(lambda: [1])
    with AgentTester(agent) as tester:
        with pytest.raises(UnknownName, match=r"t\.nonesuch"):
            tester.fetch("t.nonesuch")
        with pytest.raises(UnknownInstance, match="blue"):
            tester.fetch("t.value", "blue")
