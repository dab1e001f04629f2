"""What is worked out for clients takes no more memory than it may, whatever the replies come to."""

import gc
import random
import struct
import tracemalloc
import weakref

import pytest

from fakes.client import RawClient, fetch
from honest import NUMAGENTS
from pypcp.errors import TooBig, to_v1
from pypcp.model.ids import Pmid
from pypcp.model.profile import EVERYTHING, InDomProfile, Profile
from pypcp.model.values import ValueType
from pypcp.pmcd.plan import PlanCache
from pypcp.pmcd.router import LocalRoute, Router
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client
from pypcp.pmns.tree import Tree
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.result import Result
from running import Starter

pytestmark = pytest.mark.anyio
NUMBERS = 600
MUCH = Pmid.build(100, 0, 0)
MUCH_BYTES = 1 << 20
LIMIT = 8 << 20


def an_agent_of_much() -> Agent:
    agent = Agent("much", MUCH.domain)
    agent.cluster(0).metric("much.text", 0, ValueType.STRING, lambda _: "x" * MUCH_BYTES)
    return agent


async def test_long_replies_under_many_profiles_are_not_all_kept(start: Starter) -> None:
    async with start(own=[an_agent_of_much()], plan_cache_bytes=LIMIT) as running, RawClient(running.path) as client:
        await client.greeted()
        plans = running.daemon.plans
        for instance in range(10):
            chosen = Profile(True, {1: InDomProfile(True, frozenset([instance]))})
            await client.send(ProfilePdu(0, chosen))
            assert isinstance(await client.answer(fetch(MUCH)), Result)
        (plan,) = plans._plans.values()
        assert 1 <= sum([len(view._reply or b"".join(view._layout._parts)) for view in plan.views.values()]) <= LIMIT
        assert len(plan.views) <= LIMIT // MUCH_BYTES // 2


async def test_what_was_dropped_is_counted_no_more(start: Starter) -> None:
    async with start(own=[an_agent_of_much()], plan_cache_bytes=LIMIT) as running, RawClient(running.path) as client:
        await client.greeted()
        for _ in range(3):
            for more in range(8):
                assert isinstance(await client.answer(fetch(MUCH, *[NUMAGENTS] * more)), Result)
        plans = running.daemon.plans
        views = [view for plan in plans._plans.values() for view in plan.views.values()]
        assert plans.held_bytes == sum([view.held_bytes for view in views]) > MUCH_BYTES


async def test_a_client_that_asks_nothing_more_keeps_nothing_of_before_a_reload(start: Starter) -> None:
    async with start(own=[an_agent_of_much()]) as running, RawClient(running.path) as client:
        await client.greeted()
        assert isinstance(await client.answer(fetch(MUCH)), Result)
        (plan,) = running.daemon.plans._plans.values()
        view = weakref.ref(*plan.views.values())
        running.daemon._forget_plans()
        assert view() is None
        assert isinstance(await client.answer(fetch(MUCH)), Result)


@pytest.mark.parametrize("metrics", [1, 200])
async def test_what_is_in_use_when_a_reload_makes_it_void_answers_nobody_else(start: Starter, metrics: int) -> None:
    async with start(own=[an_agent_of_much()]) as running, RawClient(running.path) as client:
        await client.greeted()
        request = fetch(*[NUMAGENTS] * metrics)
        assert isinstance(await client.answer(request), Result)
        (plan,) = running.daemon.plans._plans.values()
        in_use = list(plan.views.values())
        running.daemon._forget_plans()
        assert isinstance(await client.answer(request), Result)
        (plan,) = running.daemon.plans._plans.values()
        assert in_use != list(plan.views.values())


async def test_nothing_of_what_an_agent_process_said_is_kept(start: Starter) -> None:
    async with start({100: "well"}, own=[]) as running, RawClient(running.path) as client:
        await client.greeted()
        for _ in range(2):
            assert isinstance(await client.answer(fetch(MUCH, NUMAGENTS)), Result)
        (plan,) = running.daemon.plans._plans.values()
        (view,) = plan.views.values()
        assert not view._layout._parts
        assert not view._layout._fills


async def test_a_long_reply_is_too_big_for_version_1(start: Starter) -> None:
    async with start(own=[an_agent_of_much()]) as running, RawClient(running.path) as client:
        await client.receive()
        await client.send(ProfilePdu(0, EVERYTHING))
        assert await client.code(fetch(MUCH, highres=False)) == to_v1(TooBig.code)
        assert isinstance(await client.answer(fetch(NUMAGENTS, highres=False)), Result)


@pytest.fixture
def numbers() -> LocalRoute:
    """The route to an agent of many numbers, every other of them with four instances."""
    agent = Agent("numbers", 101)
    indom = agent.indom(1, fixed={each: str(each) for each in range(4)})
    cluster = agent.cluster(0, refresh=lambda: 1)
    for item in range(0, NUMBERS, 2):
        type_ = random.Random(item).choice([ValueType.U32, ValueType.U64, ValueType.DOUBLE])
        cluster.metric(f"numbers.one{item}", item, type_, lambda one: one)
        cluster.metric(f"numbers.four{item}", item + 1, type_, lambda one: [one] * 4, indom=indom)
    return LocalRoute(agent)


@pytest.mark.parametrize(("metrics", "lists"), [(1, 400), (5, 200), (50, 40), (NUMBERS, 8)])
async def test_a_list_is_said_to_take_the_memory_that_it_does(numbers: LocalRoute, metrics: int, lists: int) -> None:
    plans = PlanCache(Router([numbers], Tree()), 1 << 26, 1 << 30)
    chance, client = random.Random(1), Client(0)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(lists):
            pmids = [Pmid.build(101, 0, item) for item in chance.sample(range(NUMBERS), metrics)]
            view = plans.view(struct.pack(f">{metrics}I", *pmids), True, EVERYTHING)
            for _ in range(3):  # at the second they are read together
                view.answer(client, None)
        took, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.7 < took / plans.held_bytes < 1.4
