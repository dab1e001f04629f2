"""Thousands of clients, or as many as there are descriptors: those that are in are served, the others are told."""

import asyncio
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from fakes.client import RawClient, fetch
from honest import NUMAGENTS, beside
from peers import OurDaemon, require
from pypcp.errors import ConnectionLimit, TooBig
from pypcp.model.ids import Pmid
from pypcp.model.profile import InDomProfile, Profile
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.handshake import Challenge
from pypcp.wire.result import Result
from running import Starter
from waiting import until

pytestmark = pytest.mark.anyio
MUCH = Pmid.build(100, 0, 0)
MUCH_BYTES = 2 << 20


def an_agent_of_much() -> Agent:
    agent = Agent("much", MUCH.domain)
    agent.cluster(0).metric("much.text", 0, ValueType.STRING, lambda _: "x" * MUCH_BYTES)
    return agent


def processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


async def test_without_descriptors_newcomers_are_told_and_nobody_spins(loop_name: str) -> None:
    with OurDaemon(loop=loop_name) as daemon:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (80, 80))
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(RawClient(daemon.port)) for _ in range(150)]
            challenges = [await client.answer() for client in clients]
            assert all(isinstance(challenge, Challenge) for challenge in challenges)
            codes = [challenge.code for challenge in challenges if isinstance(challenge, Challenge)]
            let_in = [client for client, code in zip(clients, codes, strict=True) if code == 0]
            assert set(codes) == {0, ConnectionLimit.code}
            assert 10 < len(let_in) < 70
            for client in let_in:
                await client.send(bytes.fromhex("000000140000700c000000000000000101020000"))
                await client.send(ProfilePdu(0, Profile()))
                assert isinstance(await client.answer(fetch(Pmid.build(60, 0, 20), NUMAGENTS)), Result)
            before = processor_seconds(daemon.pid)
            async with asyncio.timeout(None):
                await asyncio.sleep(0.3)  # the time over which it must not spin
            assert processor_seconds(daemon.pid) - before < 0.2
        async with RawClient(daemon.port) as client:
            assert await client.answer() is not None


async def test_there_is_room_again_when_clients_have_gone(loop_name: str) -> None:
    with OurDaemon(loop=loop_name) as daemon:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (80, 80))
        for _ in range(3):
            async with AsyncExitStack() as stack:
                for _ in range(100):
                    await stack.enter_async_context(RawClient(daemon.port))
        ends = time.monotonic() + 5
        while True:
            async with RawClient(daemon.port) as client:
                challenge = await client.answer()
                if isinstance(challenge, Challenge) and challenge.code == 0:
                    break
            assert time.monotonic() < ends


async def test_agents_have_the_descriptors_that_programs_expect(start: Starter) -> None:
    async with start({100: "well"}) as running:
        agent = running.daemon.router.routes[100]
        assert resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)[0] <= 1024


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Both ends of each connection are this process's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    require(hard >= 2048, "2048 descriptors for a process (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_five_hundred_that_come_at_once_are_served(start: Starter, many_descriptors: None) -> None:
    async with start() as running, beside(running) as honest, AsyncExitStack() as stack:
        clients = []
        for _ in range(500):
            clients.append(await stack.enter_async_context(RawClient(running.path)))
        for client in clients:
            await client.greeted()
        await honest.is_answered()
        for client in clients:
            assert isinstance(await client.answer(fetch(NUMAGENTS)), Result)
        assert len(running.daemon.clients) == 501


async def test_those_who_come_while_it_is_busy_wait_and_are_served(loop_name: str) -> None:
    """Stopped it is as busy as can be. Stock lets six wait."""
    with OurDaemon(loop=loop_name) as daemon:
        os.kill(daemon.pid, signal.SIGSTOP)
        async with AsyncExitStack() as stack:
            try:
                clients = [
                    await stack.enter_async_context(RawClient(where))
                    for where in (daemon.socket, daemon.port)
                    for _ in range(100)
                ]
            finally:
                os.kill(daemon.pid, signal.SIGCONT)
            for client in clients:
                await client.greeted()
            for client in clients:
                assert isinstance(await client.answer(fetch(NUMAGENTS)), Result)


async def test_connections_that_are_reset_at_once_disturb_nobody(loop_name: str) -> None:
    """Before the daemon has looked at them: it finds nobody at the other end."""
    with OurDaemon(loop=loop_name) as daemon:
        for _ in range(300):
            client = socket.create_connection(("127.0.0.1", daemon.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        async with RawClient(daemon.port) as honest:
            await honest.greeted()
            assert isinstance(await honest.answer(fetch(NUMAGENTS)), Result)


async def test_who_leaves_most_unread_goes_when_it_is_too_much_for_all(start: Starter) -> None:
    limits = {"unread_bytes": 4 << 20, "write_s": 3600.0}
    async with start(own=[an_agent_of_much()], **limits) as running, beside(running), AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient(running.path)) for _ in range(10)]
        for client in clients:
            await (await client.greeted()).send(fetch(MUCH))
        daemon = running.daemon
        await until(lambda: len(daemon.clients) < 5)
        assert 0 < daemon.unread.total <= limits["unread_bytes"]
        assert len(daemon.clients) > 1
        for client in clients:
            client.socket.close()
        await until(lambda: daemon.unread.total == 0)


async def test_long_profiles_have_an_end(start: Starter) -> None:
    def of(size: int) -> Profile:
        return Profile(True, {100 << 22: InDomProfile(True, frozenset(range(size)))})

    async with start(profile_instances=50_000) as running, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient(running.path)) for _ in range(5)]
        for client in clients[:3]:
            await client.greeted()
            for _ in range(3):  # the same place again takes no more room
                await client.send(ProfilePdu(1, of(15_000)))
            assert isinstance(await client.answer(fetch(NUMAGENTS, context=1)), Result)
        await clients[3].greeted()
        assert await clients[3].code(ProfilePdu(1, of(15_000))) == TooBig.code
        assert isinstance(await clients[3].answer(ProfilePdu(1, of(200)), fetch(NUMAGENTS, context=1)), Result)
        clients[0].socket.close()
        await until(lambda: running.daemon.profiles.taken < 40_000)
        await clients[4].greeted()
        assert isinstance(await clients[4].answer(ProfilePdu(1, of(15_000)), fetch(NUMAGENTS, context=1)), Result)
        for client in clients:
            client.socket.close()
        await until(lambda: running.daemon.profiles.taken == 0)


async def test_nothing_is_known_of_a_descriptor_when_its_client_has_gone(start: Starter) -> None:
    async with start() as running:
        async with RawClient(running.path) as client:
            await client.greeted()
            await client.answer(fetch(NUMAGENTS))
            (connection,) = running.daemon.clients
            descriptor = connection.fd
            assert running.daemon.channels.version(descriptor) == 2
        await until(lambda: not running.daemon.clients)
        assert running.daemon.channels.version(descriptor) == 0
