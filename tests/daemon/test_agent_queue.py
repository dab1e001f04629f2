"""Everything for an agent process stands in one queue: requests with their profiles, stores, and what it is told."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from fakes.client import RawClient, fetch
from fakes.held_agent import WELL, Lead
from honest import NUMAGENTS, beside
from pypcp.errors import NoAgent, ProtocolError, TryAgain
from pypcp.model.ids import IN_NULL, InDom, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.profile import Profile
from pypcp.model.values import ValueSet, ValueType
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.desc import DescIds, DescReply, DescRequest, Descs
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import Feature, Pdu, decode
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.text import TextKind, TextReply, TextRequest
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
HELD, OTHER = 100, 101
CONTAINER = Pmid.build(2, 6, 2)
COUNT, NUMBERS = Pmid.build(HELD, 0, 0), Pmid.build(HELD, 0, 1)
INDOM = InDom.build(HELD, 1)
AN_HOUR = 3600.0
SOON_LATE = {"agent_soft_s": 0.1, "agent_s": AN_HOUR}


@pytest.fixture
def lead(tmp_path: Path) -> Iterator[Lead]:
    with Lead(tmp_path, HELD) as lead:
        yield lead


def only(*instances: int) -> Profile:
    """The profile of somebody who wants these numbers only."""
    return Profile(False).add(INDOM, instances)


async def values(client: RawClient) -> list[object]:
    """The values of the one metric in the next result."""
    result = decode(await client.receive())
    assert isinstance(result, Result), result
    return list(result.value_sets[0].values)


def nothing_came(client: RawClient) -> bool:
    try:
        return not client.socket.recv(1)
    except BlockingIOError:
        return True


# Profile and fetch are one item


async def test_clients_with_different_profiles_each_get_their_own_instances(start: Starter) -> None:
    async with (
        start({HELD: "profiled 0.003"}) as running,
        RawClient(running.path) as one,
        RawClient(running.path) as other,
    ):
        await one.greeted()
        await other.greeted()
        await one.send(ProfilePdu(0, only(1, 2)))
        await other.send(ProfilePdu(0, only(3)))
        for _ in range(25):
            await one.send(fetch(NUMBERS))
            await other.send(fetch(NUMBERS))
            assert await asyncio.gather(values(one), values(other)) == [[10, 20], [30]]


async def test_contexts_of_a_client_with_different_profiles_each_get_their_own_instances(start: Starter) -> None:
    async with start({HELD: "profiled 0.003"}) as running, RawClient(running.path) as client:
        await client.greeted()
        await client.send(ProfilePdu(1, only(4)), ProfilePdu(2, only(1)))
        for _ in range(10):
            await client.send(*[fetch(NUMBERS, context=context) for context in (1, 2, 0)])
            assert [await values(client) for _ in range(3)] == [[40], [10], [10, 20, 30, 40]]


async def test_a_profile_goes_out_right_before_its_fetch_however_long_that_waits(start: Starter, lead: Lead) -> None:
    async with start({HELD: "held"}, agent_s=AN_HOUR) as running, RawClient(running.path) as one:
        async with RawClient(running.path) as other:
            await one.greeted()
            await other.greeted()
            await one.send(ProfilePdu(0, only(1)), fetch(NUMBERS))
            await until(lambda: lead.seen("Fetch"))
            await other.send(ProfilePdu(0, only(2)), fetch(NUMBERS))
            await until(lambda: running.keeper(HELD).queued == 1)
            assert len(lead.seen("ProfilePdu", "Fetch")) == 2
            for client, wanted in ((one, 1), (other, 2), (one, 1)):
                lead.let()
                assert await values(client) == [10 * wanted]
                if wanted == 1:
                    await one.send(fetch(NUMBERS))
        assert lead.seen("ProfilePdu", "Fetch")[:6] == [
            *["ProfilePdu 0 1", "Fetch 0"],
            *["ProfilePdu 1 2", "Fetch 1"],
            *["ProfilePdu 0 1", "Fetch 0"],
        ]


# What an agent is told of clients


async def test_a_busy_agent_is_told_of_clients_in_the_order_of_what_happens(start: Starter, lead: Lead) -> None:
    async with start({HELD: "held"}, agent_s=AN_HOUR) as running, RawClient(running.path) as busy:
        await busy.greeted()
        await busy.send(fetch(COUNT))
        await until(lambda: lead.seen("Fetch"))
        before = len(lead.seen())
        async with RawClient(running.path) as short:
            await short.receive()
            named = Attribute(AttributeKey.CONTAINER, b"web01")
            await short.send(Creds(flags=Feature.CONTAINER), named)
            await until(lambda: running.keeper(HELD).queued == 4)
            await short.send(DescRequest(COUNT))
            await until(lambda: running.keeper(HELD).queued == 5)
            await busy.send(ProfilePdu(0, only(1)), fetch(NUMBERS))
        await until(lambda: running.keeper(HELD).queued == 6)
        assert len(lead.seen()) == before
        lead.let()
        assert await values(busy) == [1]
        # Who has gone wants no descriptor any more: its request is given up, what was told of it is not.
        await until(lambda: len(lead.seen()) == before + 7)
        keys = [AttributeKey.CONTAINER, AttributeKey.PROCESSID, AttributeKey.GROUPID, AttributeKey.USERID]
        assert lead.seen()[before:] == [
            *[f"Attribute 1 {int(key)}" for key in keys],
            "Error 1",
            *["ProfilePdu 0 1", "Fetch 0"],
        ]
        lead.let()
        assert await values(busy) == [10]


async def test_who_looks_into_one_container_after_the_other_has_one_place_for_it_in_the_queue(
    start: Starter, lead: Lead
) -> None:
    async with start({HELD: "held"}, agent_s=AN_HOUR) as running, AsyncExitStack() as stack:
        busy, *fickle = [await stack.enter_async_context(RawClient(running.path)) for _ in range(3)]
        for client in (busy, *fickle):
            await client.greeted()
            await client.answer(fetch(NUMAGENTS))
        await busy.send(fetch(COUNT))
        await until(lambda: lead.seen("Fetch"))
        before = len(lead.seen())
        for number in range(100):
            for at, client in enumerate(fickle):
                name = ValueSet(CONTAINER, [IN_NULL], [f"web{number}.{at}"], type=ValueType.STRING)
                assert await client.code(Result(0, [name])) == 0
        keys = [AttributeKey.CONTAINER, AttributeKey.PROCESSID, AttributeKey.GROUPID, AttributeKey.USERID]
        assert running.keeper(HELD).queued == 2 * len(keys)
        lead.let()
        assert await values(busy) == [1]
        await until(lambda: len(lead.seen()) == before + 2 * len(keys))
        assert sorted(lead.seen()[before:]) == sorted(f"Attribute {slot} {int(key)}" for slot in (1, 2) for key in keys)


async def test_a_slot_is_used_again_when_the_last_agent_knows_of_its_end(start: Starter, tmp_path: Path) -> None:
    with ExitStack() as stack:
        leads = [stack.enter_context(Lead(tmp_path, domain)) for domain in (HELD, OTHER)]
        agents = {HELD: "held", OTHER: "held"}
        async with start(agents, agent_s=AN_HOUR) as running:
            async with RawClient(running.path) as client:
                await client.greeted()
                await client.send(fetch(COUNT, Pmid.build(OTHER, 0, 0)))
                await until(lambda: all(lead.seen("Fetch") for lead in leads))
            await until(lambda: not running.daemon.clients)
            assert await slot_of_a_newcomer(running) == 1
            leads[0].let()
            await until(lambda: leads[0].seen("Error"))
            assert await slot_of_a_newcomer(running) != 0
            leads[1].let()
            await until(lambda: leads[1].seen("Error"))
            assert await slot_of_a_newcomer(running) == 0


async def slot_of_a_newcomer(running: Running) -> int:
    async with RawClient(running.path) as client:
        await client.greeted()
        assert isinstance(await client.answer(fetch(NUMAGENTS)), Result)
        (connection,) = running.daemon.clients
        slot = connection.client.context
    await until(lambda: not running.daemon.clients)
    return slot


# What waits, and for how long


ASKED: dict[str, tuple[Pdu, type[Pdu]]] = {
    "a descriptor": (DescRequest(COUNT), DescReply),
    "descriptors": (DescIds([COUNT, NUMAGENTS]), Descs),
    "instances": (InstanceRequest(INDOM), InstanceReply),
    "a text": (TextRequest(COUNT, TextKind.PMID | TextKind.ONELINE), TextReply),
    "labels": (LabelRequest(COUNT, LabelType.ITEM), LabelReply),
    "a name": (PmnsNames(["fake100.more.one"]), PmnsIds),
    "the names of a metric": (PmnsIds([Pmid.build(HELD, 1, 1)]), PmnsNames),
    "children": (PmnsChild("fake100.more", 1), PmnsNames),
    "a traverse": (PmnsTraverse("fake100.more"), PmnsNames),
    "a store": (Result(0, [ValueSet.singular(COUNT, 7, ValueType.U32)]), Error),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_waiting_beyond_the_soft_limit_is(start: Starter, lead: Lead, asked: tuple[Pdu, type[Pdu]]) -> None:
    request, answer = asked
    async with (
        start({HELD: "held"}, **SOON_LATE) as running,
        RawClient(running.path) as busy,
        RawClient(running.path) as client,
    ):
        await busy.greeted()
        await client.greeted()
        await busy.send(fetch(COUNT))
        await until(lambda: lead.seen("Fetch"))
        await client.send(request)
        await until(lambda: running.keeper(HELD).queued == 1)
        assert await soft_limit_passes(running) == TryAgain.code
        assert nothing_came(client)
        lead.let()
        await until(lambda: lead.seen(type(request).__name__.replace("DescIds", "DescRequest")))
        assert await soft_limit_passes(running) == TryAgain.code
        assert nothing_came(client)
        lead.let()
        reply = await client.answer()
        assert isinstance(reply, answer)
        assert not isinstance(reply, Error) or reply.code == 0
        lead.let(*[WELL] * 9)  # with nothing left to answer it ends at once


async def soft_limit_passes(running: Running) -> int | None:
    """What a fetch that another agent takes part in says of the held one: sent now, answered when it is late."""
    async with RawClient(running.path) as client:
        await client.greeted()
        result = await client.answer(fetch(COUNT, NUMAGENTS))
        assert isinstance(result, Result)
        error = result.value_sets[0].error
        return error.code if error is not None else None


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_ended_by_the_hard_limit_is_an_agent_that_does_not_answer(
    start: Starter, lead: Lead, asked: tuple[Pdu, type[Pdu]]
) -> None:
    request, _ = asked
    async with (
        start({HELD: "held"}, agent_s=0.2) as running,
        RawClient(running.path) as client,
        beside(running) as honest,
    ):
        await client.greeted()
        reply = await client.answer(request)
        if isinstance(reply, Descs):  # of several metrics one agent's trouble is not everybody's
            assert [desc is None for desc in reply.descs] == [True, False]
        else:
            assert reply == Error(ProtocolError.code)
        await honest.is_answered()
        await until(lambda: running.keeper(HELD).statistics.restarts == 1)


FOUR = (100, 101, 102, 103)
OF_ALL: dict[str, tuple[Pdu, list[object]]] = {
    "a traverse": (PmnsTraverse(""), [f"fake{each}.{leaf}" for each in FOUR for leaf in ("value", "more.one")]),
    "a name of each": (PmnsNames([f"fake{each}.more.one" for each in FOUR]), [Pmid.build(each, 1, 1) for each in FOUR]),
}


@pytest.mark.parametrize("asked", OF_ALL.values(), ids=OF_ALL.keys())
async def test_asked_of_all_agents_before_one_is_waited_for_is(
    start: Starter, tmp_path: Path, asked: tuple[Pdu, list[object]]
) -> None:
    """So four who are slow take as long as one, and four who hang cost one hard limit together."""
    request, expected = asked
    with ExitStack() as stack:
        leads = [stack.enter_context(Lead(tmp_path, each)) for each in FOUR]
        async with start(dict.fromkeys(FOUR, "held"), agent_s=AN_HOUR) as running, RawClient(running.path) as client:
            await client.greeted()
            await client.send(request)
            await until(lambda: all(lead.seen(type(request).__name__) for lead in leads))
            assert nothing_came(client)
            for lead in reversed(leads):
                lead.let()
            reply = await client.answer()
            assert isinstance(reply, PmnsNames | PmnsIds)
            found = reply.pmids if isinstance(reply, PmnsIds) else [n for n in reply.names if n.startswith("fake")]
            assert list(found) == expected


async def test_who_asks_for_thousands_of_names_has_one_place_in_the_queue_as_everybody_has(
    start: Starter, lead: Lead
) -> None:
    many, others = PmnsNames([f"fake{HELD}.more.a"] * 3000), 7
    of_each = 3 + 1  # what the agent is told of a client, and one request
    async with start({HELD: "held"}, agent_s=AN_HOUR) as running, AsyncExitStack() as stack:
        first, *greedy = [await stack.enter_async_context(RawClient(running.path)) for _ in range(1 + others)]
        client = await stack.enter_async_context(RawClient(running.path))
        await first.greeted()
        await first.send(many)
        await until(lambda: lead.seen("PmnsNames"))
        for each in greedy:
            await each.greeted()
            await each.send(many)
        await until(lambda: running.keeper(HELD).queued == others * of_each)
        await client.greeted()
        await client.send(fetch(COUNT))
        await until(lambda: running.keeper(HELD).queued == (others + 1) * of_each)
        lead.let(*[WELL] * (1 + others + 1))
        assert await values(client) == [1]
        assert running.keeper(HELD).statistics.restarts == 0


async def test_thousands_of_names_are_all_found(start: Starter, lead: Lead) -> None:
    async with start({HELD: "held"}, agent_s=AN_HOUR) as running, RawClient(running.path) as client:
        await client.greeted()
        lead.let(*[WELL] * 1000)
        found = await client.answer(PmnsNames([f"fake{HELD}.more.a", "pmcd.numagents"] * 1000))
        assert found == PmnsIds((Pmid.build(HELD, 1, 1), NUMAGENTS) * 1000, 2000)


async def test_agents_that_hang_cost_a_traverse_their_own_names_only(start: Starter, tmp_path: Path) -> None:
    agents = {HELD: "held", OTHER: "held", 102: "well"}
    with Lead(tmp_path, HELD), Lead(tmp_path, OTHER):
        async with start(agents, agent_s=AN_HOUR) as running, RawClient(running.path) as client:
            await client.greeted()
            for each in (HELD, OTHER):
                running.limit(each, 0.3)
            names = await client.answer(PmnsTraverse("", 0))
            assert isinstance(names, PmnsNames)
            dynamic = [name for name in names.names if ".more" in name]
            assert dynamic == ["fake102.more.one"]
            assert "fake100.value" in names.names


async def test_a_store_into_several_agents_is_not_given_up_softly(start: Starter, tmp_path: Path) -> None:
    """One of them has stored when another is late: that it is not known whether both have is the worse answer."""
    other = Pmid.build(OTHER, 0, 0)
    with Lead(tmp_path, HELD) as slow, Lead(tmp_path, OTHER) as quick:
        agents = {HELD: "held", OTHER: "held"}
        async with start(agents, **SOON_LATE) as running, RawClient(running.path) as client:
            await client.greeted()
            await client.send(Result(0, [ValueSet.singular(pmid, 7, ValueType.U32) for pmid in (COUNT, other)]))
            quick.let()
            await until(lambda: slow.seen("Result"))
            assert await soft_limit_passes(running) == TryAgain.code
            assert nothing_came(client)
            slow.let()
            assert await client.answer() == Error(0)
            assert quick.seen("Result") == ["Result 0"]


async def test_requests_in_advance_are_answered_in_order_over_a_slow_agent_and_a_quick_one(
    start: Starter, lead: Lead
) -> None:
    async with (
        start({HELD: "held"}, agent_s=AN_HOUR) as running,
        RawClient(running.path) as client,
        beside(running) as honest,
    ):
        await client.greeted()
        await client.send(
            *[fetch(COUNT), fetch(NUMAGENTS), DescRequest(NUMAGENTS), fetch(NUMAGENTS, COUNT)],
            *[DescRequest(COUNT), PmnsNames(["pmcd.numagents"]), fetch(COUNT), fetch(NUMAGENTS)],
        )
        await until(lambda: lead.seen("Fetch"))
        await honest.is_answered()
        assert nothing_came(client)
        for _ in range(4):
            lead.let()
        replies = [decode(await client.receive()) for _ in range(8)]
        asked_of = [[each.pmid for each in reply.value_sets] for reply in replies if isinstance(reply, Result)]
        assert asked_of == [[COUNT], [NUMAGENTS], [NUMAGENTS, COUNT], [COUNT], [NUMAGENTS]]
        assert [type(reply) for reply in replies[2:6:1]] == [DescReply, Result, DescReply, PmnsIds]
        assert [line.split()[0] for line in lead.seen("Fetch", "DescRequest")] == [
            *["Fetch", "Fetch", "DescRequest", "Fetch"]
        ]


async def test_an_agent_that_ends_fails_what_waits_for_it_and_nothing_else(start: Starter, lead: Lead) -> None:
    async with (
        start({HELD: "held"}, agent_s=0.5) as running,
        RawClient(running.path) as busy,
        RawClient(running.path) as waiting,
    ):
        await busy.greeted()
        await waiting.greeted()
        await busy.send(DescRequest(COUNT))
        await until(lambda: running.is_busy(HELD))
        await waiting.send(TextRequest(COUNT, TextKind.PMID | TextKind.ONELINE), fetch(NUMAGENTS))
        assert await busy.answer() == Error(ProtocolError.code)
        assert await waiting.answer() == Error(NoAgent.code)
        assert isinstance(decode(await waiting.receive()), Result)
