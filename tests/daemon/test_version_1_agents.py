"""Agents of PCP 1, whose line says ``version1``. There are none left to be had: what holds is written in __pmAddIPC(3)
and in what PCP 2.7 did, not shown by a real peer. tests/fakes/version_1_agent.py puts its bytes together by hand."""

import asyncio
import os
import signal
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.client import RawClient, fetch
from pypcp.errors import (
    ConversionError,
    NoAgent,
    NoText,
    OsError,
    PermissionDenied,
    ProtocolError,
    RequestTimeout,
    TooBig,
    TryAgain,
    UnknownName,
    UnknownPmid,
)
from pypcp.model.ids import Pmid
from pypcp.model.labels import LabelType
from pypcp.model.values import ValueFormat, ValueSet, ValueType
from pypcp.pmapi.context import Context
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import PduType, StateChange
from pypcp.wire.result import Result
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
OLD, GOOD = 101, 100
GOOD_VALUE = Pmid.build(GOOD, 0, 0)
FLOAT, I32, STRING, U64, DOUBLE, IPC, ENOENT, FLOATS, NONE, AGGREGATE, MISFIT, I64, UNKNOWN = (
    Pmid.build(OLD, 0, item) for item in range(13)
)
VERSION_1 = {PduType.PROFILE, PduType.FETCH, PduType.DESC_REQ, PduType.INSTANCE_REQ, PduType.TEXT_REQ, PduType.RESULT}


def agent(running: Running, domain: int = OLD) -> AgentKeeper:
    route = running.daemon.router.routes[domain]
    assert isinstance(route, AgentKeeper)
    return route


async def fetched(client: Context, *pmids: int) -> list[object]:
    """Each metric's values, or the class of its error."""
    result = await client.fetch(pmids)
    return [type(each.error) if each.error else list(each.values) for each in result.value_sets]


def seen(directory: Path, type_: PduType | None = None) -> list[tuple[int, bytes]]:
    """What the agent was sent: types and bodies."""
    lines = [line.partition(" ") for line in (directory / "seen").read_text().splitlines()]
    every = [(int(kind, 16), bytes.fromhex(body)) for kind, _, body in lines]
    return [each for each in every if type_ is None or each[0] == type_]


async def test_values_have_the_types_of_their_descriptors(start: Starter) -> None:
    async with start(version_1={OLD: "well"}) as running, running.client() as client:
        assert await fetched(client, FLOAT, I32, STRING, U64, DOUBLE, FLOATS, NONE, AGGREGATE, I64) == [
            [1.5],
            [-7],
            ["of old"],
            [2**63 + 1],
            [-0.1],
            [0.5, -2.25],
            [],
            [b"\x00\x01\x02"],
            [-(2**40)],
        ]
        assert await client.instances(OLD << 22) == {1: "one", 2: "two"}
        assert (await client.lookup_desc(U64)).type is ValueType.U64
        with pytest.raises(NoText):
            await client.lookup_text(FLOAT)


@pytest.mark.parametrize("highres", [False, True])
async def test_clients_of_today_get_floats_in_blocks_and_blocks_that_say_their_type(
    start: Starter, highres: bool
) -> None:
    async with start(version_1={OLD: "well"}) as running, RawClient(running.path) as client:
        await client.greeted()
        result = await client.answer(fetch(FLOAT, I32, STRING, FLOATS, highres=highres))
        assert isinstance(result, Result)
        assert result.value_sets == [
            ValueSet(FLOAT, [-1], [1.5], type=ValueType.FLOAT),
            ValueSet(I32, [-1], [2**32 - 7], format=ValueFormat.INSITU),
            ValueSet(STRING, [-1], ["of old"], type=ValueType.STRING),
            ValueSet(FLOATS, [1, 2], [0.5, -2.25], type=ValueType.FLOAT),
        ]


async def test_errors_are_in_the_numbers_of_today(start: Starter) -> None:
    async with start(version_1={OLD: "well"}) as running, RawClient(running.path) as client:
        await client.greeted()
        result = await client.answer(fetch(IPC, ENOENT, UNKNOWN))
        assert isinstance(result, Result)
        errors = [each.error for each in result.value_sets]
        assert [error and error.code for error in errors] == [ProtocolError.code, -2, UnknownPmid.code]
        assert ProtocolError.code == -12366
        assert isinstance(errors[1], OsError)


async def test_a_metric_whose_values_cannot_be_of_its_type_fails_alone(start: Starter) -> None:
    async with start(version_1={OLD: "well"}) as running, running.client() as client:
        assert await fetched(client, FLOAT, MISFIT, FLOAT) == [[1.5], ConversionError, [1.5]]
        assert agent(running).statistics.restarts == 0


async def test_the_time_of_a_result_says_nothing_of_changes(start: Starter) -> None:
    async with start(version_1={OLD: "well"}) as running, running.client() as client:
        await client.fetch([FLOAT])
        assert (await client.fetch([FLOAT])).changes == StateChange.NO_CHANGE


async def test_a_descriptor_is_asked_for_once_in_a_life(start: Starter, tmp_path: Path) -> None:
    async with start(version_1={OLD: "well"}) as running, running.client() as client, running.client() as other:
        await asyncio.gather(fetched(client, FLOAT, I32, FLOAT), fetched(other, I32, FLOAT))
        await fetched(client, I32, FLOAT)
        asked = [struct.pack(">I", FLOAT), struct.pack(">I", I32)]
        assert sorted([body for _, body in seen(tmp_path, PduType.DESC_REQ)]) == asked
        before = agent(running).pid
        os.kill(before, signal.SIGKILL)
        await until(lambda: agent(running).pid not in (0, before) and agent(running).refusal is None)
        assert await fetched(client, FLOAT) == [[1.5]]
        assert [body for _, body in seen(tmp_path, PduType.DESC_REQ)][2:] == asked[:1]


async def test_a_fetch_that_lacks_many_descriptors_is_told_to_try_again_until_they_are_known(
    start: Starter, tmp_path: Path
) -> None:
    many = [Pmid.build(OLD, 7, item) for item in range(600)]
    async with start(version_1={OLD: "well"}) as running, running.client() as client:
        assert await fetched(client, FLOAT, *many) == [TryAgain] * 601
        await until(lambda: not running.is_busy(OLD))
        assert len(seen(tmp_path, PduType.DESC_REQ)) == 250
        assert await fetched(client, FLOAT) == [[1.5]]


async def test_it_is_sent_nothing_that_version_1_does_not_have(start: Starter, tmp_path: Path) -> None:
    async with start(version_1={OLD: "well"}) as running:
        async with running.client() as client:
            assert await client.lookup_name("fake101.value") == FLOAT
            assert await client.names_of(FLOAT) == ["fake101.value"]
            assert await client.traverse("fake101") == ["fake101.value"]
            for name in ("fake101.more.one", "fake101.more"):
                with pytest.raises(UnknownName):
                    await client.lookup_name(name)
            with pytest.raises(UnknownName):
                await client.children("fake101.more")
            with pytest.raises(UnknownPmid):
                await client.names_of(I32)
            await client.metric_labels(await client.lookup_desc(FLOAT))
            await client.lookup_descs([FLOAT, I32])
            await client.instances(OLD << 22)
            with pytest.raises(NoText):
                await client.lookup_text(FLOAT)
            await client.store([ValueSet.singular(FLOAT, 2.0, ValueType.FLOAT)])
            assert await fetched(client, FLOAT) == [[2.0]]
        await until(lambda: not running.daemon.clients)
        async with running.client() as client:
            assert await fetched(client, FLOAT) == [[2.0]]
        assert {type_ for type_, _ in seen(tmp_path)} == VERSION_1  # not even an ERROR, which tells of a client's end


async def test_it_has_no_labels(start: Starter) -> None:
    async with start(version_1={OLD: "well"}) as running, RawClient(running.path) as client:
        await client.greeted()
        reply = await client.answer(LabelRequest(OLD, LabelType.DOMAIN))
        assert isinstance(reply, LabelReply)
        assert list(reply.sets) == []


# Storing.


@pytest.mark.parametrize(
    ("pmid", "type_", "value", "body"),
    [
        (FLOAT, ValueType.FLOAT, -2.5, "00000000 ffffffff c0200000"),
        (U64, ValueType.U64, 2**40, "00000001 ffffffff 0000000b 0000000c 0000010000000000"),
        (DOUBLE, ValueType.DOUBLE, 0.5, "00000001 ffffffff 0000000b 0000000c 3fe0000000000000"),
        (STRING, ValueType.STRING, "new", "00000001 ffffffff 0000000b 00000008 6e657700"),
    ],
    ids=["float", "u64", "double", "string"],
)
async def test_a_store_goes_out_as_version_1_has_it_and_the_value_comes_back(
    start: Starter, tmp_path: Path, pmid: Pmid, type_: ValueType, value: float | str, body: str
) -> None:
    async with start(version_1={OLD: "well"}) as running, running.client() as client:
        await client.store([ValueSet.singular(pmid, value, type_)])
        ((_, stored),) = seen(tmp_path, PduType.RESULT)
        head = struct.pack(">iiiIi", 0, 0, 1, pmid, 1)
        assert stored == head + bytes.fromhex(body)
        assert await fetched(client, pmid) == [[value]]


async def test_a_refused_store_is_refused_in_the_numbers_of_today(start: Starter) -> None:
    async with start(version_1={OLD: "well"}) as running, RawClient(running.path) as client:
        await client.greeted()
        store = Result(0, [ValueSet.singular(I32, -1, ValueType.I32)])
        assert await client.code(store) == PermissionDenied.code == -12387


@pytest.mark.parametrize(
    "store",
    [
        ValueSet.singular(DOUBLE, 7, ValueType.U64),
        ValueSet.singular(FLOAT, "1.5", ValueType.STRING),
        ValueSet(DOUBLE, [-1], [b"1234"]),
    ],
    ids=["number", "text", "untyped"],
)
async def test_what_is_not_of_the_metrics_type_is_not_stored(start: Starter, tmp_path: Path, store: ValueSet) -> None:
    async with start(version_1={OLD: "well"}) as running, RawClient(running.path) as client:
        await client.greeted()
        assert await client.code(Result(0, [store])) in (ConversionError.code, ProtocolError.code)
        assert seen(tmp_path, PduType.RESULT) == []
        assert isinstance(await client.answer(fetch(DOUBLE)), Result)
        assert agent(running).statistics.restarts == 0


# Trouble.


async def test_an_error_for_the_whole_fetch_is_each_metrics(start: Starter) -> None:
    async with start(version_1={OLD: "refuse"}) as running, running.client() as client:
        assert await fetched(client, FLOAT, I32) == [PermissionDenied, PermissionDenied]
        assert agent(running).statistics.restarts == 0


async def test_not_ready_is_to_try_again_and_ready_ends_it(start: Starter) -> None:
    async with start(version_1={OLD: "unready"}) as running, running.client() as client:
        assert await fetched(client, FLOAT) == [TryAgain]
        await until(lambda: agent(running).refusal is None)
        assert await fetched(client, FLOAT) == [[1.5]]
        assert agent(running).statistics.restarts == 0


@pytest.mark.parametrize("words", ["notready", "NotReady version1"])
async def test_one_that_starts_not_ready_is_asked_when_it_says_so(start: Starter, words: str) -> None:
    async with start(version_1={OLD: f"{words} becomes_ready"}) as running, running.client() as client:
        await until(lambda: agent(running).refusal is None)
        assert await fetched(client, FLOAT) == [[1.5]]


async def test_one_that_never_says_it_is_ready_is_not_asked(start: Starter) -> None:
    async with start(version_1={OLD: "notready well"}) as running, running.client() as client:
        assert await fetched(client, FLOAT) == [TryAgain]


@pytest.mark.parametrize(
    "behaviour",
    ["short", "long", "cut", "half_a_double", "garbage", "impossible_code", "bad_descriptor", "ipc", "die"],
)
async def test_what_is_broken_ends_the_agent_alone(start: Starter, behaviour: str) -> None:
    async with start({GOOD: "well"}, version_1={OLD: behaviour}) as running, running.client() as client:
        first, second, third = await fetched(client, GOOD_VALUE, FLOAT, DOUBLE)
        assert first == [1]
        assert second is third
        assert second in (ProtocolError, NoAgent)
        await until(lambda: agent(running).statistics.restarts == 1)
        assert await fetched(client, GOOD_VALUE) == [[2]]
        assert agent(running, GOOD).statistics.restarts == 0


async def test_credentials_show_that_it_is_not_of_version_1(start: Starter) -> None:
    async with start(version_1={OLD: "credentials"}) as running, running.client() as client:
        await until(lambda: agent(running).statistics.restarts)
        assert await fetched(client, FLOAT) in ([NoAgent], [ProtocolError])


async def test_an_agent_of_today_does_not_become_one_of_version_1_by_its_credentials(start: Starter) -> None:
    async with start({GOOD: "claims_version_1"}) as running, running.client() as client:
        assert await fetched(client, GOOD_VALUE) == [[1]]
        assert agent(running, GOOD)._stream.channel.version == PDU_VERSION2  # type: ignore[union-attr]


@pytest.mark.parametrize("behaviour", ["silent", "hang"])
async def test_one_that_does_not_answer_is_ended(start: Starter, behaviour: str) -> None:
    async with (
        start({GOOD: "well"}, version_1={OLD: behaviour}, agent_s=3.0, agent_soft_s=1.5) as running,
        running.client() as client,
    ):
        assert await fetched(client, GOOD_VALUE, FLOAT) == [[1], TryAgain]
        await until(lambda: agent(running).statistics.restarts == 1)
        assert await fetched(client, GOOD_VALUE) == [[2]]


async def test_an_only_agent_that_does_not_answer_a_fetch_is_a_timeout(start: Starter) -> None:
    async with start(version_1={OLD: "hang"}) as running, running.client() as client:
        await client.lookup_desc(FLOAT)  # so that nothing else than the fetch is in need of an answer
        running.daemon.limits = replace(running.daemon.limits, agent_s=0.1)
        assert await fetched(client, FLOAT) == [RequestTimeout]


async def test_a_result_too_long_to_be_translated_in_one_go_is_refused(start: Starter) -> None:
    async with start(version_1={OLD: "much"}) as running, running.client() as client:
        assert await fetched(client, FLOAT) == [TooBig]
        assert agent(running).statistics.restarts == 0


# The table of channels.


async def test_agents_are_in_the_table_of_channels_for_as_long_as_they_live(start: Starter) -> None:
    async with start({GOOD: "well"}, version_1={OLD: "well"}, agent_restarts=False) as running:
        table = running.daemon.channels
        for domain, version in ((OLD, PDU_VERSION1), (GOOD, PDU_VERSION2)):
            keeper = agent(running, domain)
            channel = keeper._stream.channel  # type: ignore[union-attr]
            assert channel.fd is not None
            assert table.lookup_fd(channel.fd) is channel
            assert table.version(channel.fd) == version
            os.kill(keeper.pid, signal.SIGKILL)
            await until(lambda keeper=keeper: keeper.refusal is NoAgent)  # type: ignore[misc]
            assert table.version(channel.fd) == 0
