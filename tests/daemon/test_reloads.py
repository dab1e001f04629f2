"""Reloads: what takes long is done beside the clients, one reload after the other."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from honest import beside, until
from pypcp.errors import NoAgent
from pypcp.model.ids import Pmid
from pypcp.model.values import ValueType
from pypcp.pmcd.router import LocalRoute
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client, FetchRequest
from running import Starter

pytestmark = pytest.mark.anyio
OWN = "pmcd 2 dso pmcd_init /var/lib/pcp/pmdas/pmcd/pmda_pmcd.so\n"
VALUE = Pmid.build(102, 0, 0)


async def written_to(pipe: Path, text: str) -> None:
    """Let the one that reads a named pipe have its text."""
    descriptors = []

    def opens() -> bool:
        try:
            descriptors.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    await until(opens)
    os.write(descriptors[0], text.encode())
    os.close(descriptors[0])


async def test_clients_are_answered_while_files_are_read_and_reloads_keep_their_order(
    start: Starter, tmp_path: Path
) -> None:
    async with start() as running, running.client() as client, beside(running) as honest:
        configuration = tmp_path / "pmcd.conf"
        configuration.unlink()
        os.mkfifo(configuration)  # a file whose reading takes as long as we like
        reloads = [asyncio.create_task(running.daemon.reload()) for _ in range(2)]
        await honest.is_answered()
        assert not any(reload.done() for reload in reloads)
        await written_to(configuration, '[access]\ndisallow "unix:" : store;\n')
        await reloads[0]
        await honest.is_answered()
        assert not reloads[1].done()
        await written_to(configuration, OWN)
        await reloads[1]
        assert running.daemon.gate.rules.hosts == ()
        assert [spec.label for spec in running.daemon.configured] == ["pmcd"]
        assert await client.lookup_name("pmcd.numagents")


async def test_our_own_agent_stays_when_the_configuration_names_it_no_more(start: Starter, tmp_path: Path) -> None:
    async with start(access=OWN) as running, running.client() as client:
        (tmp_path / "pmcd.conf").write_text("")
        await running.daemon.reload()
        assert (await client.fetch([Pmid.build(2, 0, 2)])).value_sets[0].value == 1


async def test_an_agent_that_takes_long_to_stop_holds_nobody_up_and_is_asked_nothing_more() -> None:
    agent, may_stop = Agent("slow", 102), threading.Event()
    agent.metric("slow.number", item=0, type_=ValueType.U32)(lambda: 42)
    agent.shutdown(lambda: may_stop.wait(10.0))
    route = LocalRoute(agent)
    stopping = asyncio.create_task(route.stop())
    try:
        await until(lambda: route.refusal is NoAgent)
        assert not stopping.done()
        (segment,) = route.fetch(FetchRequest((VALUE,)), Client()).segments
        assert getattr(segment, "status", 0) == NoAgent.code
    finally:
        may_stop.set()
        await stopping
