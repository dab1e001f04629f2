"""An agent process as one client sees it: the same questions as an agent in this process, the answers to be awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, TypeVar, cast

from pypcp.errors import ProtocolError, UnknownInstance, UnknownName
from pypcp.model.desc import Desc
from pypcp.model.ids import Pmid
from pypcp.model.labels import LabelSet, LabelType
from pypcp.model.profile import Profile
from pypcp.model.values import ValueSet
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.exchange import Exchange
from pypcp.pmda.interface import Client
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.handshake import Error
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import Pdu, decode, encode
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.text import TextKind, TextReply, TextRequest

P = TypeVar("P", bound=Pdu)


class Elsewhere:
    """A question to an ``agent`` that is a process, which is asked when the answer is awaited. Once."""

    def __init__(self, agent: object, ask: Callable[[], Awaitable[Any]]) -> None:
        self.agent = agent
        self._ask = ask

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._ask().__await__()


class AgentView:
    """:class:`pypcp.pmda.interface.AgentInterface` over a stream, for the client of one slot; each answer is awaited.

    A reply that cannot be decoded ends the agent, as a reply of the wrong type does: where a stream has lost its place
    nothing in it can be trusted.
    """

    def __init__(self, stream: AgentStream, slot: int) -> None:
        self._stream = stream
        self._slot = slot

    async def _ask(self, request: Pdu, expect: type[P], view: tuple[int, Profile] | None = None) -> P:
        channel = self._stream.channel
        frame = await self._stream.ask(Exchange(encode(request, channel), expect.pdu_types[0], view=view))
        try:
            return cast(P, decode(frame, channel))
        except ProtocolError as error:
            self._stream.end(f"protocol failure: {error}")
            raise ProtocolError() from error

    async def desc(self, pmid: int) -> Desc:
        return (await self._ask(DescRequest(pmid, self._slot), DescReply)).desc

    async def instances(self, indom: int) -> tuple[Sequence[int], Sequence[str]]:
        reply = await self._ask(InstanceRequest(indom, sender=self._slot), InstanceReply)
        return reply.instances, reply.names

    async def instance_name(self, indom: int, instance: int) -> str:
        reply = await self._ask(InstanceRequest(indom, instance, sender=self._slot), InstanceReply)
        if len(reply.names) != 1:
            raise UnknownInstance()
        return reply.names[0]

    async def instance_id(self, indom: int, name: str) -> int:
        reply = await self._ask(InstanceRequest(indom, name=name, sender=self._slot), InstanceReply)
        if len(reply.instances) != 1:
            raise UnknownInstance()
        return reply.instances[0]

    async def text(self, ident: int, kind: TextKind) -> str:
        return (await self._ask(TextRequest(ident, kind, self._slot), TextReply)).text

    async def labels(self, ident: int, level: LabelType, profile: Profile) -> list[LabelSet]:
        request = LabelRequest(ident, level, self._slot)
        sets = (await self._ask(request, LabelReply, (self._slot, profile))).sets
        return sets if level is LabelType.INSTANCES else sets[:1]

    async def store(self, value_sets: Sequence[ValueSet], client: Client) -> None:
        await self._ask(Result(0, list(value_sets), sender=client.context), Error)

    async def lookup_name(self, name: str) -> Pmid:
        reply = await self._ask(PmnsNames([name], sender=self._slot), PmnsIds)
        if len(reply.pmids) != 1:
            raise UnknownName(name)
        return Pmid(reply.pmids[0])

    async def names_of(self, pmid: int) -> list[str]:
        return list((await self._ask(PmnsIds([pmid], sender=self._slot), PmnsNames)).names)

    async def children(self, name: str) -> list[tuple[str, bool]]:
        reply = await self._ask(PmnsChild(name, 1, self._slot), PmnsNames)
        statuses = reply.statuses if reply.statuses is not None else [0] * len(reply.names)
        return [(each, status == 0) for each, status in zip(reply.names, statuses, strict=True)]

    async def traverse(self, name: str) -> list[str]:
        return list((await self._ask(PmnsTraverse(name, 0, self._slot), PmnsNames)).names)
