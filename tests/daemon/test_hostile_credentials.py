"""The way in: what a client says of itself before its first request, in any order and any number."""

import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fakes.client import GREETING, RawClient, fetch
from honest import NUMAGENTS, beside
from peers import OurDaemon
from pypcp.errors import PermissionDenied, ProtocolError
from pypcp.model.values import ValueSet, ValueType
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.handshake import Challenge, Creds
from pypcp.wire.pdu import Feature, Pdu, encode
from pypcp.wire.result import Result
from running import Starter
from waiting import until

pytestmark = pytest.mark.anyio
IPC = ProtocolError.code
CLOSED = None
REQUEST = DescRequest(NUMAGENTS)
VOID, FOREIGN, NONE = Creds(version=0), Creds(words=(0x02020000,)), struct.pack(">iiii", 16, 0x700C, 0, 0)
CONTAINER = Creds(flags=Feature.CONTAINER)


def container(name: bytes) -> Attribute:
    return Attribute(AttributeKey.CONTAINER, name)


@pytest.mark.parametrize("version", [1, 2, 3, 255])
async def test_credentials_of_any_version_let_a_client_in(start: Starter, version: int) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert isinstance(await client.answer(Creds(version=version), REQUEST), DescReply)
        assert await client.code(DescRequest(0xFFFFFFFF)) == -12358  # in today's numbers, whatever the version


@pytest.mark.parametrize("nothing", [VOID, FOREIGN], ids=["no version", "a foreign kind"])
async def test_who_says_nothing_is_not_let_in(start: Starter, nothing: Pdu) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.answer(nothing, REQUEST) is CLOSED


@pytest.mark.parametrize("nothing", [VOID, FOREIGN], ids=["no version", "a foreign kind"])
async def test_good_credentials_heal_those_that_said_nothing(start: Starter, nothing: Pdu) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert isinstance(await client.answer(nothing, Creds(), REQUEST), DescReply)


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (Creds(flags=0x0E00), IPC),
        (Creds(flags=Feature.NO_NSS_INIT), IPC),
        (Creds(flags=0x8000), IPC),
        (Creds(flags=Feature.COMPRESS), -95),
        (Creds(flags=Feature.SECURE), -12391),
        (NONE, IPC),
    ],
    ids=["a server's flags", "an old flag", "an unknown flag", "compression", "TLS that is not there", "none at all"],
)
async def test_who_ignores_a_refusal_is_closed(start: Starter, credentials: Pdu | bytes, code: int) -> None:
    """Stock goes on serving such a client: what it is refused for binds honest clients only."""
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.code(credentials) == code
        assert await client.answer(REQUEST) is CLOSED


STRANGERS = {"the option": ["-S"], "a rule for users": ["-c", "pmcd.conf"]}


@pytest.mark.parametrize("options", STRANGERS.values(), ids=STRANGERS.keys())
async def test_a_stranger_whom_it_refuses_gets_nothing_by_going_on(
    tmp_path: Path, loop_name: str, options: list[str]
) -> None:
    """Stock answers such a client by TCP: neither -S nor a rule for users binds who does not read the refusal."""
    (tmp_path / "pmcd.conf").write_text("pmcd 2 dso pmcd_init /none.so\n[access]\ndisallow users *: all;\n")
    where = [str(tmp_path / each) if each.endswith(".conf") else each for each in options]
    value = ValueSet.singular(NUMAGENTS, 1, ValueType.U32)
    with OurDaemon(*where, tool="pmcd", loop=loop_name) as daemon:
        for request in (GREETING[20:] + fetch(NUMAGENTS), encode(Result(0, [value])), encode(REQUEST)):
            async with RawClient(daemon.port) as client:
                await client.receive()
                assert await client.code(Creds()) == PermissionDenied.code
                assert await client.answer(request) is CLOSED


async def test_after_a_refusal_good_credentials_are_taken(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.code(Creds(flags=0x0E00)) == IPC
        assert isinstance(await client.answer(Creds(), REQUEST), DescReply)


async def test_a_refused_client_is_not_kept_for_ever(start: Starter) -> None:
    async with start(hello_s=0.1) as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.code(Creds(flags=0x0E00)) in (IPC, CLOSED)  # a busy machine may be too slow for a refusal
        assert await client.closed()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"", -22),
        (b'x","evil":"1', -22),
        (b"web\0", -22),
        (b"../../etc", -22),
        (b"two words", -22),
        (b"\xff", -22),
        (b"a" * 256, -22),
    ],
)
async def test_a_name_that_no_container_has_is_refused(start: Starter, name: bytes, code: int) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.code(CONTAINER, container(name)) == code
        assert await client.answer(REQUEST) is CLOSED


@pytest.mark.parametrize(
    "instead",
    [REQUEST, Attribute(AttributeKey.USERID, b"0"), struct.pack(">iiii", 4112, 0x7011, 0, 15) + b"a" * 4096, Creds()],
    ids=["a request", "another attribute", "a name too long to be read", "credentials"],
)
async def test_what_comes_instead_of_the_name_of_a_container_is_refused(start: Starter, instead: Pdu | bytes) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.code(CONTAINER, instead) == IPC


async def test_a_container_is_kept_for_the_client_that_named_it(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert isinstance(await client.answer(CONTAINER, container(b"web01"), REQUEST), DescReply)
        assert [each.client.container for each in running.daemon.clients] == ["web01"]


async def test_what_was_said_of_oneself_stands(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        assert await client.code(Creds(), CONTAINER) == IPC
        assert isinstance(await client.answer(REQUEST), DescReply)
        assert [each.client.container for each in running.daemon.clients] == [None]


async def test_a_flood_of_credentials_keeps_no_agent_busy(start: Starter) -> None:
    async with start({100: "late 0.2"}) as running, RawClient(running.path) as client:
        await client.greeted()
        agent = running.daemon.router.routes[100]
        await client.send(fetch(100 << 22))
        assert isinstance(await client.answer(*[Creds()] * 30_000), Result)
        assert await client.code(Creds(flags=Feature.CONTAINER)) == IPC
        assert agent.statistics.restarts == 0
        assert agent.queued == 0


async def test_text_and_silence_in_place_of_a_user_are_refused(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        offered = await client.answer(Creds(flags=Feature.AUTH))
        assert isinstance(offered, Attribute)
        assert await client.code(Attribute(AttributeKey.SASL, b"ANONYMOUS")) is not None
        assert await client.answer(REQUEST) is CLOSED


HASTY: dict[str, Callable[[RawClient], Awaitable[object]]] = {
    "at once": lambda client: client.send(),
    "after its credentials": lambda client: client.send(Creds()),
    "in the middle of its greeting": lambda client: client.send(CONTAINER),
    "in the middle of a PDU": lambda client: client.send(GREETING[:30]),
    "with requests unanswered": lambda client: client.send(GREETING, fetch(NUMAGENTS) * 100),
}


@pytest.mark.parametrize("how", HASTY.values(), ids=HASTY.keys())
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_clients_that_go_leave_nothing(
    start: Starter, how: Callable[[RawClient], Awaitable[object]], reset: bool
) -> None:
    async with start() as running, beside(running) as honest:
        for _ in range(20):
            async with RawClient(running.path) as client:
                await how(client)
                if reset:
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await honest.is_answered()
        await until(lambda: len(running.daemon.clients) == 1)


async def test_the_challenge_offers_what_is_there(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        offered = await client.answer()
        assert isinstance(offered, Challenge)
        assert offered.features == Feature.CONTAINER | Feature.LABELS | Feature.HIGHRES | Feature.DESCS
