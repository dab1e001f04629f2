"""What an author's code raises costs who asked an answer, and nobody else anything, wherever the agent runs."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes.client import RawClient, fetch
from honest import beside
from pypcp.errors import InternalError, TryAgain
from pypcp.model.ids import IN_NULL, InDom, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.finding import find_agent
from pypcp.wire.desc import DescRequest
from pypcp.wire.handshake import Error
from pypcp.wire.instance import InstanceRequest
from pypcp.wire.label import LabelRequest
from pypcp.wire.pdu import Pdu
from pypcp.wire.pmns import PmnsIds
from pypcp.wire.result import Result
from pypcp.wire.text import TextKind, TextRequest
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
DOMAIN = 102
NUMBER, INDOM = Pmid.build(DOMAIN, 0, 0), InDom.build(DOMAIN, 0)
QUESTIONS: Mapping[str, Pdu | bytes] = {
    "fetch": fetch(NUMBER),
    "desc": DescRequest(NUMBER),
    "instances": InstanceRequest(INDOM),
    "text": TextRequest(NUMBER, TextKind.PMID | TextKind.ONELINE),
    "labels": LabelRequest(NUMBER, LabelType.ITEM),
    "instances' labels": LabelRequest(INDOM, LabelType.INSTANCES),
    "names": PmnsIds([Pmid.build(DOMAIN, 0, 1)]),
    "store": Result(0, [ValueSet(NUMBER, [IN_NULL], [7], type=ValueType.U32)]),
}
AGENT = """
from pypcp.errors import OsError, TryAgain
from pypcp.pmda import Agent, U32

agent = Agent("failing", 102, client_attributes=True)
hook = {hook!r}

def fails(*arguments):
    raise {error}

def labels():
    return fails() if hook == "labels" else {{}}

def label_instance(name):
    return fails() if hook == "label_instance" else {{}}

indom = agent.indom(0, fixed={{1: "one"}}, help_="One", label_instance=label_instance)

@agent.metric("failing.number", item=0, labels=labels)
def number() -> U32:
    "A number"
    return 42

@number.on_store
def keep(value):
    if hook == "store":
        fails()

if hook in ("check", "before_fetch", "startup", "shutdown", "on_attributes", "on_end"):
    getattr(agent, hook)(fails)
"""
HOOKS = ["check", "before_fetch", "labels", "label_instance", "store", "on_attributes", "on_end", "startup", "shutdown"]
ERRORS = {"RuntimeError('a mistake')": InternalError.code, "OsError(-2)": -2}
REFUSED = {
    "check": set(QUESTIONS),
    "before_fetch": {"fetch"},
    "labels": {"labels"},
    "label_instance": {"instances' labels"},
    "store": {"store"},
}


def in_process(start: Starter, agent: Path) -> object:
    made = find_agent(str(agent))
    assert isinstance(made, Agent)
    return start(own=[made])


def as_a_process(start: Starter, agent: Path) -> object:
    command = f'"{sys.executable}" -m pypcp.tools.main agent serve "{agent}" -l "{agent}.log"'
    return start(access=f"failing {DOMAIN} pipe binary {command}", agent_hello_s=10.0)


async def answers(running: Running, beside: int = 1) -> dict[str, object]:
    """What a client is told: the code of the error, or the kind of the answer. So many others are ``beside``."""
    async with RawClient(running.path) as client:
        await client.greeted()
        while code_of(await client.answer(QUESTIONS["fetch"])) == TryAgain.code:
            pass  # it is being started
        found = {what: code_of(await client.answer(question)) for what, question in QUESTIONS.items()}
    await until(lambda: len(running.daemon.clients) == beside)
    return found


def code_of(answer: Pdu | None) -> object:
    if isinstance(answer, Error):
        return answer.code
    if isinstance(answer, Result):
        failure = answer.value_sets[0].error
        return 0 if failure is None else failure.code
    return type(answer).__name__


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("hook", HOOKS)
async def test_a_hook_that_raises_costs_the_same_wherever_the_agent_runs(
    tmp_path: Path, start: Starter, hook: str, error: str
) -> None:
    agent = tmp_path / "failing.py"
    agent.write_text(AGENT.format(hook=hook, error=error))
    found = []
    for run in (in_process, as_a_process):
        async with run(start, agent) as running, beside(running):  # type: ignore[attr-defined]
            found.append(await answers(running))
    assert found[0] == found[1]
    refused = {what for what, code in found[0].items() if code == ERRORS[error]}
    assert refused == REFUSED.get(hook, set())


@pytest.mark.parametrize("hook", ["check", "labels", "on_attributes", "on_end"])
async def test_the_log_does_not_grow_with_every_request_for_what_fails(
    tmp_path: Path, start: Starter, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    agent = tmp_path / "failing.py"
    agent.write_text(AGENT.format(hook=hook, error="RuntimeError('a mistake')"))
    for run in (in_process, as_a_process):
        async with run(start, agent) as running:  # type: ignore[attr-defined]
            for _ in range(10):
                await answers(running, beside=0)
        log = caplog.text + "".join(path.read_text() for path in tmp_path.glob("*.log"))
        assert 1 <= log.count("RuntimeError: a mistake") <= len(QUESTIONS)
        assert log.count("from the daemon") == 0
        caplog.clear()


async def test_a_metric_that_fails_is_told_once_in_however_many_lists_it_is(
    start: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent("failing", DOMAIN)
    agent.metric("failing.number", item=0, type_=ValueType.U32)(lambda: 1 // 0)
    agent.metric("failing.text", item=1, type_=ValueType.U32)(lambda: "not a number")
    async with start(own=[agent]) as running, RawClient(running.path) as client:
        await client.greeted()
        for count in (1, 2, 50):
            await client.answer(fetch(*[NUMBER, NUMBER + 1] * count))
    assert caplog.text.count("ZeroDivisionError") == 1
    assert caplog.text.count("cannot be a value of type") == 1


async def test_an_agent_that_is_not_ready_yet_has_its_names(start: Starter) -> None:
    agent = Agent("slow", DOMAIN)
    agent.metric("slow.number", item=0, type_=ValueType.U32)(lambda: 42)
    with agent.not_ready():
        async with start(own=[agent]) as running, running.client() as client:
            assert await client.lookup_name("slow.number") == NUMBER
            with pytest.raises(TryAgain):
                await client.lookup_desc(NUMBER)
            assert isinstance((await client.fetch([NUMBER])).value_sets[0].error, TryAgain)
