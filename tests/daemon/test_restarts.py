"""When an agent that has ended is started again."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from clock import Clock
from pypcp.errors import NoAgent, ProtocolError
from pypcp.model.ids import Pmid
from pypcp.pmapi.context import Context
from pypcp.pmcd import agent_keeper, launch
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.limits import Limits
from pypcp.pmcd.options import Options
from pypcp.wire.pdu import StateChange
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
DOMAIN = 100
VALUE = Pmid.build(DOMAIN, 0, 0)
NUMAGENTS = Pmid.build(2, 0, 2)


def _agent(running: Running) -> AgentKeeper:
    return running.keeper(DOMAIN)


async def _kill(agent: AgentKeeper) -> None:
    before = agent.pid
    os.kill(before, signal.SIGKILL)
    await until(lambda: agent.pid != before)


async def test_without_restarts_an_agent_that_ended_stays_so_until_a_reload(start: Starter) -> None:
    async with start({DOMAIN: "well"}, agent_restarts=False) as running, running.client() as client:
        agent = _agent(running)
        await _kill(agent)
        for _ in range(3):
            assert isinstance((await client.fetch([VALUE])).value_sets[0].error, NoAgent)
        assert agent.statistics.restarts == 0
        await running.daemon.reload()
        await until(lambda: agent.refusal is None)
        assert (await client.fetch([VALUE])).value_sets[0].value == 1


async def test_a_reload_does_not_wait_for_the_next_try(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_keeper, "_DELAYS_S", (3600.0,))
    async with start({DOMAIN: "well"}) as running:
        agent = _agent(running)
        for times in (1, 2):
            await _kill(agent)
            await running.daemon.reload()
            await until(lambda: agent.refusal is None)
            assert agent.statistics.restarts == times


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that is to end may take all the time there is."""
    monkeypatch.setattr(launch, "END_WITHIN_S", 3600.0)


async def _left_ending(agent: AgentKeeper, client: Context) -> int:
    """The process of an agent that has closed its stream, and does not end."""
    process = agent.pid
    assert isinstance((await client.fetch([VALUE])).value_sets[0].error, ProtocolError)
    await until(lambda: agent.refusal is NoAgent)
    return process


async def test_a_reload_while_an_agent_is_ending_starts_it_again(start: Starter, unhurried: None) -> None:
    async with start({DOMAIN: "linger"}, agent_restarts=False) as running, running.client() as client:
        agent = _agent(running)
        before = await _left_ending(agent, client)
        await running.daemon.reload()
        assert agent.pid == before
        os.kill(before, signal.SIGKILL)
        await until(lambda: agent.refusal is None)
        assert agent.pid not in (0, before)


async def test_an_agent_that_is_stopped_while_it_is_ending_has_gone_then(start: Starter, unhurried: None) -> None:
    async with start({DOMAIN: "linger"}) as running, running.client() as client:
        agent = _agent(running)
        process = await _left_ending(agent, client)
        stopping = asyncio.create_task(agent.stop())
        impatient = asyncio.create_task(agent.stop())
        await until(agent._task.cancelling)
        impatient.cancel()
        await asyncio.wait([impatient])
        assert impatient.cancelled()
        assert not stopping.done()
        os.kill(process, signal.SIGKILL)
        await stopping
        assert not Path(f"/proc/{process}").exists()


class Delays:
    """What the keeper would wait between two lives of its agent; here it does not."""

    def __init__(self, hello_s: float) -> None:
        self.seen: list[float] = []
        self._hello_s = hello_s
        self._timeout = asyncio.timeout

    def __call__(self, seconds: float | None) -> asyncio.Timeout:
        if seconds is None or seconds == self._hello_s:
            return self._timeout(seconds)
        self.seen.append(seconds)
        return self._timeout(0.0)


HELLO_S = 7.5
"""A limit that is no delay of the schedule."""


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> Delays:
    delays = Delays(HELLO_S)
    monkeypatch.setattr(asyncio, "timeout", delays)
    return delays


async def test_an_agent_that_cannot_live_is_tried_at_once_and_then_ever_more_rarely(
    start: Starter, delays: Delays
) -> None:
    async with start({DOMAIN: "die_at_start"}, agent_hello_s=HELLO_S):
        await until(lambda: len(delays.seen) >= 4)
    assert delays.seen[:4] == [0, 1, 2, 4]


async def test_the_rarest_is_once_a_minute(delays: Delays) -> None:
    async def cannot(stream: AgentStream) -> None:
        raise OSError("no such program")

    daemon = Daemon(Options(limits=Limits(agent_hello_s=HELLO_S)))
    agent = AgentKeeper("gone", DOMAIN, cannot, daemon)
    await until(lambda: len(delays.seen) >= 10)
    await agent.stop()
    assert delays.seen[:10] == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_an_agent_that_was_steady_is_started_again_at_once(
    start: Starter, delays: Delays, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(agent_keeper, "time", clock)
    async with start({DOMAIN: "well"}, agent_hello_s=HELLO_S) as running:
        for lived_s in (1.0, 59.9, 1.0, 60.1, 1.0):
            clock.now += lived_s
            await _kill(_agent(running))
            await until(lambda: _agent(running).refusal is None)
    assert delays.seen == [0, 1, 2, 0, 1]


async def test_a_reload_leaves_an_agent_that_runs_as_it_is(start: Starter) -> None:
    async with start({DOMAIN: "well"}) as running:
        agent = _agent(running)
        before = agent.pid
        await running.daemon.reload()
        assert agent.pid == before
        await _kill(agent)
        await until(lambda: agent.refusal is None)
        assert agent.statistics.restarts == 1


async def test_clients_are_told_whether_an_agent_is_new_or_started_again(start: Starter, tmp_path: Path) -> None:
    async with start({DOMAIN: "well"}) as running, running.client() as client:
        configuration = tmp_path / "pmcd.conf"
        whole = configuration.read_text()

        async def told_after(text: str) -> int:
            configuration.write_text(text)
            await running.daemon.reload()
            return (await client.fetch([NUMAGENTS])).changes

        assert await told_after(whole) == StateChange.NO_CHANGE
        assert await told_after("\n") == StateChange.DROP_AGENT
        assert await told_after(whole) == StateChange.ADD_AGENT
        assert await told_after(whole.replace("well", "well 0")) == StateChange.ADD_AGENT | StateChange.DROP_AGENT
        agent = _agent(running)
        await _kill(agent)
        await until(lambda: agent.refusal is None)
        restarted = StateChange.ADD_AGENT | StateChange.RESTART_AGENT | StateChange.DROP_AGENT
        assert (await client.fetch([NUMAGENTS])).changes == restarted
