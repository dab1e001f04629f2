"""When an agent that has ended is started again."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pypcp.errors import NoAgent
from pypcp.model.ids import Pmid
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.wire.pdu import StateChange
from running import Running, Starter

pytestmark = pytest.mark.anyio
DOMAIN = 100
VALUE = Pmid.build(DOMAIN, 0, 0)
NUMAGENTS = Pmid.build(2, 0, 2)


def _agent(running: Running) -> AgentKeeper:
    route = running.daemon.router.routes[DOMAIN]
    assert isinstance(route, AgentKeeper)
    return route


async def _until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


async def _kill(agent: AgentKeeper) -> None:
    before = agent.pid
    os.kill(before, signal.SIGKILL)
    await _until(lambda: agent.pid != before)


async def test_without_restarts_an_agent_that_ended_stays_so_until_a_reload(start: Starter) -> None:
    async with start({DOMAIN: "well"}, agent_restarts=False) as running, running.client() as client:
        agent = _agent(running)
        await _kill(agent)
        for _ in range(3):
            assert isinstance((await client.fetch([VALUE])).value_sets[0].error, NoAgent)
        assert agent.statistics.restarts == 0
        await running.daemon.reload()
        await _until(lambda: agent.refusal is None)
        assert (await client.fetch([VALUE])).value_sets[0].value == 1


async def test_a_reload_does_not_wait_for_the_next_try(start: Starter) -> None:
    async with start({DOMAIN: "well"}) as running:
        agent = _agent(running)
        for times in (1, 2, 3, 4):  # untold, the second would be a second later, the third two, the fourth four
            await _kill(agent)
            await running.daemon.reload()
            await _until(lambda: agent.refusal is None, limit_s=3.5)
            assert agent.statistics.restarts == times


async def test_a_reload_leaves_an_agent_that_runs_as_it_is(start: Starter) -> None:
    async with start({DOMAIN: "well"}) as running:
        agent = _agent(running)
        before = agent.pid
        await running.daemon.reload()
        assert agent.pid == before
        await _kill(agent)
        await _until(lambda: agent.refusal is None)
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
        await _until(lambda: agent.refusal is None)
        restarted = StateChange.ADD_AGENT | StateChange.RESTART_AGENT | StateChange.DROP_AGENT
        assert (await client.fetch([NUMAGENTS])).changes == restarted
