"""What clients are told that are not let in, ask too much, or were not told yet that something changed."""

import pytest

from fakes.client import RawClient, fetch
from fuzz.collector import DOMAIN, kitchen_sink
from honest import NUMAGENTS
from pypcp.errors import MissingProfile, PermissionDenied, TooBig
from pypcp.model.values import ValueFormat, ValueSet, ValueType
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.handshake import Challenge, Error
from pypcp.wire.pdu import StateChange, encode
from pypcp.wire.pmns import PmnsIds, PmnsNames
from pypcp.wire.result import Result
from running import Starter

pytestmark = pytest.mark.anyio
CLOSED = None
SINK = DOMAIN << 22
FAKE = 240 << 22
LIMIT = 65536


def names_of_size(size: int) -> bytes:
    """A look-up of two names, in a PDU of exactly this size."""
    room = size - len(encode(PmnsNames(["pmcd.pid", ""])))
    request = encode(PmnsNames(["pmcd.pid", "x" * room]))
    assert len(request) == size
    return request


async def test_a_host_that_is_not_allowed_is_told_in_the_challenge_and_closed(start: Starter) -> None:
    async with start(access='[access]\ndisallow "unix:" : all;\n') as running, RawClient(running.path) as client:
        challenge = await client.answer()
        assert isinstance(challenge, Challenge)
        assert (challenge.code, challenge.features) == (PermissionDenied.code, 0)
        assert await client.answer(DescRequest(NUMAGENTS)) is CLOSED
        assert not len(running.daemon.clients)


async def test_a_client_that_may_not_store_is_told_so_and_may_fetch(start: Starter) -> None:
    values = ValueSet(SINK | 1, [-1], [5], format=ValueFormat.INSITU)
    access = '[access]\ndisallow "unix:" : store;\n'
    async with start(own=[kitchen_sink()], access=access) as running, RawClient(running.path) as client:
        await client.greeted()
        assert await client.code(Result(0, [values])) == PermissionDenied.code
        assert isinstance(await client.answer(fetch(SINK | 1)), Result)


async def test_a_client_that_may_not_fetch_is_told_so_whatever_it_asks(start: Starter) -> None:
    async with start(access='[access]\ndisallow "unix:" : fetch;\n') as running, RawClient(running.path) as client:
        await client.receive()
        for request in (DescRequest(NUMAGENTS), fetch(NUMAGENTS), PmnsNames(["pmcd.pid"])):
            reply = await client.answer(bytes.fromhex("000000140000700c000000000000000101020000"), request)
            assert reply == Error(PermissionDenied.code)


@pytest.mark.parametrize("size", [LIMIT - 4, LIMIT])
async def test_a_pdu_of_the_limit_is_taken(start: Starter, size: int) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.greeted()
        assert isinstance(await client.answer(names_of_size(size)), PmnsIds)


async def test_a_pdu_above_the_limit_closes_before_it_is_there(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.greeted()
        assert await client.answer(names_of_size(LIMIT + 4)[:12]) is CLOSED


async def test_the_limit_can_be_another(start: Starter) -> None:
    async with start(pdu_bytes=1024) as running, RawClient(running.path) as client:
        await client.greeted()
        assert isinstance(await client.answer(names_of_size(1024)), PmnsIds)
        assert await client.answer(names_of_size(1028)) is CLOSED


async def test_more_metrics_than_may_be_are_too_big(start: Starter) -> None:
    async with start(metrics=10) as running, RawClient(running.path) as client:
        await client.greeted()
        assert isinstance(await client.answer(fetch(*[NUMAGENTS] * 10)), Result)
        assert await client.code(fetch(*[NUMAGENTS] * 11)) == TooBig.code


@pytest.mark.parametrize("count", [100, 1000], ids=["short", "long"])
async def test_a_reply_above_the_limit_is_too_big_and_nothing_else_is(start: Starter, count: int) -> None:
    async with start(own=[kitchen_sink()], reply_bytes=2000) as running, RawClient(running.path) as client:
        await client.greeted()
        assert await client.code(fetch(*[SINK | 106] * count)) == TooBig.code
        assert isinstance(await client.answer(fetch(SINK | 106)), Result)


async def test_an_agents_reply_above_the_limit_costs_its_own_metrics(start: Starter) -> None:
    async with start({240: "well"}, reply_bytes=200) as running, RawClient(running.path) as client:
        await client.greeted()
        result = await client.answer(fetch(NUMAGENTS, *[FAKE] * 10))
        assert isinstance(result, Result)
        of_pmcd, *of_the_agent = [each.error for each in result.value_sets]
        assert of_pmcd is None
        assert {type(each) for each in of_the_agent} == {TooBig}
        assert isinstance(await client.answer(fetch(FAKE)), Result)


async def test_changes_are_told_once_before_the_next_values_and_before_nothing_else(start: Starter) -> None:
    changes = StateChange.ADD_AGENT | StateChange.LABEL_CHANGE
    async with start(own=[kitchen_sink()]) as running, RawClient(running.path) as client:
        await client.greeted()
        running.daemon.announce(StateChange.ADD_AGENT)
        running.daemon.announce(StateChange.LABEL_CHANGE)
        assert isinstance(await client.answer(DescRequest(NUMAGENTS)), DescReply)
        assert await client.code(fetch(NUMAGENTS, context=3)) == MissingProfile.code
        assert await client.answer(fetch(NUMAGENTS)) == Error(changes)
        assert isinstance(await client.answer(), Result)
        assert isinstance(await client.answer(fetch(NUMAGENTS)), Result)


async def test_changes_are_kept_for_each_client_until_a_fetch_of_it_has_values(start: Starter) -> None:
    async with (
        start(own=[kitchen_sink()], reply_bytes=2000) as running,
        RawClient(running.path) as client,
        RawClient(running.path) as other,
    ):
        await client.greeted()
        await other.greeted()
        for each in (client, other):
            assert isinstance(await each.answer(fetch(SINK | 106)), Result)
        running.daemon.announce(StateChange.NAMES_CHANGE)
        assert await client.code(fetch(*[SINK | 106] * 100)) == TooBig.code
        assert await client.code(fetch(*[SINK | 106] * 1000)) == TooBig.code
        for each in (client, other):
            assert await each.answer(fetch(SINK | 106)) == Error(StateChange.NAMES_CHANGE)
            assert isinstance(await each.answer(), Result)
            assert isinstance(await each.answer(fetch(SINK | 106)), Result)


async def test_changes_are_told_before_a_long_answer_too(start: Starter) -> None:
    async with start(own=[kitchen_sink()]) as running, RawClient(running.path) as client:
        await client.greeted()
        running.daemon.announce(StateChange.NAMES_CHANGE)
        assert await client.answer(fetch(*[SINK | 1] * 1000)) == Error(StateChange.NAMES_CHANGE)
        assert isinstance(await client.answer(), Result)


async def test_those_who_come_later_are_told_of_no_change_before(start: Starter) -> None:
    async with start() as running:
        running.daemon.announce(StateChange.DROP_AGENT)
        async with RawClient(running.path) as client:
            await client.greeted()
            assert isinstance(await client.answer(fetch(NUMAGENTS)), Result)


@pytest.mark.parametrize("type_", [ValueType.STRING, ValueType.AGGREGATE])
async def test_what_was_stored_is_what_was_sent(start: Starter, type_: ValueType) -> None:
    value = "text" if type_ is ValueType.STRING else b"\0\1"
    item = 6 if type_ is ValueType.STRING else 7
    async with start(own=[kitchen_sink()]) as running, RawClient(running.path) as client:
        await client.greeted()
        assert await client.code(Result(0, [ValueSet.singular(SINK | item, value, type_)])) == 0
