"""Nothing on the way of a request is a cycle: memory comes back at once, not with the next full collection."""

import gc
from collections.abc import Awaitable, Callable

import pytest

from fakes.client import RawClient, fetch
from fuzz.collector import DOMAIN, kitchen_sink
from honest import NUMAGENTS
from pypcp.pmcd.client_connection import ClientConnection
from pypcp.wire.handshake import Creds
from pypcp.wire.pdu import Feature, Pdu, encode
from pypcp.wire.pmns import PmnsNames
from running import Starter
from waiting import until

pytestmark = pytest.mark.anyio
SINK = DOMAIN << 22
LONG = fetch(*[SINK | 1, SINK | 100, NUMAGENTS] * 300)


async def after_greeting(client: RawClient, *pdus: Pdu | bytes) -> None:
    await client.greeted()
    await client.answer(*pdus)


async def instead_of_greeting(client: RawClient, *pdus: Pdu | bytes) -> None:
    await client.receive()
    await client.answer(*pdus)


async def and_goes(client: RawClient, *pdus: Pdu | bytes) -> None:
    await client.greeted()
    await client.send(*pdus)


VISITS: dict[str, Callable[[RawClient], Awaitable[None]]] = {
    "a fetch": lambda client: after_greeting(client, fetch(SINK | 1)),
    "a long fetch": lambda client: after_greeting(client, LONG),
    "a long fetch, not waited for": lambda client: and_goes(client, LONG),
    "a refusal": lambda client: after_greeting(client, fetch(SINK | 1, context=5)),
    "look-ups": lambda client: after_greeting(client, PmnsNames(["no.such", "pmcd.pid"] * 500)),
    "a broken PDU": lambda client: after_greeting(client, bytes(12)),
    "refused credentials": lambda client: instead_of_greeting(client, Creds(flags=0x0E00)),
    "no container": lambda client: instead_of_greeting(client, Creds(flags=Feature.CONTAINER), fetch(1)),
    "an attribute not waited for": lambda client: client.send(encode(Creds(flags=Feature.CONTAINER))),
}


@pytest.mark.parametrize("visit", VISITS.values(), ids=VISITS.keys())
async def test_no_trace_is_left_of(start: Starter, visit: Callable[[RawClient], Awaitable[None]]) -> None:
    async with start(own=[kitchen_sink()]) as running:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                async with RawClient(running.path) as client:
                    await visit(client)
                await until(lambda: not running.daemon.clients)
            await until(lambda: not kept())
        finally:
            gc.enable()


def kept() -> list[ClientConnection]:
    """Connections that no longer are, except those which asyncio's own transports hold on to."""
    found = [each for each in gc.get_objects() if isinstance(each, ClientConnection)]
    return [each for each in found if type(each._transport).__module__.startswith("uvloop")]
