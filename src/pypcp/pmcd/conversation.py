"""What is said to an agent process over its stream: the greeting, what it is asked, what it is told of clients."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import ClassVar, Final

from pypcp.errors import NotConnected, PcpError, ProtocolError
from pypcp.model.profile import Profile
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.agent_view import AgentView
from pypcp.pmcd.exchange import Exchange
from pypcp.pmcd.relayed import fetched_from
from pypcp.pmda.interface import Client
from pypcp.pmda.segments import Fetched
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.fetch import Fetch
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Feature, Pdu, PduType, decode, encode
from pypcp.wire.versions import PDU_VERSION2, UNKNOWN_VERSION

_WANTS_ATTRIBUTES: Final = Feature.AUTH | Feature.CONTAINER


class Conversation:
    """Talking with an agent for as long as it lives, in the protocol of today.

    ``version`` is what is known of the agent's before it has said anything.
    """

    version: ClassVar[int] = UNKNOWN_VERSION

    def __init__(self, stream: AgentStream) -> None:
        self.stream = stream

    def _encoded(self, pdu: Pdu) -> bytes:
        return encode(pdu, self.stream.channel)

    async def greet(self) -> None:
        """The agent speaks first: its version and what it wants to know. ``PcpError`` where it says anything else."""
        creds = decode(await self.stream.first_frame())
        if not isinstance(creds, Creds):
            raise ProtocolError(f"unexpected PDU type {creds.pdu_type:#x} at initial PDU exchange")
        # Version 1 is nothing that an agent can claim: only its line in the configuration makes it that.
        self.stream.channel.version = PDU_VERSION2
        self.stream.channel.features = creds.flags
        if creds.version:
            self.stream.answer_greeting(self._encoded(Creds(flags=creds.flags & Feature.AUTH, sender=os.getpid())))

    def seen_by(self, slot: int) -> AgentView:
        """The agent as the client of that slot asks it."""
        return AgentView(self.stream, slot)

    def fetch(
        self, pmids: tuple[int, ...], profile: Profile, slot: int, silent: type[PcpError]
    ) -> asyncio.Future[bytes]:
        """Ask for values; the reply is for :meth:`fetched`. ``silent`` is the failure where none comes."""
        frame = self._encoded(Fetch(0, pmids, sender=slot))
        return self.stream.ask(Exchange(frame, PduType.RESULT, view=(slot, profile), silent=silent))

    def fetched(self, frame: bytes, pmids: Sequence[int]) -> Fetched:
        """What a reply to :meth:`fetch` says of ``pmids``; ``RemoteProtocolError`` where it is none."""
        return fetched_from(frame, pmids)

    def tell_of(self, client: Client) -> None:
        """Tell the agent all it may know of a client, if it wants to know."""
        if self.stream.channel.features & _WANTS_ATTRIBUTES:
            for key, value in attributes_of(client):
                notice = self._encoded(Attribute(key, value.encode() + b"\0", client.context))
                self.stream.say(notice, about=(client.context, key))

    def tell_end(self, slot: int) -> asyncio.Future[None] | None:
        """Tell the agent that the client of that slot has gone; None when it knows, else a future for when it does."""
        return self.stream.say(self._encoded(Error(NotConnected.code, slot)), ends=slot)


def attributes_of(client: Client) -> list[tuple[AttributeKey, str]]:
    """What an agent is told of a client: newest first, as stock orders them."""
    known: list[tuple[AttributeKey, object]] = [
        (AttributeKey.CONTAINER, client.container),
        (AttributeKey.PROCESSID, client.pid),
        (AttributeKey.GROUPID, client.gid),
        (AttributeKey.USERID, client.uid),
        (AttributeKey.USERNAME, client.username),
    ]
    return [(key, str(value)) for key, value in known if value is not None]
