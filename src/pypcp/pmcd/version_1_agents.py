"""Agents of PCP 1, whose line in the configuration says so. See: __pmAddIPC(3).

They are asked what version 1 has, and no more; what they answer is made an answer of today before anybody else sees it.
So this is slow, and nothing else knows of it but the codec, by the channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final, cast

from pypcp.errors import (
    ConversionError,
    PcpError,
    ProtocolError,
    RemoteProtocolError,
    TooBig,
    TryAgain,
    UnknownName,
    UnknownPmid,
)
from pypcp.model.desc import Desc
from pypcp.model.ids import Pmid
from pypcp.model.labels import LabelSet, LabelType
from pypcp.model.profile import Profile
from pypcp.model.values import ValueSet
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.agent_view import AgentView
from pypcp.pmcd.conversation import Conversation
from pypcp.pmcd.exchange import Exchange
from pypcp.pmda.interface import Client
from pypcp.pmda.segments import EmptySegment, Fetched
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.pdu import PduType, decode, encode
from pypcp.wire.result import Result, typed
from pypcp.wire.versions import PDU_VERSION1

_MOST_ASKED: Final = 250
"""So many descriptors are asked for at a time: nobody's fetch stands behind the thousands that another one lacks."""

_LONGEST_RESULT: Final = 64 << 10
"""Results are translated in one go, while all others wait; there were no long ones in the days of version 1."""


class Version1Conversation(Conversation):
    """Talking with an agent of version 1: it says no greeting and is told nothing of clients.

    Values do not say of what type they are, so each metric's descriptor is asked for before its first values and
    remembered for as long as the agent lives.
    """

    version: ClassVar[int] = PDU_VERSION1

    def __init__(self, stream: AgentStream) -> None:
        super().__init__(stream)
        self._descs: dict[int, Desc] = {}
        self._asked: set[int] = set()

    async def greet(self) -> None:
        """Nobody says anything."""

    def seen_by(self, slot: int) -> AgentView:
        """The agent as the client of that slot asks it."""
        return Version1View(self.stream, slot, self._descs)

    def tell_end(self, slot: int) -> None:
        """The agent never knew of the client."""

    def fetch(
        self, pmids: tuple[int, ...], profile: Profile, slot: int, silent: type[PcpError]
    ) -> asyncio.Future[bytes]:
        """Ask for values, and before that for the descriptors that are not known: the stream keeps the order.

        Where too many are not known there are no values yet: ``TryAgain``.
        """
        for pmid in pmids:
            if pmid in self._descs or pmid in self._asked:
                continue
            if len(self._asked) >= _MOST_ASKED:
                return _try_again()
            self._ask_for_desc(pmid, slot)
        return super().fetch(pmids, profile, slot, silent)

    def _ask_for_desc(self, pmid: int, slot: int) -> None:
        self._asked.add(pmid)
        request = self._encoded(DescRequest(pmid, slot))
        self.stream.ask(Exchange(request, PduType.DESC)).add_done_callback(partial(self._described, pmid))

    def _described(self, pmid: int, reply: asyncio.Future[bytes]) -> None:
        self._asked.discard(pmid)
        if reply.exception() is not None:
            return  # it is asked for again with the next values
        try:
            self._descs[pmid] = cast(DescReply, decode(reply.result(), self.stream.channel)).desc
        except ProtocolError as error:
            self.stream.end(f"protocol failure: {error}")

    def fetched(self, frame: bytes, pmids: Sequence[int]) -> Fetched:
        """What a reply says of ``pmids``; ``RemoteProtocolError`` where it is none."""
        if len(frame) > _LONGEST_RESULT:
            return Fetched([EmptySegment(pmid, TooBig.code) for pmid in pmids])
        value_sets = cast(Result, decode(frame, self.stream.channel)).value_sets
        if len(value_sets) != len(pmids):
            raise RemoteProtocolError(f"{len(value_sets)} value sets for {len(pmids)} metrics")
        today = [self._typed(pmid, each) for pmid, each in zip(pmids, value_sets, strict=True)]
        # Without the time of the result, where agents of today say what has changed.
        return super().fetched(encode(Result(0, today)), pmids)

    def _typed(self, pmid: int, value_set: ValueSet) -> ValueSet:
        """The value set as its metric's descriptor has it, or the error of a metric whose values cannot be so."""
        if not value_set.values:
            return value_set
        if (desc := self._descs.get(pmid)) is None:
            return ValueSet(pmid, error=UnknownPmid())
        try:
            return typed(value_set, desc.type)
        except ConversionError as error:
            return ValueSet(pmid, error=error)


def _try_again() -> asyncio.Future[bytes]:
    reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    reply.set_exception(TryAgain())
    return reply


class Version1View(AgentView):
    """An agent of version 1 as one client sees it: without labels, and with no names but those in the file.

    ``descs`` are the descriptors known so far; those asked for here are known from then on.
    """

    def __init__(self, stream: AgentStream, slot: int, descs: dict[int, Desc]) -> None:
        super().__init__(stream, slot)
        self._descs = descs

    async def desc(self, pmid: int) -> Desc:
        desc = self._descs.get(pmid)
        if desc is None:
            desc = self._descs[pmid] = await super().desc(pmid)
        return desc

    async def store(self, value_sets: Sequence[ValueSet], client: Client) -> None:
        # The types that the client sent do not reach the agent: what is not as described would be taken for it.
        checked = [typed(each, (await self.desc(each.pmid)).type) for each in value_sets]
        await super().store(checked, client)

    async def labels(self, ident: int, level: LabelType, profile: Profile) -> list[LabelSet]:
        return []

    async def lookup_name(self, name: str) -> Pmid:
        raise UnknownName(name)

    async def names_of(self, pmid: int) -> list[str]:
        raise UnknownPmid()

    async def children(self, name: str) -> list[tuple[str, bool]]:
        raise UnknownName(name)

    async def traverse(self, name: str) -> list[str]:
        raise UnknownName(name)
