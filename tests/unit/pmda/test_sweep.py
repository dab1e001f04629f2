"""Metrics that are read together: the same bytes as one by one, whatever changes in between."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pypcp.model.ids import InDom
from pypcp.model.profile import EVERYTHING, InDomProfile, Profile
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client, FetchRequest
from pypcp.pmda.reply import ReplyLayout
from pypcp.pmda.runs import LONGEST
from pypcp.pmda.sweep import FIRST, PATIENCE
from pypcp.wire.pdu import decode
from pypcp.wire.result import Result

NUMBERS = [ValueType.U64, ValueType.DOUBLE, ValueType.I64, ValueType.FLOAT, ValueType.U64]
WORDS = [ValueType.U32, ValueType.I32]
TYPES = [*NUMBERS, *NUMBERS, *WORDS, ValueType.STRING] * 2 + [*NUMBERS[:4], *WORDS]
COLUMNS = {*range(13, 26), 27, 29, 31}
HALF_EMPTY = {15, 16, 24, 27}
TEXTS = {12, 25}
"""The metrics by their numbers: their types, those with instances, those of them that have no value for the second
instance, those whose values are no numbers."""

METRICS = range(len(TYPES))
INSTANCES = ["a", "b", "c"]
ONLY_B = Profile(True, {InDom.build(100, 1): InDomProfile(include=False, listed=frozenset({1}))})
AS_SAID = object()
"""The value of a metric is then what is right for its type."""


class Trouble(Exception):
    """What an author's code may raise."""


@dataclass
class World:
    """What the metrics are read from: values by metric, where those are not the right ones; instances; a failure."""

    values: dict[int, Any] = field(default_factory=dict)
    instances: list[str] = field(default_factory=lambda: list(INSTANCES))
    broken: bool = False
    ticks: int = 0


def right(type_: ValueType, seed: int) -> Any:
    return f"text {seed % 2}" if type_ is ValueType.STRING else seed


def read(number: int) -> Callable[[World], Any]:
    """The function of a metric."""

    def value(world: World) -> Any:
        found = world.values.get(number, AS_SAID)
        if found is Trouble:
            raise Trouble
        if found is not AS_SAID:
            return found
        if number not in COLUMNS:
            return right(TYPES[number], world.ticks + number)
        values = [right(TYPES[number], world.ticks + number + at) for at in range(len(world.instances))]
        return [None if at == 1 else value for at, value in enumerate(values)] if number in HALF_EMPTY else values

    return value


def observer(world: World) -> tuple[Agent, tuple[int, ...]]:
    """An agent whose metrics are read from two sources, and their pmids."""
    agent = Agent("t", 100)

    def refresh() -> World:
        if world.broken:
            raise Trouble
        return world

    indom = agent.indom(1, members=lambda world: world.instances)
    clusters = [agent.cluster(0, refresh), agent.cluster(1, lambda: world)]
    for number in METRICS:
        over = indom if number in COLUMNS else None
        clusters[number // 5 % 2].metric(f"t.m{number}", number, TYPES[number], read(number), indom=over)
    return agent, tuple(int(agent.lookup_name(f"t.m{number}")) for number in METRICS)


class Asker:
    """Asks the same again and again; ``layouts`` are those of the replies so far."""

    def __init__(self, agent: Agent, pmids: tuple[int, ...], profile: Profile = EVERYTHING) -> None:
        self.agent = agent
        self.pmids = pmids
        self.request = FetchRequest(pmids, profile)
        self.layout = ReplyLayout(pmids, [range(len(pmids))], highres=True, max_reply=1 << 24)
        self.layouts: list[object] = []

    def ask(self, times: int = 1) -> bytes:
        for _ in range(times):
            fetched = self.agent.fetch(self.request, Client())
            self.layouts.append(fetched.layout)
        return self.layout.render([fetched], 0)

    @property
    def together(self) -> set[int]:
        """The places of the metrics that are read together now."""
        return {place for run in self.request.prepared.sweep.runs for place in run.places}


def one_by_one(agent: Agent, pmids: tuple[int, ...], profile: Profile) -> bytes:
    """The first fetch of a list: every metric by its own reader."""
    return Asker(agent, pmids, profile).ask()


VALUES = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.none())
SINGLE = st.sampled_from([AS_SAID, None, Trouble, "text", True]) | VALUES
COLUMN = (
    st.sampled_from([AS_SAID, None, Trouble, 7, "abc", {"a": 1}, {"b": 2, "z": 3}, ()])
    | st.lists(VALUES, max_size=4)
    | st.tuples(*[st.none() | st.integers(0, 9)] * 3)
)
CHANGES = st.one_of(
    st.tuples(st.just("value"), st.sampled_from(METRICS), SINGLE, COLUMN),
    st.tuples(st.just("instances"), st.lists(st.sampled_from([*INSTANCES, "d"]), unique=True)),
    st.tuples(st.just("broken"), st.booleans()),
    st.tuples(st.just("right again")),
)


def change(world: World, what: tuple[Any, ...]) -> None:
    match what:
        case ("value", number, value, values):
            world.values[number] = values if number in COLUMNS else value
        case ("instances", names):
            world.instances = names
        case ("broken", broken):
            world.broken = broken
        case _:
            world.values.clear()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from([1, 1, 2, 3, PATIENCE + 1]), st.lists(CHANGES, max_size=4)), max_size=6),
    st.sampled_from([EVERYTHING, ONLY_B]),
)
@pytest.mark.filterwarnings("ignore")
def test_a_list_that_is_repeated_gets_the_bytes_of_one_that_is_new(
    script: list[tuple[int, list[tuple[Any, ...]]]], profile: Profile
) -> None:
    world = World()
    agent, pmids = observer(world)
    asker = Asker(agent, pmids, profile)
    for calm, changes in [(3, []), *script]:
        for what in changes:
            change(world, what)
        for _ in range(calm):
            world.ticks += 1
            assert asker.ask() == one_by_one(agent, pmids, profile)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def asker(world: World) -> Iterator[Asker]:
    agent, pmids = observer(world)
    asker = Asker(agent, pmids)
    asker.ask(3)
    yield asker
    assert asker.ask() == one_by_one(agent, pmids, EVERYTHING)


def test_numbers_are_read_together_and_other_values_one_by_one(asker: Asker) -> None:
    assert asker.together == set(METRICS) - TEXTS


def test_a_reply_is_laid_out_no_more_when_nothing_changes_but_values(world: World, asker: Asker) -> None:
    for _ in range(100):
        world.ticks += 2
        asker.ask()
    assert len(set(asker.layouts[2:])) == 1


def test_metrics_that_never_have_a_value_stay_with_those_that_have(world: World) -> None:
    world.values = {2: None, 10: None, 14: None, 23: None, 16: [None, None, None], 24: [None] * 3}
    asker = Asker(*observer(world))
    asker.ask(100)
    assert asker.together == set(METRICS) - TEXTS
    assert len(set(asker.layouts[2:])) == 1


@pytest.mark.parametrize("metric", [3, 11, 13, 23])
@pytest.mark.parametrize("failure", [Trouble, "text", [1, -1, 2]])
def test_a_metric_that_always_fails_is_read_apart_from_the_others(world: World, metric: int, failure: object) -> None:
    world.values = {metric: failure}
    asker = Asker(*observer(world))
    asker.ask(100)
    assert asker.together == set(METRICS) - TEXTS - {metric}
    assert len(set(asker.layouts[2:])) == 1


def test_a_metric_that_comes_and_goes_does_not_keep_the_others_apart(world: World, asker: Asker) -> None:
    for fetch in range(200):
        world.values[3] = float(fetch) if fetch % 5 else None
        asker.ask()
        if fetch > 1:
            assert set(METRICS) - TEXTS - asker.together <= {3}
    assert 3 not in asker.together


def test_columns_are_read_together_again_when_the_instances_have_not_changed_for_a_while(
    world: World, asker: Asker
) -> None:
    before = asker.together
    world.instances = ["a", "b", "c", "d"]
    asker.ask(2)
    assert asker.together == set(range(12)) | {30}
    asker.ask(PATIENCE)
    assert asker.together == before


def test_a_profile_is_no_reason_to_read_one_by_one(world: World) -> None:
    asker = Asker(*observer(world), ONLY_B)
    asker.ask(3)
    assert asker.together == set(METRICS) - TEXTS
    world.ticks += 1
    assert asker.ask() == one_by_one(*observer(world), ONLY_B)


def test_a_value_too_many_does_not_make_up_for_one_that_is_missing(world: World, asker: Asker) -> None:
    world.values = {13: [1, 2, 3, 4], 14: [1.0, 2.0], 23: [1, 2], 24: [1, None, 2, 3]}
    assert asker.ask() == one_by_one(*observer(world), EVERYTHING)


def test_another_instance_in_place_of_one_that_went_has_its_own_id(world: World, asker: Asker) -> None:
    world.instances = ["a", "b", "d"]
    assert asker.ask() == one_by_one(asker.agent, asker.pmids, EVERYTHING)


def test_instances_that_a_metrics_function_changes_keep_their_ids() -> None:
    agent = Agent("t", 100)
    indom = agent.indom(1)
    indom.replace(["a", "b"])
    reads = []

    def changing(_: object) -> int:
        reads.append(1)
        indom.replace(["a", "b"] if len(reads) < FIRST else ["a", "c"])
        return len(reads)

    cluster = agent.cluster(0, lambda: None)
    for number in range(3):
        cluster.metric(f"t.c{number}", number, ValueType.U64, lambda _: [1] * len(indom), indom=indom)
    cluster.metric("t.last", 3, ValueType.U32, changing)
    asker = Asker(agent, tuple(int(agent.lookup_name(name)) for name in agent.traverse("")))
    reply = decode(asker.ask(FIRST + 1))
    assert isinstance(reply, Result)
    assert list(reply.value_sets[0].instances) == list(indom.ids) == [0, 2]


def test_long_columns_are_read_one_by_one(world: World) -> None:
    world.instances = [f"i{number}" for number in range(LONGEST + 2)]
    asker = Asker(*observer(world))
    asker.ask(3)
    assert asker.together == set(range(12)) | {30}


@pytest.mark.parametrize(
    ("metric", "before", "after"),
    [(3, None, 5.0), (15, [1, None, None], [1, 2, 3]), (11, None, 5), (24, [1, None, 2], [1, 2, 3])],
)
def test_a_value_where_there_was_none_is_told(world: World, metric: int, before: object, after: object) -> None:
    world.values = {metric: before}
    asker = Asker(*observer(world))
    asker.ask(3)
    world.values = {metric: after}
    assert asker.ask() == one_by_one(asker.agent, asker.pmids, EVERYTHING)


def test_a_function_that_takes_no_snapshot_is_called_once_a_fetch() -> None:
    agent = Agent("t", 100)
    calls = []

    @agent.metric()
    def counts() -> int | None:
        calls.append(1)
        return len(calls) if len(calls) % 2 else None

    @agent.source()
    def numbers() -> list[int | None]:
        return [None if len(calls) % 3 else 1] * 5

    for number in range(5):
        numbers.metric(f"t.n{number}", type_=ValueType.U64)(lambda now, number=number: now[number])
    pmids = tuple(int(agent.lookup_name(name)) for name in agent.traverse(""))
    Asker(agent, pmids).ask(100)
    assert len(calls) == 100
