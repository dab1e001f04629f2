"""What a reviewer finds."""

import pytest

from pypcp.errors import PermissionDenied
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda import Agent, Counter
from pypcp.pmda.review import review


@pytest.fixture
def agent() -> Agent:
    return Agent("t", 100, help_="For tests")


def remarks(agent: Agent, *, mistakes: bool | None = None) -> str:
    return "\n".join(str(each) for each in review(agent) if mistakes in (None, each.mistake))


def declare(agent: Agent, value=1, **facts):
    facts = {"name": "t.value", "type_": ValueType.U64, "help_": "A value of some kind", **facts}
    return agent.metric(**facts)(lambda: value)


def test_a_good_agent_has_nothing_said_of_it(agent):
    declare(agent, sem=Semantics.COUNTER, units="byte")
    assert remarks(agent) == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"help_": ""}, "no help"),
        ({"name": "t.bad-name"}, "a component of a name"),
        ({"sem": Semantics.COUNTER, "units": "count / sec"}, "that is a rate"),
        ({"sem": Semantics.COUNTER, "type_": ValueType.STRING, "value": "x"}, "only numbers count"),
        ({"units": "byte", "type_": ValueType.STRING, "value": "x"}, "only numbers have units"),
        ({"value": "text"}, "cannot be fetched"),
    ],
)
def test_a_mistake_is_called_one(agent, facts, words):
    declare(agent, **facts)
    assert words in remarks(agent, mistakes=True)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"help_": "x" * 200}, "200 characters"),
        ({"help_": "Value"}, "no more than its name"),
        ({"name": "t.Value"}, "written small"),
        ({"sem": Semantics.COUNTER}, "without units"),
        ({"sem": Semantics.COUNTER, "units": "byte", "type_": ValueType.U32}, "starts anew soon"),
    ],
)
def test_advice_is_no_mistake(agent, facts, words):
    declare(agent, **facts)
    assert words in remarks(agent, mistakes=False)
    assert remarks(agent, mistakes=True) == ""


def test_an_agent_without_metrics_is_a_mistake(agent):
    assert "no metrics" in remarks(agent, mistakes=True)


def test_a_counter_that_goes_back_is_a_mistake(agent):
    values = iter(range(100, 0, -1))

    @agent.metric("t.value", units="count")
    def value() -> Counter[int]:
        """A count of things"""
        return next(values)

    assert "went back" in remarks(agent, mistakes=True)


def test_instances_that_share_their_first_word_are_a_mistake(agent):
    things = agent.indom(0, help_="Things", fixed={0: "disk one", 1: "disk two"})
    agent.metric("t.value", indom=things, type_=ValueType.U32, help_="Of disks")(lambda: [1, 2])
    assert "several begin with 'disk'" in remarks(agent, mistakes=True)


def test_an_instance_domain_that_nothing_fills_is_a_mistake(agent):
    things = agent.indom(0, help_="Things")
    agent.metric("t.value", indom=things, type_=ValueType.U32, help_="Of things")(list)
    said = remarks(agent, mistakes=True)
    assert "empty" in said


def test_numbers_of_instances_that_are_forgotten_are_worth_a_word(agent):
    things = agent.indom(0, help_="Things", members=list)

    @agent.source()
    def source() -> dict[str, int]:
        return {"a": 1}

    source.metric("t.value", indom=things, type_=ValueType.U32, help_="Of things")(lambda snapshot: snapshot)
    assert "persistent=True" in remarks(agent, mistakes=False)


def test_an_order_that_changes_all_the_time_is_worth_a_word(agent):
    turns = iter(range(100))
    things = agent.indom(0, help_="Things", members=list, persistent=True)

    @agent.source()
    def source() -> dict[str, int]:
        names = ["a", "b"] if next(turns) % 2 else ["b", "a"]
        return dict.fromkeys(names, 1)

    source.metric("t.value", indom=things, type_=ValueType.U32, help_="Of things")(lambda snapshot: snapshot)
    assert "order" in remarks(agent, mistakes=False)


def test_a_metric_that_refuses_whoever_asks_is_no_mistake(agent):
    def refuse() -> int:
        raise PermissionDenied

    agent.metric("t.secret", help_="For root's eyes")(refuse)
    assert "it has no value: No permission" in remarks(agent, mistakes=False)
    assert remarks(agent, mistakes=True) == ""


def test_a_value_of_a_stranger_is_a_mistake(agent):
    things = agent.indom(0, fixed={0: "red"}, help_="Colours")
    declare(agent, {"red": 1, "blue": 2}, indom=things)
    assert remarks(agent) == "mistake  t.value: it has a value for 'blue', which is no instance of 100.0"


@pytest.mark.parametrize("labels", [["a"], {"a b": 1}, {"a": object()}, lambda: 1 / 0])
def test_labels_that_cannot_be_told_are_a_mistake(agent, labels):
    declare(agent, labels=labels)
    assert "t.value: its labels cannot be told: " in remarks(agent, mistakes=True)


def test_labels_of_every_level_are_looked_at():
    agent = Agent("t", 100, help_="For tests", notes=["no"])
    things = agent.indom(0, fixed={0: "red"}, help_="Colours", labels=["no"], label_instance=lambda name: ["no"])
    agent.label_cluster(0, ["no"])
    declare(agent, {"red": 1}, indom=things)
    about = [line.split(":")[0].removeprefix("mistake  ") for line in remarks(agent).splitlines()]
    assert about == ["t", "cluster 100.0", "instance domain 100.0", "instance domain 100.0"]
