"""A client that is slow, silent or greedy with time costs itself, never anybody else."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Self

import pytest

from fakes.client import RawClient, fetch
from honest import NUMAGENTS, beside
from pypcp.model.ids import Pmid
from pypcp.model.values import ValueType
from pypcp.pmcd import patience
from pypcp.pmda.agent import Agent
from pypcp.wire.handshake import Creds
from pypcp.wire.pdu import Feature, encode
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
AN_HOUR = 3600.0

REQUEST = fetch(NUMAGENTS)
MUCH = Pmid.build(100, 0, 0)
MUCH_BYTES = 4 << 20


def an_agent_of_much() -> Agent:
    agent = Agent("much", MUCH.domain)
    agent.cluster(0).metric("much.text", 0, ValueType.STRING, lambda _: "x" * MUCH_BYTES)
    return agent


async def says(client: RawClient, *what: bytes) -> None:
    await client.receive()
    for each in what:
        await client.send(each)


async def greeted_then(client: RawClient, data: bytes) -> None:
    await (await client.greeted()).send(data)


def asking_for(flags: Feature) -> bytes:
    return encode(Creds(flags=flags))


GREETED: dict[str, Callable[[RawClient], Awaitable[object]]] = {
    "sends 6 bytes of a header": lambda client: greeted_then(client, REQUEST[:6]),
    "sends a header and 4 bytes": lambda client: greeted_then(client, REQUEST[:16]),
    "sends all but the last byte": lambda client: greeted_then(client, REQUEST[:-1]),
    "announces the largest PDU": lambda client: greeted_then(client, struct.pack(">iii", 65536, 0x7001, 0)),
}
STRANGE: dict[str, Callable[[RawClient], Awaitable[object]]] = {
    "connects and says nothing": lambda client: client.receive(),
    "connects and does not even read the challenge": lambda client: asyncio.sleep(0),
    "sends half its credentials": lambda client: says(client, encode(Creds())[:10]),
    "wants to prove who it is": lambda client: says(client, asking_for(Feature.AUTH)),
    "wants a container": lambda client: says(client, asking_for(Feature.CONTAINER)),
    "begins the name of a container": lambda client: says(
        client, asking_for(Feature.CONTAINER), struct.pack(">iiii", 21, 0x7011, 0, 15)
    ),
    "sends credentials without a version": lambda client: says(client, encode(Creds(version=0))),
}
SILENCES = GREETED | STRANGE
PATIENT = {"hello_s": AN_HOUR, "pdu_s": AN_HOUR}


@pytest.mark.parametrize("silence", SILENCES.values(), ids=SILENCES.keys())
async def test_nobody_waits_for_a_client_that(
    start: Starter, silence: Callable[[RawClient], Awaitable[object]]
) -> None:
    async with start(**PATIENT) as running, beside(running) as honest, RawClient(running.path) as client:
        await silence(client)
        await honest.is_answered()
        assert len(running.daemon.clients) == 2  # the silent one is still there: it was no timeout that helped


@pytest.mark.parametrize("silence", STRANGE.values(), ids=STRANGE.keys())
async def test_given_up_is_a_stranger_that(start: Starter, silence: Callable[[RawClient], Awaitable[object]]) -> None:
    async with start(hello_s=0.1, pdu_s=AN_HOUR) as running, RawClient(running.path) as client:
        await silence(client)
        assert await client.closed()
        await until(lambda: not running.daemon.clients)


@pytest.mark.parametrize("silence", GREETED.values(), ids=GREETED.keys())
async def test_given_up_is_a_client_that(start: Starter, silence: Callable[[RawClient], Awaitable[object]]) -> None:
    async with start(hello_s=AN_HOUR, pdu_s=0.1) as running, RawClient(running.path) as client:
        await silence(client)
        assert await client.closed()
        await until(lambda: not running.daemon.clients)


async def drip(client: RawClient, data: bytes) -> None:
    for at in range(len(data)):
        await client.send(data[at : at + 1])
        await asyncio.sleep(0.001)


async def test_a_request_in_single_bytes_is_answered_and_nobody_waits(start: Starter) -> None:
    async with start(**PATIENT) as running, beside(running) as honest, RawClient(running.path) as client:
        await client.greeted()
        dripping = asyncio.create_task(drip(client, REQUEST))
        await honest.is_answered()
        await dripping
        assert await client.receive()


async def test_single_bytes_buy_no_time(start: Starter) -> None:
    async with start(pdu_s=0.1) as running, RawClient(running.path) as client:
        await client.greeted()
        dripping = asyncio.create_task(drip(client, struct.pack(">iii", 65536, 0x7001, 0) + bytes(4096)))
        assert await client.closed()
        dripping.cancel()
        await asyncio.wait([dripping])


async def test_requests_that_overlap_buy_no_time_before_credentials(start: Starter) -> None:
    void = encode(Creds(version=0))
    async with start(hello_s=0.2, pdu_s=AN_HOUR) as running, RawClient(running.path) as client:
        await client.receive()
        await client.send(void[:5])

        async def overlap() -> None:
            while True:
                await client.send(void[5:] + void[:5])
                await asyncio.sleep(0.01)

        overlapping = asyncio.create_task(overlap())
        assert await client.closed()
        overlapping.cancel()
        await asyncio.wait([overlapping])


async def test_half_a_request_behind_unread_replies_is_not_waited_for_for_ever(start: Starter) -> None:
    small = {"write_buffer_bytes": 1024, "pdu_s": 0.1, "write_s": AN_HOUR}
    async with start(**small) as running, RawClient(running.path) as client:
        await client.greeted()
        await client.send_until_stuck(REQUEST, lambda: is_full(running))
        await client.send(REQUEST[:7])
        assert await client.closed()


def is_full(running: Running) -> bool:
    return any(connection._full for connection in running.daemon.clients)


async def test_a_client_that_reads_nothing_is_not_written_to_and_nobody_waits(start: Starter) -> None:
    async with start(write_s=AN_HOUR) as running, beside(running) as honest, RawClient(running.path) as client:
        await client.greeted()
        await client.send_until_stuck(REQUEST * 100, lambda: is_full(running))
        await honest.is_answered()
        (stuck,) = [each for each in running.daemon.clients if each._full]
        assert stuck._transport.get_write_buffer_size() < 2 * running.daemon.limits.write_buffer_bytes


async def test_a_client_that_reads_nothing_is_given_up(start: Starter) -> None:
    async with start(write_s=0.1) as running, RawClient(running.path) as client:
        await client.greeted()
        await client.send_until_stuck(REQUEST * 100, lambda: not running.daemon.clients)
        await until(lambda: not running.daemon.clients)


async def test_a_client_that_reads_slowly_is_served_to_the_end(start: Starter) -> None:
    wanted = 3000
    async with start(write_buffer_bytes=4096, write_s=AN_HOUR) as running, RawClient(running.path) as client:
        await client.greeted()
        sending = asyncio.create_task(client.send(REQUEST * wanted))
        for _ in range(wanted):
            assert await client.receive()
        await sending


class Clock:
    """The time of a connection's patience: it is over when the test says so."""

    def __init__(self) -> None:
        self.is_over: Callable[[], None] = lambda: None

    def get_running_loop(self) -> Self:
        return self

    def call_later(self, seconds: float, end: Callable[[], None]) -> Self:
        self.is_over = end
        return self

    def cancel(self) -> None:
        self.is_over = lambda: None


async def test_a_long_reply_over_a_slow_line_arrives(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(patience, "asyncio", clock)
    async with start(own=[an_agent_of_much()], write_buffer_bytes=1024) as running, RawClient(running.path) as client:
        await client.greeted()
        await client.send(fetch(MUCH))
        await until(lambda: is_full(running))
        (connection,) = running.daemon.clients
        for _ in range(3):
            unread = connection._transport.get_write_buffer_size()
            await client.take(600_000)
            await until(lambda unread=unread: connection._transport.get_write_buffer_size() <= unread - (64 << 10))
            before = clock.is_over
            clock.is_over()
            assert clock.is_over is not before, "it is waited for no longer"
        assert is_full(running)
        await client.take(MUCH_BYTES - 3 * 600_000)


async def test_reading_a_little_now_and_then_is_not_reading(start: Starter) -> None:
    slow = {"write_buffer_bytes": 1024, "write_s": 0.1}
    async with start(own=[an_agent_of_much()], **slow) as running, RawClient(running.path) as client:
        await client.greeted()
        await client.send(fetch(MUCH))
        await until(lambda: is_full(running))
        while running.daemon.clients:
            await asyncio.get_running_loop().sock_recv(client.socket, 100)
            await asyncio.sleep(0.01)
