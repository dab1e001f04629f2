"""The clients of the soak, each kind in a process of its own: honest, heavy, hostile."""

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from fakes.client import GREETING, RawClient, fetch
from fuzz.seeds import seeds
from fuzz.targets import with_lengths
from pypcp.model.profile import InDomProfile, Profile
from pypcp.pmapi.context import Context
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.desc import DescIds
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.handshake import Creds
from pypcp.wire.pdu import Feature, encode
from pypcp.wire.pmns import PmnsNames, PmnsTraverse

EVERY_S = 0.01
HONEST = 4
MOST = 16_000
PATIENCE_S = 120.0
"""What asks for much waits for others who do."""
_HEADER = 12


class NotServed(Exception):
    """An honest client was not answered."""


# Honest: a few metrics, a hundred times a second.


def honest(path: Path, dashboard: list[int], ends: float, report: Path) -> None:
    """Fetch until ``ends`` (time.time()); a line ``when seconds`` for each fetch in ``report``."""
    clients = [_connected(path) for _ in range(HONEST)]
    request = fetch(*dashboard)
    with report.open("w", buffering=1) as lines, contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
        while time.time() < ends:
            for client in clients:
                began = time.perf_counter()
                client.sendall(request)
                _take_result(client, len(dashboard))
                lines.write(f"{time.time():.3f} {time.perf_counter() - began:.6f}\n")
            time.sleep(EVERY_S)


def _connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.settimeout(10)
    client.recv(20, socket.MSG_WAITALL)
    client.sendall(GREETING)
    return client


def _take_result(client: socket.socket, count: int) -> None:
    header = client.recv(_HEADER, socket.MSG_WAITALL)
    if len(header) < _HEADER:
        raise NotServed("the connection was closed")
    length, type_, _ = struct.unpack(">iii", header)
    body = client.recv(length - _HEADER, socket.MSG_WAITALL)
    if type_ != 0x7015 or struct.unpack_from(">i", body)[0] != count:
        raise NotServed(f"a PDU of type {type_:#x}: {body[:40].hex()}")


# Heavy: all that is allowed, at full speed.


def heavy(path: Path, pmids: list[int], ends: float) -> None:
    """Ask for everything in a loop, in five ways at once."""
    many = [pmids[place % len(pmids)] for place in range(MOST)]
    requests = [
        fetch(*pmids),
        fetch(*many),
        encode(PmnsTraverse("")),
        encode(DescIds(many)),
        encode(PmnsNames(["kernel.all.load"] * 2000)),
    ]
    asyncio.run(_until(ends, *[_again(path, request) for request in requests], _in_advance(path, pmids[:1])))


async def _again(path: Path, request: bytes) -> None:
    async with RawClient(path, PATIENCE_S) as client:
        await client.greeted()
        while True:
            assert await client.answer(request) is not None


async def _in_advance(path: Path, pmids: list[int]) -> None:
    async with RawClient(path, PATIENCE_S) as client:
        await client.greeted()
        while True:
            sending = asyncio.create_task(client.send(fetch(*pmids) * 200))
            for _ in range(200):
                assert await client.receive()
            await sending


# Hostile: whatever hurts.


def hostile(path: Path, port: int, pmids: list[int], ends: float) -> None:
    """Attack in every way at once, each over and over."""
    random.seed(1)
    attacks = [*_attacks(pmids)]
    asyncio.run(_until(ends, *[_over_and_over(attack, path, port) for attack in attacks]))


async def _until(ends: float, *work: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(each) for each in work]
    done, pending = await asyncio.wait(tasks, timeout=max(0.0, ends - time.time()))
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()


_Attack = Callable[[RawClient], Awaitable[None]]


async def _over_and_over(attack: _Attack, path: Path, port: int) -> None:
    while True:
        where = random.choice([path, port])
        with contextlib.suppress(OSError, TimeoutError, AssertionError):
            async with asyncio.timeout(20), RawClient(where) as client:
                await attack(client)
        await asyncio.sleep(0.01)


def _attacks(pmids: list[int]) -> Iterator[_Attack]:
    request = fetch(*pmids[:20])
    many = fetch(*[pmids[place % len(pmids)] for place in range(MOST)])
    corpus = sorted(set(seeds()))

    async def half_a_pdu(client: RawClient) -> None:
        await (await client.greeted()).send(request[: random.randrange(1, len(request))])
        await client.closed()

    async def drip(client: RawClient) -> None:
        await client.greeted()
        for at in range(len(request)):
            await client.send(request[at : at + 1])
            await asyncio.sleep(0.2)

    async def silence(client: RawClient) -> None:
        await client.send(
            random.choice([b"", encode(Creds(flags=Feature.AUTH)), encode(Creds(flags=Feature.CONTAINER))])
        )
        await client.closed()

    async def no_reading(client: RawClient) -> None:
        await client.greeted()
        await client.send_until_stuck(many, lambda: False)

    async def malformed(client: RawClient) -> None:
        await client.greeted()
        while await client.answer(_damaged(random.choice(corpus))):
            pass

    async def noise(client: RawClient) -> None:
        await client.send(random.randbytes(random.randrange(1, 2000)))
        await client.closed()

    async def profiles(client: RawClient) -> None:
        await client.greeted()
        for context in range(64):
            listed = frozenset(random.sample(range(1 << 20), 2000))
            await client.send(ProfilePdu(context, Profile(True, {context: InDomProfile(True, listed)})))
            await client.answer(fetch(*random.sample(pmids, 100), context=context))

    async def reset(client: RawClient) -> None:
        await client.send(GREETING + request * 50)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def containers(client: RawClient) -> None:
        await client.receive()
        name = Attribute(AttributeKey.CONTAINER, random.randbytes(8).hex().encode())
        await client.answer(Creds(flags=Feature.CONTAINER), name, *[Creds()] * 500, request)

    async def crowd(client: RawClient) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(300):
                other = await stack.enter_async_context(RawClient(client.where))
                await other.send(GREETING)
            await asyncio.sleep(1)

    yield from (half_a_pdu, drip, silence, no_reading, malformed, noise, profiles, reset, containers, crowd)


def _damaged(seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(random.randrange(1, 6)):
        data[random.randrange(len(data))] = random.choice([0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)])
    return with_lengths(bytes(data))[1:]


async def everything(path: Path) -> list[int]:
    """Every pmid of the daemon, fetched once: files are open from then on."""
    async with Context(f"unix:{path}") as context:
        pmids = [await context.lookup_name(name) for name in await context.traverse("")]
        await context.fetch(pmids)
        return [int(pmid) for pmid in pmids]
