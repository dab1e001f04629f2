"""Nothing on the way of a request is a cycle: memory comes back at once, not with the next full collection."""

import gc
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest

from fakes.client import RawClient, fetch
from fuzz.collector import DOMAIN, kitchen_sink
from honest import NUMAGENTS
from pypcp.model.ids import IN_NULL, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmcd import plan
from pypcp.pmcd.client_connection import ClientConnection
from pypcp.pmda import readers, reply, runs, segments, sweep
from pypcp.pmda.agent import Agent
from pypcp.pmda.runs import NUMBER_TYPES
from pypcp.wire import columns
from pypcp.wire.desc import DescIds, DescRequest
from pypcp.wire.handshake import Creds
from pypcp.wire.instance import InstanceRequest
from pypcp.wire.label import LabelRequest
from pypcp.wire.pdu import Feature, Pdu, encode
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.text import TextKind, TextRequest
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
SINK = DOMAIN << 22
LONG = fetch(*[SINK | 1, SINK | 100, NUMAGENTS] * 300)
NUMBERS = DOMAIN + 1
FAKE = 250
CONTAINER = Pmid.build(2, 6, 2)


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    """What pytest keeps of it are the errors themselves."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def numbers() -> Agent:
    """Metrics of each type of number, which a fetch that is repeated has read together, and a long column."""
    agent = Agent("numbers", NUMBERS)
    few = agent.indom(1, fixed={0: "a", 1: "b"})
    many = agent.indom(2, fixed={each: str(each) for each in range(300)})
    cluster = agent.cluster(0, refresh=lambda: 1)
    for item, type_ in enumerate(sorted(NUMBER_TYPES)):
        cluster.metric(f"numbers.one{item}", item, type_, lambda one: one)
        cluster.metric(f"numbers.few{item}", 100 + item, type_, lambda one: [one] * 2, indom=few)
        cluster.metric(f"numbers.many{item}", 200 + item, type_, lambda one: [one] * 300, indom=many)
    return agent


async def several_lists(client: RawClient) -> None:
    """Each repeated, and each taking the room of the one before."""
    await client.greeted()
    items = [first + item for item in range(len(NUMBER_TYPES)) for first in (0, 100, 200)]
    for count in (len(items), 10, 3, 1):
        await client.answer(*[fetch(*[NUMBERS << 22 | item for item in items[:count]])] * 4)


async def containers(client: RawClient) -> None:
    """So many that those asked for first are forgotten; none of them is there."""
    await client.greeted()
    for each in range(300):
        name = ValueSet(CONTAINER, [IN_NULL], [f"none{each}"], type=ValueType.STRING)
        assert await client.code(Result(0, [name])) == 0
        await client.answer(fetch(SINK | 1))


async def after_greeting(client: RawClient, pdus: list[Pdu | bytes]) -> None:
    await client.greeted()
    for each in pdus:
        await client.answer(each)


async def instead_of_greeting(client: RawClient, *pdus: Pdu | bytes) -> None:
    await client.receive()
    await client.answer(*pdus)


async def and_goes(client: RawClient, *pdus: Pdu | bytes) -> None:
    await client.greeted()
    await client.send(*pdus)


NO_PMID, NO_INDOM, NO_NAME = (DOMAIN + 1) << 22 | 999, (DOMAIN + 1) << 22 | 999, "no.such"
REQUESTS: dict[str, list[Pdu | bytes]] = {
    "a fetch": [fetch(SINK | 1)],
    "a long fetch": [LONG],
    "a fetch of what is not": [fetch(NO_PMID, 99 << 22)],
    "a refusal": [fetch(SINK | 1, context=5)],
    "a look-up of a name": [PmnsNames(["pmcd.pid"])],
    "a look-up of no name": [PmnsNames([NO_NAME])],
    "look-ups": [PmnsNames([NO_NAME, "pmcd.pid"] * 500)],
    "the names of no metric": [PmnsIds([NO_PMID])],
    "the children of no name": [PmnsChild(NO_NAME)],
    "all names": [PmnsTraverse("")],
    "all names of nothing": [PmnsTraverse(NO_NAME)],
    "no descriptor": [DescRequest(NO_PMID)],
    "descriptors": [DescIds([NO_PMID, SINK | 1] * 500)],
    "no instances": [InstanceRequest(NO_INDOM)],
    "an instance": [InstanceRequest(SINK | 1, 7)],
    "no help": [TextRequest(NO_PMID, TextKind.PMID | TextKind.ONELINE)],
    "no labels": [LabelRequest(NO_PMID, LabelType.ITEM)],
    "a store": [Result(0, [ValueSet.singular(Pmid(SINK | 0), 1, ValueType.I32)])],
    "a store that is refused": [
        Result(0, [ValueSet.singular(Pmid(each), 1, ValueType.I32) for each in (SINK, 2 << 22)])
    ],
    "a store of nothing that is": [Result(0, [ValueSet.singular(Pmid(NO_PMID), 1, ValueType.I32)])],
    "a broken PDU": [bytes(12)],
}

VISITS: dict[str, Callable[[RawClient], Awaitable[None]]] = {
    **{name: partial(after_greeting, pdus=pdus) for name, pdus in REQUESTS.items()},
    "several lists": several_lists,
    "a long fetch, not waited for": lambda client: and_goes(client, LONG),
    "refused credentials": lambda client: instead_of_greeting(client, Creds(flags=0x0E00)),
    "no container": lambda client: instead_of_greeting(client, Creds(flags=Feature.CONTAINER), fetch(1)),
    "an attribute not waited for": lambda client: client.send(encode(Creds(flags=Feature.CONTAINER))),
    "containers": containers,
}


@pytest.mark.parametrize("visit", VISITS.values(), ids=VISITS.keys())
async def test_no_trace_is_left_of(
    start: Starter, loop_name: str, visit: Callable[[RawClient], Awaitable[None]]
) -> None:
    async with start(own=[kitchen_sink(), numbers()], plan_cache_bytes=0) as running:
        await leaves_nothing(running, loop_name, visit)


# The errors of an agent process wait in asyncio's futures, which are cycles then; those go while they are young.
@pytest.mark.parametrize("behaviour", ["well", "late 0.2"])
async def test_no_trace_is_left_of_what_an_agent_answers(start: Starter, loop_name: str, behaviour: str) -> None:
    names = f"fake{FAKE}.more"
    requests = [fetch(FAKE << 22, NUMAGENTS), DescRequest(FAKE << 22), PmnsTraverse(names), PmnsChild(names)]
    async with start({FAKE: behaviour}, plan_cache_bytes=0, agent_soft_s=0.1) as running:
        await leaves_nothing(running, loop_name, partial(after_greeting, pdus=[*requests, fetch(FAKE << 22)]))


async def leaves_nothing(running: Running, loop_name: str, visit: Callable[[RawClient], Awaitable[None]]) -> None:
    """Be visited three times; afterwards a collection finds nothing of ours."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            async with RawClient(running.path) as client:
                await visit(client)
            await until(lambda: not running.daemon.clients)
        await until(lambda: not kept())
        assert not garbage(loop_name)
    finally:
        gc.enable()


def kept() -> list[ClientConnection]:
    """Connections that no longer are, except those which asyncio's own transports hold on to."""
    found = [each for each in gc.get_objects() if isinstance(each, ClientConnection)]
    return [each for each in found if type(each._transport).__module__.startswith("uvloop")]


def garbage(loop_name: str) -> list[object]:
    """What of ours only a collection finds; on asyncio its transports are cycles, and connections with them."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        found = [each for each in gc.garbage if type(each).__module__.startswith("pypcp.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    return found if loop_name == "uvloop" else [each for each in found if type(each).__module__ in _OF_LISTS]


_OF_LISTS = {module.__name__ for module in (columns, segments, readers, runs, sweep, reply, plan)}
