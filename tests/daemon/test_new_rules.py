"""Rules that change while clients are there: they hold at once, for each of them, at whatever it is."""

import pytest

from fakes.client import RawClient, fetch
from honest import NUMAGENTS
from pypcp.errors import PermissionDenied
from pypcp.model.ids import Pmid
from pypcp.model.values import ValueType
from pypcp.pmcd.access_statements import Statement
from pypcp.pmcd.config import parse
from pypcp.pmcd.gate import rules_of
from pypcp.pmda.agent import Agent
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Feature
from pypcp.wire.result import Result
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
MUCH = Pmid.build(100, 0, 0)


def statements(access: str) -> tuple[Statement, ...]:
    return tuple(parse(f"[access]\n{access}\n", "pmcd.conf").statements)


def change_rules(running: Running, access: str) -> None:
    """What a reload does first; the agents, which it goes on to start, may take seconds."""
    running.daemon._change_gate(rules_of(statements(access)))


async def test_a_request_that_was_answered_before_is_refused_at_once(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.greeted()
        for _ in range(3):
            assert isinstance(await client.answer(fetch(NUMAGENTS)), Result)
        change_rules(running, 'disallow "unix:" : fetch;')
        assert await client.code(fetch(NUMAGENTS)) == PermissionDenied.code


async def test_a_refused_client_that_reads_nothing_is_not_kept(start: Starter) -> None:
    agent = Agent("much", MUCH.domain)
    agent.cluster(0).metric("much.text", 0, ValueType.STRING, lambda _: "x" * (4 << 20))
    limits = {"write_s": 0.2, "write_buffer_bytes": 8 << 20}
    async with start(own=[agent], **limits) as running, RawClient(running.path) as client:
        await client.greeted()
        await client.send(fetch(MUCH))
        (connection,) = running.daemon.clients
        await until(lambda: connection._transport.get_write_buffer_size())
        change_rules(running, 'disallow "unix:" : all;')
        await until(lambda: not running.daemon.clients)


async def test_who_has_still_to_say_who_he_is_is_not_refused_for_that(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.receive()
        await client.send(Creds(flags=Feature.CONTAINER))
        (connection,) = running.daemon.clients
        await until(lambda: connection._task is not None)
        connection.client.uid = connection.client.gid = None  # as of a client by TCP
        change_rules(running, "allow user root : all;")
        assert len(running.daemon.clients) == 1
        connection.client.uid = connection.client.gid = 0
        container = Attribute(AttributeKey.CONTAINER, b"web01")
        assert isinstance(await client.answer(container, DescRequest(NUMAGENTS)), DescReply)


async def test_who_has_not_said_who_he_is_and_is_in_is_refused_where_he_must(start: Starter) -> None:
    async with start() as running, RawClient(running.path) as client:
        await client.greeted()
        assert isinstance(await client.answer(DescRequest(NUMAGENTS)), DescReply)
        (connection,) = running.daemon.clients
        connection.client.uid = connection.client.gid = None  # as of a client by TCP
        change_rules(running, "allow user root : all;")
        assert await client.answer() == Error(PermissionDenied.code)
        assert await client.closed()
