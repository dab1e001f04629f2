"""Requests that wait together share one refresh of an agent in the daemon; what is a client's own is never shared."""

from collections.abc import Iterator

import pytest

from fakes.client import RawClient, fetch
from honest import NUMAGENTS
from pypcp.model.events import EventArray
from pypcp.model.ids import Pmid
from pypcp.model.profile import EVERYTHING
from pypcp.model.values import ValueType
from pypcp.pmda import U32
from pypcp.pmda.agent import Agent
from pypcp.pmda.events import EventMetrics, EventQueue
from pypcp.pmda.interface import Client
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.handshake import Creds
from pypcp.wire.pdu import Feature, decode
from pypcp.wire.result import Result
from running import Starter

pytestmark = pytest.mark.anyio
DOMAIN = 100
PROFILE = ProfilePdu(0, EVERYTHING)
SAMPLE, UID, CONTAINER = (Pmid.build(DOMAIN, 0, item) for item in range(3))
OTHER = Pmid.build(DOMAIN, 1, 0)
EVENTS = Pmid.build(DOMAIN, 2, 0)


def counting() -> Agent:
    """An agent whose samples are numbered; a metric's value is the number of its cluster's."""
    agent = Agent("counting", DOMAIN)
    numbers: Iterator[int] = iter(range(1, 1000))
    others: Iterator[int] = iter(range(1, 1000))

    def uid(sample: int, client: Client) -> int:
        return client.uid or 0

    def container(sample: int, client: Client) -> str:
        return client.container or ""

    cluster = agent.cluster(0, refresh=lambda: next(numbers))
    cluster.metric("counting.sample", 0, ValueType.U32, lambda sample: sample)
    cluster.metric("counting.uid", 1, ValueType.U32, uid, per_client=True)
    cluster.metric("counting.container", 2, ValueType.STRING, container, per_client=True)
    agent.cluster(1, refresh=lambda: next(others)).metric("counting.other", 0, ValueType.U32, lambda sample: sample)
    return agent


async def let_in(*clients: RawClient) -> None:
    """Greet, and see that the daemon has read all of it: what comes later comes alone."""
    for client in clients:
        await client.greeted()
        assert isinstance(await client.answer(fetch(NUMAGENTS)), Result)


async def together(requests: dict[RawClient, bytes]) -> list[list[object]]:
    """What each client's fetch brings, all sent before the daemon can look at any; values by metric."""
    for client, request in requests.items():
        assert client.socket.send(request) == len(request)
    results = [decode(await client.receive()) for client in requests]
    assert all(isinstance(result, Result) for result in results)
    return [[each.value for each in result.value_sets] for result in results if isinstance(result, Result)]


async def test_requests_that_wait_together_share_one_sample(start: Starter) -> None:
    async with (
        start(own=[counting()]) as running,
        RawClient(running.path) as one,
        RawClient(running.path) as other,
        RawClient(running.path) as third,
    ):
        await let_in(one, other, third)
        first = await together({one: fetch(SAMPLE), other: fetch(SAMPLE, highres=False), third: fetch(SAMPLE, OTHER)})
        assert first == [[1], [1], [1, 1]]
        assert await together({one: fetch(SAMPLE), other: fetch(SAMPLE)}) == [[2], [2]]


async def test_requests_one_after_the_other_each_have_a_sample_of_their_own(start: Starter) -> None:
    async with start(own=[counting()]) as running, RawClient(running.path) as one, RawClient(running.path) as other:
        await let_in(one, other)
        assert [await together({client: fetch(SAMPLE)}) for client in (one, other, one)] == [[[1]], [[2]], [[3]]]


async def test_a_long_fetch_has_one_sample_however_it_is_cut(start: Starter) -> None:
    async with start(own=[counting()]) as running, RawClient(running.path) as one, RawClient(running.path) as other:
        await let_in(one, other)
        [[*first]] = await together({one: fetch(*[SAMPLE] * 300)})
        [[*again]] = await together({one: fetch(*[SAMPLE] * 300)})
        assert (set(first), set(again)) == ({1}, {2})


async def test_a_sample_is_of_one_cluster(start: Starter) -> None:
    async with start(own=[counting()]) as running, RawClient(running.path) as one, RawClient(running.path) as other:
        await let_in(one, other)
        await together({one: fetch(SAMPLE)})
        assert await together({one: fetch(SAMPLE), other: fetch(OTHER)}) == [[2], [1]]


async def test_who_looks_into_a_container_shares_no_sample(start: Starter) -> None:
    async with start(own=[counting()]) as running, RawClient(running.path) as one, RawClient(running.path) as other:
        await let_in(one)
        await other.receive()
        named = Attribute(AttributeKey.CONTAINER, b"web01")
        first = await other.answer(Creds(flags=Feature.CONTAINER), named, PROFILE, fetch(CONTAINER, SAMPLE))
        assert isinstance(first, Result)
        assert [each.value for each in first.value_sets] == ["web01", 1]
        wanted = fetch(CONTAINER, SAMPLE)
        (here, sample), (inside, its_sample) = await together({one: wanted, other: wanted})
        assert (here, inside) == ("", "web01")
        assert {sample, its_sample} == {2, 3}


async def test_the_values_of_an_account_are_for_its_clients_only(start: Starter) -> None:
    async with start(own=[counting()]) as running, RawClient(running.path) as one, RawClient(running.path) as other:
        await let_in(one, other)
        for connection, uid in zip(running.daemon.clients, (1000, 1001), strict=True):
            connection.client.uid = uid
        for _ in range(3):
            assert [uid for uid, _ in await together({each: fetch(UID, SAMPLE) for each in (one, other)})] == [
                1000,
                1001,
            ]


async def test_each_client_has_its_own_events(start: Starter) -> None:
    agent = Agent("events", DOMAIN)
    events = EventMetrics(agent.cluster(2), "events", EventQueue(1 << 16), {"number": U32}, "Events", 0)
    async with start(own=[agent]) as running, RawClient(running.path) as one, RawClient(running.path) as other:
        await let_in(one, other)
        assert await together({one: fetch(EVENTS)}) == [[None]]
        events.push(number=7)
        assert numbers_in(await together({one: fetch(EVENTS), other: fetch(EVENTS)})) == [[7], []]
        events.push(number=8)
        assert numbers_in(await together({one: fetch(EVENTS), other: fetch(EVENTS)})) == [[8], [8]]
        assert numbers_in(await together({one: fetch(EVENTS), other: fetch(EVENTS)})) == [[], []]


def numbers_in(results: list[list[object]]) -> list[list[object]]:
    """The parameters of the events that each client got."""
    arrays = [value for (value,) in results]
    return [
        [parameter.value for record in array.records for parameter in record.parameters]
        if isinstance(array, EventArray)
        else []
        for array in arrays
    ]
