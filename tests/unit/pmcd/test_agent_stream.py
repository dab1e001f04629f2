"""The stream of an agent: what it bears of its queue, of who does not read, and of two pipes in place of a socket."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import pytest

from fakes.played_agent import NOTICE, REQUEST, connected
from pypcp.errors import NoAgent, TryAgain
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL, Pmid
from pypcp.model.units import NONE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.exchange import Exchange
from pypcp.pmcd.statistics import AgentStatistics, Statistics
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.desc import DescReply
from pypcp.wire.pdu import PduType, encode
from pypcp.wire.versions import IpcTable

pytestmark = pytest.mark.anyio
MOST_NOTICES, MOST_REQUESTS = 20_000, 1000
ANSWER = encode(DescReply(Desc(Pmid(1), ValueType.U32, PM_INDOM_NULL, Semantics.INSTANT, NONE)))


def told(slot: int, number: int) -> bytes:
    """What an agent is told when a client looks into another container."""
    return encode(Attribute(AttributeKey.CONTAINER, b"web%d\0" % number, slot))


async def test_requests_beyond_those_that_may_wait_are_refused_and_never_end_the_agent() -> None:
    async with connected() as agent:
        under_way, *waiting = [agent.ask() for _ in range(1 + MOST_REQUESTS)]
        for _ in range(10):
            agent.say()
        refused = agent.ask()
        assert isinstance(refused.exception(), TryAgain)
        assert not any(each.done() for each in (under_way, *waiting, agent.lost))
    for each in (under_way, *waiting):
        each.exception()


async def test_requests_that_were_given_up_make_room() -> None:
    async with connected() as agent:
        under_way, *waiting = [agent.ask() for _ in range(1 + MOST_REQUESTS)]
        agent.say()
        waiting.pop().cancel()
        more = agent.ask()
        assert not more.done()
        assert agent.stream.queued == MOST_REQUESTS + 1
    for each in (under_way, more, *waiting):
        each.exception()


async def test_notices_beyond_those_that_may_wait_end_the_agent_whatever_else_waits() -> None:
    async with connected() as agent:
        requests = [agent.ask() for _ in range(MOST_REQUESTS)]
        for _ in range(MOST_NOTICES):
            agent.say()
        assert not agent.lost.done()
        agent.say()
        assert agent.lost.result() == f"{MOST_NOTICES + 1} notices wait for it"
    assert {type(each.exception()) for each in requests[1:]} == {NoAgent}
    requests[0].exception()


async def test_what_is_told_of_a_client_again_and_again_waits_once() -> None:
    async with connected() as agent:
        under_way = agent.ask()
        for number in range(MOST_NOTICES + 2):
            for slot in (0, 1):
                agent.stream.say(told(slot, number), about=(slot, AttributeKey.CONTAINER))
        assert agent.stream.queued == 2
        assert not agent.lost.done()
        agent.socket.recv(len(REQUEST))
        agent.socket.send(ANSWER)
        await asyncio.wait_for(under_way, 5)
        assert agent.socket.recv(1 << 16) == told(0, MOST_NOTICES + 1) + told(1, MOST_NOTICES + 1)
        agent.stream.say(told(0, 0), about=(0, AttributeKey.CONTAINER))
        assert agent.socket.recv(1 << 16) == told(0, 0)


async def test_what_is_told_of_a_client_is_told_before_what_it_counts_for_and_after_what_it_does_not() -> None:
    async with connected() as agent:
        requests = [agent.ask()]
        agent.stream.say(told(0, 1), about=(0, AttributeKey.CONTAINER))
        requests.append(agent.ask())
        agent.stream.say(told(0, 2), about=(0, AttributeKey.CONTAINER))
        agent.stream.say(NOTICE, ends=0)
        agent.stream.say(told(0, 3), about=(0, AttributeKey.CONTAINER))  # another client, in the same slot
        for each in requests:
            agent.socket.send(ANSWER)
            await asyncio.wait_for(each, 5)
        expected = [REQUEST, told(0, 1), REQUEST, told(0, 2), NOTICE, told(0, 3)]
        assert agent.socket.recv(1 << 16) == b"".join(expected)


async def test_an_agent_that_answers_and_does_not_read_is_ended() -> None:
    async with connected(hard_limit_s=0.2) as agent:
        reply = agent.stream.ask(Exchange(REQUEST + bytes(4 << 20), PduType.DESC))  # more than a socket holds
        agent.socket.send(ANSWER)
        await asyncio.wait_for(reply, 5)
        assert await asyncio.wait_for(agent.lost, 5) == "no reading within 0.2 s"


async def test_the_end_of_an_agent_on_two_pipes_ends_its_stream_once() -> None:
    loop = asyncio.get_running_loop()
    troubles: list[Mapping[str, Any]] = []
    loop.set_exception_handler(lambda _, context: troubles.append(context))
    lost: asyncio.Future[str] = loop.create_future()
    stream = AgentStream("fake", lambda: 5.0, lost.set_result, Statistics(), AgentStatistics(), IpcTable())
    (reads, says), (hears, writes) = os.pipe(), os.pipe()
    reading, _ = await loop.connect_read_pipe(lambda: stream, os.fdopen(reads, "rb", 0))
    writing, _ = await loop.connect_write_pipe(lambda: stream, os.fdopen(writes, "wb", 0))
    os.close(hears)
    os.close(says)
    assert await asyncio.wait_for(lost, 5) == "end of file"
    for _ in range(5):  # what asyncio calls soon, and what that calls soon
        await asyncio.sleep(0)
    assert reading.is_closing()
    assert writing.is_closing()
    assert troubles == []
