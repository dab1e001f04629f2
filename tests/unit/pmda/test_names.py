"""Names that come and go: what pmdaChildren(3) and its kin answer, and what it costs."""

import time

import pytest

from pypcp.errors import NotLeaf, TooBig, UnknownName, UnknownPmid
from pypcp.model.ids import Pmid
from pypcp.pmda import Agent
from pypcp.pmda.names import name_space_entry
from pypcp.pmda.testing import AgentTester
from pypcp.wire.pdu import StateChange


@pytest.fixture
def agent() -> Agent:
    return Agent("acme", 100)


@pytest.fixture
def pools(agent):
    """A subtree with two metrics a member."""
    made = agent.subtree("acme.pool", clusters=range(10, 12))

    @made.metric(units="byte")
    def free(size: int) -> int:
        """Free"""
        return size

    @made.metric("use.percent")
    def percent(size: int) -> float:
        """Used"""
        return size / 2

    return made


@pytest.fixture
def secret(agent: Agent) -> AgentTester:
    """The subtree of stock's sample agent that the table of observed behaviour is about."""
    for number, name in enumerate(["bar", "foo.one", "foo.two", "foo.bar.three", "foo.bar.four", "foo.bar.grunt.five"]):
        agent.cluster(0).metric(f"acme.secret.{name}", 1000 + number, 1, lambda _: 1)
    agent.alias("acme.secret.foo.bar.max.redirect", Pmid.build(2, 4, 1))
    return AgentTester(agent)


# The table of what stock's sample answers, with the corrections that its text asks for.


def test_the_children_of_a_root_are_relative_with_leaf_status(secret):
    assert secret.children("acme.secret") == [("bar", True), ("foo", False)]
    assert secret.children("acme.secret.foo") == [("one", True), ("two", True), ("bar", False)]
    assert secret.children("acme.secret.foo.bar") == [
        ("three", True),
        ("four", True),
        ("grunt", False),
        ("max", False),
    ]


def test_traversing_gives_whole_names_of_all_leaves(secret):
    assert len(secret.names("acme.secret")) == 7
    assert secret.names("acme.secret.foo.bar") == [
        "acme.secret.foo.bar.three",
        "acme.secret.foo.bar.four",
        "acme.secret.foo.bar.grunt.five",
        "acme.secret.foo.bar.max.redirect",
    ]


def test_a_leaf_has_no_children_and_is_its_own_traversal(secret):
    assert secret.children("acme.secret.foo.one") == []
    assert secret.names("acme.secret.foo.one") == ["acme.secret.foo.one"]
    assert str(secret.pmid("acme.secret.foo.one")) == "100.0.1001"


@pytest.mark.parametrize("name", ["acme.secret.nosuch", "acme.secret.foo.one.more", "nosuch", "acme.sec"])
def test_an_unknown_name_is_unknown_to_every_question(secret, name):
    for ask in (secret.children, secret.names, secret.pmid):
        with pytest.raises(UnknownName):
            ask(name)


def test_an_interior_name_is_no_leaf(secret):
    with pytest.raises(NotLeaf):
        secret.pmid("acme.secret.foo")


def test_a_pmid_may_be_another_agents(secret):
    assert str(secret.pmid("acme.secret.foo.bar.max.redirect")) == "2.4.1"


def test_a_pmid_has_its_names_or_is_unknown(secret):
    assert secret.names_of(Pmid.build(100, 0, 1001)) == ["acme.secret.foo.one"]
    with pytest.raises(UnknownPmid):
        secret.names_of(Pmid.build(100, 0, 5))


# Members that come and go.


def test_a_member_brings_its_metrics_and_takes_them_away(agent, pools):
    tester = AgentTester(agent)
    assert tester.names("acme.pool") == []
    pools.add("fast", 10)
    pools.add("slow", 20)
    assert tester.names() == [
        "acme.pool.fast.free",
        "acme.pool.fast.use.percent",
        "acme.pool.slow.free",
        "acme.pool.slow.use.percent",
    ]
    assert tester.fetch("acme.pool.slow.use.percent") == 10.0
    fast = tester.pmid("acme.pool.fast.free")
    pools.remove("fast")
    assert tester.children("acme.pool") == [("slow", False)]
    with pytest.raises(UnknownName):
        tester.pmid("acme.pool.fast.free")
    with pytest.raises(UnknownPmid):
        tester.names_of(fast)
    assert isinstance(tester.fetch_sets([fast])[0].error, UnknownPmid)


def test_an_own_root_without_names_is_empty_and_not_unknown(agent, pools):
    tester = AgentTester(agent)
    assert tester.names("acme.pool") == tester.names("acme") == tester.names("") == []
    assert tester.children("acme.pool") == []


def test_new_data_of_a_member_is_what_its_metrics_read(agent, pools):
    tester = AgentTester(agent)
    pools.add("fast", 10)
    pmid = tester.pmid("acme.pool.fast.free")
    pools.add("fast", 30)
    assert (tester.fetch("acme.pool.fast.free"), tester.pmid("acme.pool.fast.free")) == (30, pmid)


def test_clients_are_told_of_a_change_once_and_only_if_they_know_names(agent, pools):
    @agent.metric()
    def one() -> int:
        return 1

    tester = AgentTester(agent)
    pools.add("early", 1)
    tester.fetch_sets([one.desc.pmid])
    assert tester.changes == StateChange.NO_CHANGE
    tester.names()
    pools.add("fast", 10)
    told = []
    for _ in range(2):
        tester.fetch_sets([one.desc.pmid])
        told.append(tester.changes)
    assert told == [StateChange.NAMES_CHANGE, StateChange.NO_CHANGE]
    pools.remove("fast")
    tester.fetch_sets([one.desc.pmid])
    assert tester.changes == StateChange.NAMES_CHANGE


def test_a_name_keeps_its_pmid_and_gets_it_again_even_in_the_next_process(tmp_path):
    def started() -> tuple[AgentTester, object]:
        agent = Agent("acme", 100)
        pools = agent.subtree("acme.pool", clusters=range(10, 12))
        pools.metric()(free_of)
        agent.use_state(tmp_path)
        return AgentTester(agent), pools

    tester, pools = started()
    pools.replace({"a": 1, "b": 2})
    b = tester.pmid("acme.pool.b.free_of")
    pools.replace({"c": 3})
    pools.replace({"b": 2})
    assert tester.pmid("acme.pool.b.free_of") == b
    again, pools = started()
    pools.replace({"new": 1, "b": 2})
    assert again.pmid("acme.pool.b.free_of") == b
    assert str(again.pmid("acme.pool.new.free_of")) == "100.10.3"


def free_of(size: int) -> int:
    """For the test above."""
    return size


def test_members_follow_a_source_at_every_question(agent):
    there = {"a": 1}

    @agent.source(cluster=9)
    def source() -> dict[str, int]:
        return dict(there)

    tree = agent.subtree("acme.live", clusters=range(10, 11), source=source)

    @tree.metric("")
    def value(data: int) -> int:
        return data

    tester = AgentTester(agent)
    assert tester.names("acme.live") == ["acme.live.a"]
    there["b"] = 2
    assert tester.fetch("acme.live.b") == 2
    del there["a"]
    assert tester.children("acme.live") == [("b", True)]
    with pytest.raises(UnknownName):
        tester.pmid("acme.live.a")


def test_a_fetch_sees_members_come_and_go(agent):
    there = {"a": 1}

    @agent.source(cluster=9)
    def source() -> dict[str, int]:
        return dict(there)

    tree = agent.subtree("acme.live", clusters=range(10, 11), source=source)
    tree.metric("")(free_of)
    tester = AgentTester(agent)
    pmid = tester.pmid("acme.live.a")
    assert list(tester.fetch_sets([pmid])[0].values) != []
    there.clear()
    assert isinstance(tester.fetch_sets([pmid])[0].error, UnknownPmid)
    there["a"] = 5
    tester.names()
    assert tester.fetch_sets([pmid])[0].error is None


def test_more_metrics_than_pmids_is_one_clear_error(agent):
    tree = agent.subtree("acme.x", clusters=range(10, 11))
    tree.metric("")(free_of)
    for number in range(1024):
        tree.add(f"m{number}", number)
    with pytest.raises(TooBig, match="1024"):
        tree.add("one_more", 1)
    tree.remove("m5")
    tree.add("one_more", 7)
    assert AgentTester(agent).fetch("acme.x.one_more") == 7


def test_an_author_may_answer_for_names_himself(agent):
    class Answers:
        def lookup(self, name: str) -> int:
            if name != "acme.own.one":
                raise UnknownName(name)
            return Pmid.build(100, 5, 1)

        def names_of(self, pmid: int) -> list[str]:
            if pmid != Pmid.build(100, 5, 1):
                raise UnknownPmid()
            return ["acme.own.one"]

        def children(self, name: str) -> list[tuple[str, bool]]:
            return [("one", True)] if name == "acme.own" else []

        def traverse(self, name: str) -> list[str]:
            return ["acme.own.one"]

    agent.metric("acme.static")(free_now)
    nameless = agent.cluster(5).metric("", 1, 1, lambda _: 7)
    agent.answer_names("acme.own", Answers())
    tester = AgentTester(agent)
    assert tester.names() == ["acme.static", "acme.own.one"]
    assert tester.children("acme") == [("static", True), ("own", False)]
    assert tester.children("acme.own") == [("one", True)]
    assert str(tester.pmid("acme.own.one")) == "100.5.1"
    assert tester.names_of(Pmid.build(100, 5, 1)) == ["acme.own.one"]
    assert tester.fetch("acme.own.one") == 7
    with pytest.raises(UnknownName):
        tester.pmid("acme.own.two")
    agent.remove(nameless)
    with pytest.raises(UnknownPmid):
        tester.fetch("acme.own.one")


def free_now() -> int:
    """For the test above."""
    return 1


def test_adding_one_name_costs_the_same_among_twenty_thousand(agent, tmp_path):
    tree = agent.subtree("acme.x", clusters=range(10, 40))
    tree.metric("")(free_of)
    agent.use_state(tmp_path)
    tree.replace({f"m{number}": number for number in range(20_000)})
    tester = AgentTester(agent)
    started = time.thread_time()
    for number in range(100):
        tree.add(f"new{number}", number)
        tester.pmid(f"acme.x.new{number}")
    assert (time.thread_time() - started) / 100 < 0.002


def test_the_entry_of_a_name_space_names_the_domain():
    assert name_space_entry(321, ["acme"], whole=False) == "    acme\t321:*:*"
    assert name_space_entry(321, ["acme"], whole=True) == "root {\n    acme\t321:*:*\n}"


def test_a_root_whose_author_says_that_nothing_is_there_is_empty_for_a_traversal_of_all(agent):
    class Nothing:
        def lookup(self, name: str) -> int:
            raise UnknownName(name)

        def names_of(self, pmid: int) -> list[str]:
            raise UnknownPmid()

        def children(self, name: str) -> list[tuple[str, bool]]:
            raise UnknownName(name)

        def traverse(self, name: str) -> list[str]:
            raise UnknownName(name)

    agent.metric("acme.static")(free_now)
    agent.answer_names("acme.own", Nothing())
    tester = AgentTester(agent)
    assert tester.names() == tester.names("acme") == ["acme.static"]
    with pytest.raises(UnknownName):
        tester.names("acme.own")
