"""Clients of PCP 1, which send no credentials. There are none left to be had: what holds is written in __pmAddIPC(3)
and in what PCP 2.7 did, not shown by a real peer."""

import pytest

from fakes.client import RawClient, fetch
from honest import NUMAGENTS, beside
from interop.test_secure_daemon import SecureDaemon
from pypcp.errors import NoAgent, PermissionDenied, ProtocolError, TryAgain, to_v1
from pypcp.model.ids import Pmid
from pypcp.model.profile import EVERYTHING
from pypcp.model.values import ValueFormat, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.instance import InstanceRequest
from pypcp.wire.label import LabelRequest
from pypcp.wire.pdu import Pdu, StateChange
from pypcp.wire.pmns import PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.text import TextRequest
from pypcp.wire.versions import PDU_VERSION1
from running import Running, Starter

pytestmark = pytest.mark.anyio
CLOSED = None
PROFILE = ProfilePdu(0, EVERYTHING)
FLOAT, TEXT = Pmid.build(100, 0, 0), Pmid.build(100, 0, 1)
FETCH = fetch(NUMAGENTS, highres=False)


def things() -> Agent:
    agent = Agent("things", 100)

    def store(value: object, instance: int, client: Client) -> None:
        raise AssertionError("version 1 stores nothing")

    agent.cluster(0).metric("things.float", 0, ValueType.FLOAT, lambda _: 1.5, store=store)
    agent.cluster(0).metric("things.text", 1, ValueType.STRING, lambda _: "text")
    return agent


async def opened(running: Running, client: RawClient) -> RawClient:
    await client.receive()
    await client.send(PROFILE)
    return client


async def test_a_first_request_without_credentials_is_answered(start: Starter) -> None:
    async with start() as running, beside(running), RawClient(running.path) as client:
        await client.receive()
        assert isinstance(await client.answer(DescRequest(NUMAGENTS)), DescReply)
        assert [each.channel.version for each in running.daemon.clients].count(PDU_VERSION1) == 1


async def test_errors_are_in_the_numbers_of_version_1(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await opened(running, client)
        assert await client.code(DescRequest(0xFFFFFFFF)) == to_v1(-12358) == -1013
        result = await client.answer(fetch(400 << 22, highres=False))
        assert isinstance(result, Result)
        error = result.value_sets[0].error
        assert error is not None
        assert error.code == to_v1(NoAgent.code)


async def test_a_float_is_in_its_place_and_blocks_do_not_say_their_type(start: Starter) -> None:
    async with start(own=[things()]) as running, RawClient(running.path) as client:
        await opened(running, client)
        result = await client.answer(fetch(FLOAT, TEXT, highres=False))
        assert isinstance(result, Result)
        in_place, block = result.value_sets
        assert (in_place.format, in_place.values) == (ValueFormat.INSITU, [0x3FC00000])
        assert (block.type, block.values) == (None, [b"text\0"])


async def test_state_changes_are_not_told(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await opened(running, client)
        running.daemon.announce(StateChange.ADD_AGENT)
        assert isinstance(await client.answer(FETCH), Result)


@pytest.mark.parametrize(
    "request_", [Result(0, []), fetch(FLOAT).replace(b"\x00\x00\x70\x14", b"\x00\x00\x70\x01")], ids=["nothing", "junk"]
)
async def test_nothing_is_ever_stored(start: Starter, request_: Pdu | bytes) -> None:
    async with start(own=[things()]) as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.code(request_) == to_v1(PermissionDenied.code)


@pytest.mark.parametrize(
    "request_",
    [fetch(NUMAGENTS), PmnsNames(["pmcd.pid"]), PmnsTraverse(""), LabelRequest(0xFFFFFFFF, 1), Creds()],
    ids=["high resolution", "names", "traverse", "labels", "credentials"],
)
async def test_what_version_1_does_not_have_is_refused(start: Starter, request_: Pdu | bytes) -> None:
    async with start() as running, RawClient(running.path) as client:
        await opened(running, client)
        assert await client.code(request_) == to_v1(ProtocolError.code) == -1021
        assert isinstance(await client.answer(FETCH), Result)


@pytest.mark.parametrize(
    "request_",
    [fetch(NUMAGENTS), PmnsNames(["pmcd.pid"]), PmnsTraverse(""), LabelRequest(0xFFFFFFFF, 1), Error(0)],
    ids=["high resolution", "names", "traverse", "labels", "an error"],
)
async def test_a_first_request_that_version_1_does_not_have_is_none_of_it(
    start: Starter, request_: Pdu | bytes
) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.answer(request_) is CLOSED


@pytest.mark.parametrize(
    "request_",
    [PROFILE, FETCH, DescRequest(NUMAGENTS), InstanceRequest(1), TextRequest(1, 5), Result(0, [])],
    ids=["profile", "fetch", "descriptor", "instances", "text", "store"],
)
@pytest.mark.parametrize(
    "access",
    ["[access]\ndisallow user nobody : all;\n", "[access]\nallow group root : fetch;\n"],
    ids=["user", "group"],
)
async def test_it_is_no_way_round_a_rule_for_users(start: Starter, request_: Pdu | bytes, access: str) -> None:
    async with start(access=access) as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.answer(request_) is CLOSED


@pytest.mark.parametrize("required", ["-S", "-Q"], ids=["credentials", "certificates"])
async def test_it_is_no_way_round_what_every_client_has_to_show(required: str, loop_name: str) -> None:
    with SecureDaemon(required, loop=loop_name) as daemon:
        for where in (daemon.socket, daemon.port):
            for request in (PROFILE, FETCH, DescRequest(NUMAGENTS)):
                async with RawClient(where) as client:
                    await client.receive()
                    assert await client.answer(request) is CLOSED


async def test_an_agent_that_is_not_ready_is_to_be_asked_again(start: Starter) -> None:
    async with start({100: "unready 60"}) as running, RawClient(running.path) as client:
        await opened(running, client)
        for _ in range(2):
            result = await client.answer(fetch(FLOAT, highres=False))
            assert isinstance(result, Result)
            error = result.value_sets[0].error
            assert error is not None
            assert error.code == to_v1(TryAgain.code) == -1044


async def test_old_and_new_clients_do_not_mix(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as old, RawClient(running.path) as new:
        await opened(running, old)
        await new.greeted()
        assert await new.code(DescRequest(0xFFFFFFFF)) == -12358
        assert await old.code(DescRequest(0xFFFFFFFF)) == -1013
        assert await new.code(DescRequest(0xFFFFFFFF)) == -12358
