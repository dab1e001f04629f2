"""Declaring metrics with plain functions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pypcp.errors import (
    BadArgument,
    BadStore,
    ConversionError,
    OsError,
    PcpError,
    PermissionDenied,
    TryAgain,
    UnknownInstance,
)
from pypcp.model.events import EventArray
from pypcp.model.labels import LabelType
from pypcp.model.units import KBYTE, SEC, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda import F32, I32, U32, Agent, Client, Counter, Discrete
from pypcp.pmda.signature import declared_by
from pypcp.pmda.testing import AgentTester


@pytest.fixture
def agent() -> Agent:
    return Agent("t", 100)


def declared(hint: Any) -> tuple[ValueType | None, Semantics | None, bool]:
    def function():
        """Annotated below."""

    function.__annotations__["return"] = hint
    found = declared_by(function)
    return found.type, found.sem, found.many


@pytest.mark.parametrize(
    ("hint", "type_", "sem", "many"),
    [
        (int, ValueType.I64, None, False),
        (bool, ValueType.U32, None, False),
        (float, ValueType.DOUBLE, None, False),
        (str, ValueType.STRING, None, False),
        (bytes, ValueType.AGGREGATE, None, False),
        (EventArray, ValueType.HIGHRES_EVENT, None, False),
        (U32, ValueType.U32, None, False),
        (int | None, ValueType.I64, None, False),
        (Counter[int], ValueType.U64, Semantics.COUNTER, False),
        (Counter[I32], ValueType.I32, Semantics.COUNTER, False),
        (Discrete[str], ValueType.STRING, Semantics.DISCRETE, False),
        (dict[str, float], ValueType.DOUBLE, None, True),
        (Mapping[str, Counter[F32]], ValueType.FLOAT, Semantics.COUNTER, True),
        (Counter[list[int]], ValueType.U64, Semantics.COUNTER, True),
        (Sequence[int | None], ValueType.I64, None, True),
        ("list[str] | None", ValueType.STRING, None, True),
        (Any, None, None, False),
    ],
)
def test_an_annotation_tells_type_semantics_and_number_of_values(hint, type_, sem, many):
    assert declared(hint) == (type_, sem, many)


@pytest.mark.parametrize("hint", [complex, dict[str, object], "list[set]"])
def test_an_annotation_that_is_no_metrics_type_is_refused(hint):
    with pytest.raises(TypeError, match="type_="):
        declared(hint)


def test_a_metric_is_what_its_function_says(agent):
    @agent.metric(units="sec")
    def uptime() -> Counter[float]:
        """Time since the start

        And a longer text,
        on two lines."""
        return 4.5

    with AgentTester(agent) as tester:
        assert tester.fetch("t.uptime") == 4.5
        tester.assert_metric("t.uptime", type_=ValueType.DOUBLE, sem=Semantics.COUNTER, units=SEC)
        assert tester.help("t.uptime", oneline=True) == "Time since the start"
        assert tester.help("t.uptime") == "And a longer text,\non two lines."


def test_long_lines_of_a_help_text_are_broken_between_words(agent):
    word = "unbreakable" * 10
    text = f"Size\n{'many words ' * 20}\n  indented {'more of them ' * 10}\nshort\n{word}"
    agent.metric("t.size", type_=ValueType.U32, help_=text)(lambda: 5)
    with AgentTester(agent) as tester:
        lines = tester.help("t.size").split("\n")
    assert [line for line in lines if len(line) > 79] == [word]
    assert lines[-2] == "short"
    assert [line.startswith("  ") for line in lines] == [False] * 3 + [True] * 2 + [False] * 2


def test_what_is_said_beside_the_function_comes_first(agent):
    @agent.metric("t.size", item=7, type_=ValueType.U32, sem=Semantics.DISCRETE, units=KBYTE, help_="Size")
    def whatever():
        return 5

    with AgentTester(agent) as tester:
        assert (str(tester.pmid("t.size")), tester.fetch("t.size")) == ("100.0.7", 5)
        tester.assert_metric("t.size", type_=ValueType.U32, sem=Semantics.DISCRETE, units="Kbyte")
        assert tester.help("t.size") == "Size"


def test_metrics_are_numbered_as_they_are_declared(agent):
    @agent.metric()
    def first() -> int:
        return 1

    @agent.source()
    def source() -> int:
        return 2

    @source.metric()
    def second(snapshot: int) -> int:
        return snapshot

    @agent.metric(item=5)
    def third() -> int:
        return 3

    @agent.metric()
    def fourth() -> int:
        return 4

    assert [str(each.desc.pmid) for each in (first, second, third, fourth)] == [
        "100.0.0",
        "100.1.0",
        "100.0.5",
        "100.0.6",
    ]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"item": 0}, "t.other"), ({"name": "t.first"}, "t.first")],
)
def test_a_pmid_or_name_that_is_taken_is_refused(agent, arguments, name):
    @agent.metric()
    def first() -> int:
        return 1

    with pytest.raises(Exception, match=r"100\.0\.0|t\.first"):

        @agent.metric(**{"name": name, **arguments})
        def other() -> int:
            return 2


def test_a_source_is_read_once_for_a_fetch_of_all_its_metrics(agent):
    reads = []

    @agent.source()
    def source() -> dict[str, int]:
        reads.append(1)
        return {"a": 1, "b": 2}

    @source.metric()
    def a(snapshot: dict[str, int]) -> int:
        return snapshot["a"]

    @source.metric()
    def b(snapshot: dict[str, int]) -> int:
        return snapshot["b"]

    tester = AgentTester(agent)
    assert [each.value for each in tester.fetch_sets([a.desc.pmid, b.desc.pmid])] != []
    assert len(reads) == 1


def test_a_source_that_fails_is_the_answer_of_its_metrics_only(agent):
    @agent.source()
    def broken() -> int:
        raise FileNotFoundError(2, "nothing there")

    @broken.metric()
    def poor(snapshot: int) -> int:
        return snapshot

    @agent.metric()
    def rich() -> int:
        return 1

    tester = AgentTester(agent)
    bad, good = tester.fetch_sets([poor.desc.pmid, rich.desc.pmid])
    assert isinstance(bad.error, OsError)
    assert bad.error.code == -2
    assert good.error is None


def test_instances_follow_the_snapshot_and_keep_their_ids(agent):
    rows = {"a": 1, "b": 2}
    things = agent.indom(0, members=list)

    @agent.source()
    def source() -> dict[str, int]:
        return dict(rows)

    @source.metric(indom=things)
    def thing(snapshot: dict[str, int]) -> dict[str, int]:
        return snapshot

    tester = AgentTester(agent)
    assert tester.fetch("t.thing") == {"a": 1, "b": 2}
    del rows["a"]
    rows["c"] = 3
    assert tester.fetch("t.thing") == {"b": 2, "c": 3}
    assert tester.instances("t.thing") == {1: "b", 2: "c"}
    rows["a"] = 4
    assert tester.instances("t.thing") == {1: "b", 2: "c", 0: "a"}


def test_a_column_has_a_value_for_each_instance_in_order(agent):
    disks = agent.indom(0, members=lambda snapshot: snapshot[0])

    @agent.source()
    def source() -> tuple[list[str], list[int]]:
        return ["x", "y", "z"], [1, 2, 3]

    @source.metric(indom=disks)
    def reads(snapshot: tuple[list[str], list[int]]) -> list[int]:
        return snapshot[1]

    @source.metric(indom=disks)
    def short(snapshot: tuple[list[str], list[int]]) -> list[int]:
        return snapshot[1][:2]

    @source.metric(indom=disks)
    def holes(snapshot: tuple[list[str], list[int]]) -> list[int | None]:
        return [None, 2, None]

    tester = AgentTester(agent)
    assert tester.fetch("t.reads") == {"x": 1, "y": 2, "z": 3}
    assert tester.fetch("t.reads", "y") == {"y": 2}
    assert tester.fetch("t.holes") == {"y": 2}
    with pytest.raises(ConversionError):
        tester.fetch("t.short")
    with pytest.raises(UnknownInstance):
        tester.fetch("t.reads", "nosuch")


def test_an_unfit_value_is_the_error_of_its_metric(agent, caplog):
    @agent.metric()
    def text() -> int:
        return "many"  # type: ignore[return-value]

    @agent.metric()
    def large() -> U32:
        return 1 << 40

    @agent.metric()
    def none() -> str | None:
        return None

    tester = AgentTester(agent)
    for name in ("t.text", "t.large"):
        with pytest.raises(ConversionError):
            tester.fetch(name)
    assert tester.fetch("t.none") is None


def test_what_a_function_raises_is_told_as_it_is_or_as_try_again(agent, caplog):
    @agent.metric()
    def refused() -> int:
        raise PermissionDenied()

    @agent.metric()
    def buggy() -> int:
        raise ZeroDivisionError("oh")

    tester = AgentTester(agent)
    with pytest.raises(PermissionDenied):
        tester.fetch("t.refused")
    for _ in range(3):
        with pytest.raises(TryAgain):
            tester.fetch("t.buggy")
    assert caplog.text.count("ZeroDivisionError") > 0


def test_a_function_may_ask_who_asks(agent):
    @agent.metric()
    def who(client: Client) -> str:
        client.state["times"] = client.state.get("times", 0) + 1
        return f"{client.context}:{client.state['times']}"

    tester = AgentTester(agent)
    one, other = tester.client(), tester.client()
    assert [tester.fetch("t.who", client=each) for each in (one, one, other, one)] == ["1:1", "1:2", "2:1", "1:3"]
    tester.end(one)
    assert tester.fetch("t.who", client=one) == "1:1"


def test_attributes_come_only_to_agents_that_want_them():
    for wanted, uid in ((False, "None"), (True, "1000")):
        agent = Agent("t", 100, client_attributes=wanted)

        @agent.metric()
        def who(client: Client) -> str:
            return str(client.uid)

        tester = AgentTester(agent)
        assert tester.fetch("t.who", client=tester.client(uid=1000)) == uid


def test_a_stored_value_is_of_the_metrics_type_and_its_instance_named(agent):
    stored = []
    places = agent.indom(0, fixed={3: "here", 4: "there"})

    @agent.metric(indom=places)
    def signed() -> list[I32]:
        return [0, 0]

    @signed.on_store
    def _(value: int, instance: str, client: Client) -> None:
        stored.append((value, instance, client.context))

    tester = AgentTester(agent)
    tester.store("t.signed", -5, "there")
    assert stored == [(-5, "there", 0)]


def test_functions_that_cannot_be_metrics_are_refused_with_what_to_do(agent):
    def unsaid():
        return 1

    async def later() -> int:
        return 1

    def greedy(a: int, b: int) -> int:
        return a + b

    def many() -> list[int]:
        return []

    for function, words in ((unsaid, "type_="), (later, "every="), (greedy, "source"), (many, "indom=")):
        with pytest.raises(TypeError, match=words):
            agent.metric()(function)


def test_labels_and_notes_are_told_at_every_level():
    agent = Agent("t", 100, labels={"vendor": "acme"}, notes={"contact": "bob"})
    things = agent.indom(
        0, fixed={0: "a", 1: "b"}, labels={"kind": "thing"}, label_instance=lambda name: {"upper": name.upper()}
    )
    agent.label_cluster(0, labels={"part": "one"})

    @agent.metric(indom=things, labels=lambda: {"speed": 3}, notes={"unit": {"si": True}})
    def thing() -> list[int]:
        return [1, 2]

    tester = AgentTester(agent)

    def told(ident: int, level: LabelType) -> list[tuple[int, bytes]]:
        return [(each.instance, each.json) for each in tester.labels(ident, level)]

    pmid = thing.desc.pmid
    assert told(100, LabelType.DOMAIN) == [(-1, b'{"vendor":"acme","contact":"bob"}')]
    assert told(pmid, LabelType.CLUSTER) == [(-1, b'{"part":"one"}')]
    assert told(pmid, LabelType.ITEM) == [(-1, b'{"speed":3,"unit.si":true}')]
    assert told(things.id, LabelType.INDOM) == [(-1, b'{"kind":"thing"}')]
    assert told(things.id, LabelType.INSTANCES) == [(0, b'{"upper":"A"}'), (1, b'{"upper":"B"}')]
    flags = [label.flags for label in tester.labels(pmid, LabelType.ITEM)[0].labels]
    assert flags == [LabelType.ITEM, LabelType.ITEM | LabelType.OPTIONAL]


def test_labels_of_instances_are_made_once_for_as_long_as_the_instances_stay(agent):
    asked = []
    things = agent.indom(0, label_instance=lambda name: asked.append(name) or {"n": name})
    things.replace(["a", "b"])
    tester = AgentTester(agent)
    for _ in range(3):
        tester.labels(things.id, LabelType.INSTANCES)
    assert asked == ["a", "b"]
    things.replace(["a", "c"])
    tester.labels(things.id, LabelType.INSTANCES)
    assert asked == ["a", "b", "a", "c"]
    agent.labels_changed()
    tester.labels(things.id, LabelType.INSTANCES)
    assert asked[4:] == ["a", "c"]


def test_persistent_instances_keep_their_numbers_in_the_next_process(tmp_path):
    for names, ids in ((["a", "b"], (0, 1)), (["c", "b"], (2, 1))):
        agent = Agent("t", 100)
        things = agent.indom(3, persistent=True)
        agent.use_state(tmp_path)
        things.replace(names)
        assert things.ids == ids
    assert (tmp_path / "100.3").read_text().startswith("2 0 2147483647\n0 ")


def test_a_metric_can_be_taken_away(agent):
    @agent.metric()
    def stays() -> int:
        return 1

    @agent.metric()
    def goes() -> int:
        return 2

    agent.alias("t.also", goes.desc.pmid)
    tester = AgentTester(agent)
    assert sorted(tester.names()) == ["t.also", "t.goes", "t.stays"]
    tester.fetch("t.goes")
    agent.remove(goes)
    assert tester.names() == ["t.stays"]
    gone, there = tester.fetch_sets([goes.desc.pmid, stays.desc.pmid])
    assert gone.error is not None
    assert list(there.values) != []
    assert tester.changes


@pytest.mark.parametrize("domain", [0, 511, -1])
def test_a_domain_that_no_agent_can_have_is_refused(domain):
    with pytest.raises(ValueError, match="domain"):
        Agent("t", domain)


def test_units_in_words_are_units(agent):
    metric = agent.metric(units="Kbyte / sec")(lambda_returning_int)
    assert metric.desc.units == Units(space=1, scale_space=1, time=-1, scale_time=3)


def lambda_returning_int() -> int:
    """For the test above."""
    return 1


def test_ids_are_kept_even_where_the_authors_last_function_fails(tmp_path):
    agent = Agent("t", 100)
    things = agent.indom(3, persistent=True)
    agent.use_state(tmp_path)
    things.replace(["a"])
    (tmp_path / "100.3").unlink()
    things.replace(["a", "b"])

    @agent.shutdown
    def fail() -> None:
        raise OSError("author's trouble")

    with pytest.raises(OSError, match="author's trouble"):
        agent.stop()
    assert (tmp_path / "100.3").read_text().endswith(" b\n")


def test_a_coroutine_that_nobody_would_await_is_refused_at_once(agent):
    async def later() -> int:
        return 1

    with pytest.raises(TypeError, match="every="):
        agent.source()(later)


def test_instances_have_notes_beside_their_labels(agent):
    things = agent.indom(
        0, fixed={0: "a"}, label_instance=lambda name: {"name": name}, note_instance=lambda name: {"seen": True}
    )
    noted = agent.indom(1, fixed={0: "a"}, note_instance=lambda name: {"seen": True})
    tester = AgentTester(agent)
    (told,) = tester.labels(things.id, LabelType.INSTANCES)
    assert told.json == b'{"name":"a","seen":true}'
    assert [label.flags for label in told.labels] == [
        LabelType.INSTANCES,
        LabelType.INSTANCES | LabelType.OPTIONAL,
    ]
    assert tester.labels(noted.id, LabelType.INSTANCES)[0].json == b'{"seen":true}'


def test_instances_follow_their_cache_where_the_author_works_on_that(agent, tmp_path):
    things = agent.indom(0, persistent=True)
    agent.use_state(tmp_path)
    things.cache.add("b", key=b"1")
    things.cache.add("a", key=b"2")
    things.follow_cache()
    assert sorted(things.names) == ["a", "b"]
    assert [things.id_of("a"), things.id_of("b")] == [things.cache.by_key(b"2").id, things.cache.by_key(b"1").id]
    things.cache.hide("b")
    things.follow_cache()
    assert things.names == ("a",)
    assert " [31] b\n" in (tmp_path / "100.0").read_text()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": 1, "b": "two"}, "'two' of 'b' cannot be a value of type 64-bit int"),
        ([1, 2, 3], "3 values for 2 instances"),
        (7, "a value for each instance is needed"),
        ("ab", "a value for each instance is needed"),
    ],
)
def test_what_cannot_be_a_column_is_told_in_the_log_once(agent, caplog, value, words):
    things = agent.indom(0, fixed={0: "a", 1: "b"})
    agent.metric("t.value", indom=things, type_=ValueType.I64)(lambda: value)
    with AgentTester(agent) as tester:
        (found,) = tester.fetch_sets([tester.pmid("t.value")])
        assert isinstance(found.error, ConversionError)
        tester.fetch_sets([tester.pmid("t.value")])
    (said,) = caplog.messages
    assert said.startswith("t.value: ")
    assert words in said


@pytest.mark.parametrize(
    ("type_", "value", "words"),
    [
        (ValueType.U32, -1, "-1 cannot be a value of type 32-bit unsigned int"),
        (ValueType.STRING, "x" * (1 << 24), "a value of 16777217 bytes, at most 16777211"),
    ],
)
def test_what_cannot_be_the_value_is_told_in_the_log(agent, caplog, type_, value, words):
    agent.metric("t.value", type_=type_)(lambda: value)
    with AgentTester(agent) as tester, pytest.raises(ConversionError):
        tester.fetch("t.value")
    assert words in caplog.text


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda agent: agent.metric(lambda: 1), "parentheses"),
        (lambda agent: agent.source(cluster=1)(dict).metric(lambda now: 1), "parentheses"),
        (lambda agent: agent.metric(type_="u32"), "type_='u32': a ValueType of pypcp.model.values"),
        (lambda agent: agent.metric(sem="counter"), "sem='counter': a Semantics of pypcp.model.values"),
        (lambda agent: agent.metric(indom=0), "what agent.indom"),
        (lambda agent: agent.subtree("t.s", clusters=range(2, 3)).metric(indom=0), "what agent.indom"),
        (lambda agent: agent.indom(0, fixed={"red": 0}), "from numbers to names"),
        (lambda agent: agent.indom(0, fixed=["red"]), "from numbers to names"),
        (lambda agent: agent.source(timeout=3)(dict), "for a source with every="),
        (lambda agent: agent.source(every="10")(dict), "every='10': a number of seconds above 0"),
        (lambda agent: agent.source(every=0)(dict), "every=0: a number of seconds above 0"),
        (lambda agent: agent.source(every=1, keep=-1)(dict), "keep=-1: a number of seconds above 0"),
        (lambda agent: agent.events("t.log", parameters={"line": list}), "t.log.line: <class 'list'> is no type"),
        (lambda agent: Agent("t", "500"), "domain '500', must be 1 to 510"),
    ],
)
def test_a_slip_in_a_declaration_is_told_where_it_is_made(agent, declare, words):
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        declare(agent)


@pytest.mark.parametrize("names", [[1], ["a\nb"]])
def test_what_is_no_name_of_an_instance_says_why(agent, names):
    with pytest.raises(BadArgument, match=r"is no name of an instance: .*text"):
        agent.indom(0).replace(names)


def test_a_mistake_in_a_function_that_stores_is_no_refusal_of_the_value(agent, caplog):
    @agent.metric("t.limit")
    def limit() -> int:
        """A limit"""
        return 1

    @limit.on_store
    def set_limit(value):
        return "limit " + value

    with AgentTester(agent) as tester:
        with pytest.raises(PcpError) as told:
            tester.store("t.limit", 2)
        assert not isinstance(told.value, BadStore)
    assert "can only concatenate str" in caplog.text
