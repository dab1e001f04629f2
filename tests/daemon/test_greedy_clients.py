"""A legal client that asks for everything at once, over and over: it is answered, and others between its slices."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from fakes.client import RawClient, fetch
from fuzz.collector import DOMAIN, kitchen_sink
from honest import NUMAGENTS, beside
from pypcp.model.profile import InDomProfile, Profile
from pypcp.wire.desc import DescIds, Descs
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.pdu import encode
from pypcp.wire.pmns import PmnsIds, PmnsNames
from pypcp.wire.result import Result
from running import Starter
from waiting import until

pytestmark = pytest.mark.anyio
MOST = 16_000
SINK = DOMAIN << 22
EACH = [NUMAGENTS, SINK | 1, SINK | 100, SINK | 6, 400 << 22, SINK | 999]
EVERYTHING = [EACH[place % len(EACH)] for place in range(MOST)]


async def test_the_longest_fetch_is_answered_as_many_short_ones_are(start: Starter) -> None:
    async with start(own=[kitchen_sink()]) as running, RawClient(running.path) as client:
        await client.greeted()
        short, long = await client.answer(fetch(*EACH)), await client.answer(fetch(*EVERYTHING))
        assert isinstance(short, Result)
        assert isinstance(long, Result)
        expected = [repr(each) for each in short.value_sets]
        assert [repr(each) for each in long.value_sets] == [expected[place % len(EACH)] for place in range(MOST)]
        assert len(running.daemon.clients) == 1


@pytest.mark.parametrize(
    ("request_", "answered"),
    [
        (fetch(*EVERYTHING), lambda reply: isinstance(reply, Result) and len(reply.value_sets) == MOST),
        (encode(DescIds(EVERYTHING)), lambda reply: isinstance(reply, Descs) and len(reply.descs) == MOST),
        (
            encode(PmnsNames(["pmcd.pid", "a"] * 2500)),
            lambda reply: isinstance(reply, PmnsIds) and reply.status == 2500,
        ),
    ],
    ids=["fetch", "descriptors", "names"],
)
async def test_others_are_answered_in_the_middle_of_a_long_request(
    start: Starter, request_: bytes, answered: object
) -> None:
    assert callable(answered)
    async with start(own=[kitchen_sink()]) as running, beside(running) as honest, RawClient(running.path) as client:
        await client.greeted()
        await honest.is_answered()
        before = honest.answered
        assert answered(await client.answer(request_))
        assert honest.answered - before > 2


async def test_others_are_answered_while_one_sends_a_thousand_requests_at_once(start: Starter) -> None:
    async with start(turn_s=0.0001) as running, beside(running) as honest, RawClient(running.path) as client:
        await client.greeted()
        await honest.is_answered()
        before = honest.answered
        sending = asyncio.create_task(client.send(fetch(NUMAGENTS) * 1000))
        for _ in range(1000):
            assert await client.receive()
        await sending
        assert honest.answered - before > 2


async def test_many_who_ask_for_much_wait_for_each_other_not_the_others_for_them(start: Starter) -> None:
    async with start(own=[kitchen_sink()]) as running, beside(running) as honest, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient(running.path)) for _ in range(10)]
        for client in clients:
            await client.greeted()
        before = honest.answered
        replies = await asyncio.gather(*[client.answer(fetch(*EVERYTHING[:2000])) for client in clients])
        assert all(isinstance(reply, Result) for reply in replies)
        assert honest.answered - before > 2


async def test_the_whole_name_space_does_not_wait_for_what_nobody_has_a_use_for(start: Starter) -> None:
    async with start(own=[kitchen_sink()]) as running, RawClient(running.path) as client:
        await client.greeted()
        async with running.daemon.turns.room_for(MOST):
            assert isinstance(await client.answer(fetch(*EVERYTHING[:4000])), Result)


async def test_many_who_ask_for_the_same_long_list_each_get_all_of_it(start: Starter) -> None:
    async with start(own=[kitchen_sink()]) as running, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient(running.path)) for _ in range(6)]
        for client in clients:
            await client.greeted()
        replies = await asyncio.gather(*[client.answer(fetch(*EVERYTHING[:1200])) for client in clients])
        values = {repr(reply.value_sets) for reply in replies if isinstance(reply, Result)}
        assert len(values) == 1


async def test_who_goes_in_the_middle_of_his_long_request_leaves_nothing(start: Starter) -> None:
    async with start(own=[kitchen_sink()]) as running, beside(running) as honest:
        for _ in range(5):
            async with RawClient(running.path) as client:
                await client.greeted()
                await client.send(fetch(*EVERYTHING))
                await until(lambda: running.daemon.turns.room_for(MOST).locked())
        await until(lambda: len(running.daemon.clients) == 1)
        await honest.is_answered()
        assert not running.daemon.turns.room_for(MOST).locked()


async def test_requests_in_advance_are_not_read_while_one_is_waited_for(start: Starter) -> None:
    async with start({100: "hang"}, agent_s=3600.0) as running, RawClient(running.path) as client:
        await client.greeted()
        await client.send(fetch(100 << 22))
        (connection,) = running.daemon.clients
        await until(lambda: connection._task is not None)
        assert await client.send_until_stuck(fetch(NUMAGENTS) * 100, lambda: not connection._reading)
        more = b"the kernel's buffers are full when this goes out no more" * 1000
        times = iter(range(100))
        await client.send_until_stuck(more, lambda: next(times, None) is None)
        assert sum(map(len, connection._queue)) + connection._frames.pending <= 512 << 10


async def test_fetch_lists_take_no_more_memory_than_they_may(start: Starter) -> None:
    """Under many profiles, in many orders: what was worked out for them is dropped, the oldest first."""
    limit = 4 << 20
    async with start(own=[kitchen_sink()], plan_cache_bytes=limit) as running, RawClient(running.path) as client:
        await client.greeted()
        plans = running.daemon.plans
        for instance in range(20):
            chosen = Profile(True, {SINK | 1: InDomProfile(True, frozenset([instance]))})
            await client.send(ProfilePdu(0, chosen))
            assert isinstance(await client.answer(fetch(*EVERYTHING[instance : instance + 500])), Result)
            assert isinstance(await client.answer(fetch(*EVERYTHING[:500])), Result)
            assert plans.held_bytes <= limit
        assert plans.held_bytes > limit / 2


async def test_one_list_above_the_limit_is_answered_and_is_all_there_is(start: Starter) -> None:
    async with start(own=[kitchen_sink()], plan_cache_bytes=1000) as running, RawClient(running.path) as client:
        await client.greeted()
        assert isinstance(await client.answer(fetch(*EVERYTHING[:500])), Result)
        assert isinstance(await client.answer(fetch(*EVERYTHING[:400])), Result)
        held = running.daemon.plans.held_bytes
        assert isinstance(await client.answer(fetch(*EVERYTHING[:400])), Result)
        assert running.daemon.plans.held_bytes == held


async def test_a_client_keeps_nothing_of_a_list_that_was_dropped(start: Starter) -> None:
    async with start(own=[kitchen_sink()], plan_cache_bytes=1000) as running, RawClient(running.path) as client:
        await client.greeted()
        (connection,) = running.daemon.clients
        for count in (10, 20, 30):
            assert isinstance(await client.answer(fetch(*EVERYTHING[:count])), Result)
        assert [view() is not None for view in connection._fetches.memo.values()] == [False, False, True]
