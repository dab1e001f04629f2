"""One request in, its reply out: what an agent process does with the frames that pmcd sends. No I/O.

Decode, the call of :class:`pypcp.pmda.interface.AgentInterface`, encode. The contract is that of the C library's main
loop: every request has one reply; PROFILE, ATTR and ERROR have none; an agent has one current profile; and the sender
in a request's header says for which of the daemon's clients it is. See: pmdaMain(3).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from pypcp.errors import InternalError, NotConnected, ProtocolError, UnknownInstance
from pypcp.model.labels import LabelSet, LabelType
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.pmda.complaints import Complaints
from pypcp.pmda.interface import AgentInterface, Client, FetchRequest, refusal_of
from pypcp.pmda.reply import NSEC_PER_SEC, ReplyLayout, held_bytes
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.buffer import ANY_SIZE_LIMIT
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.fetch import LIST_AT, PROFILE_AT, Fetch, ProfilePdu
from pypcp.wire.framing import frame_sender, frame_type
from pypcp.wire.handshake import Error
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import Pdu, PduType, decode, encode
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.text import TextReply, TextRequest

log = logging.getLogger(__name__)

_FETCH: Final = int(PduType.FETCH)
"""A plain number: to find a member of an enumeration takes longer than all else that is done to tell types apart."""
_PREPARED_BYTES: Final = 32 << 20
"""Fetch lists are kept prepared up to this; the one not used for longest goes first."""


class _Prepared:
    """A fetch list under a profile, as long as it is repeated."""

    __slots__ = ("held_bytes", "layout", "request")

    def __init__(self, pmids: tuple[int, ...], profile: Profile) -> None:
        self.held_bytes = 0
        self.request = FetchRequest(pmids, profile)
        self.layout = ReplyLayout(pmids, [range(len(pmids))], highres=False, max_reply=ANY_SIZE_LIMIT)


class Dispatcher:
    """Answers pmcd's requests from an agent.

    ``clients`` are those of the daemon's clients that have asked, or been told of, by their slot.
    """

    def __init__(self, agent: AgentInterface) -> None:
        self.agent = agent
        self.clients: dict[int, Client] = {}
        self._complaints = Complaints()
        self._profile = EVERYTHING
        self._profile_key = b""
        self._fetches: OrderedDict[tuple[bytes, bytes], _Prepared] = OrderedDict()
        self._held_bytes = 0
        self._instance_labels: dict[int, tuple[list[LabelSet], bytes]] = {}
        self._indoms: dict[int, tuple[tuple[int, ...], tuple[str, ...], bytes]] = {}

    def answer(self, frame: bytes) -> bytes:
        """The reply to a whole frame; empty for what has none. Never raises, whatever the frame holds."""
        type_ = frame_type(frame)
        try:
            if type_ == _FETCH:
                return self._fetch(frame)
            return self._other(type_, frame)
        except Exception as error:  # noqa: BLE001 - one bad answer of the author's code must not end the agent
            refusal = refusal_of(error, _name_of(type_), self._complaints)
        if type_ not in _UNANSWERED:
            return encode(Error(refusal.code))
        if not isinstance(refusal, InternalError):  # of which the log has heard
            log.warning("%s from the daemon: %s", _name_of(type_), refusal)
        return b""

    def _other(self, type_: int, frame: bytes) -> bytes:
        if type_ == PduType.PROFILE:
            self._take_profile(frame)
            return b""
        handler = _HANDLERS.get(type_)
        if handler is None:
            log.warning("no agent is asked for %s; not answered", _name_of(type_))
            return b""
        pdu = decode(frame)
        reply = handler(self, pdu, self._client(pdu.sender))
        if isinstance(reply, bytes):
            return reply
        return b"" if reply is None else encode(reply)

    def _client(self, slot: int) -> Client:
        client = self.clients.get(slot)
        if client is None:
            client = self.clients[slot] = Client(slot)
        return client

    # Fetching

    def _fetch(self, frame: bytes) -> bytes:
        key = (self._profile_key, frame[LIST_AT:])
        prepared = self._fetches.get(key)
        if prepared is None:
            return self._fetch_first(frame, key)
        self._fetches.move_to_end(key)
        return self._reply(prepared, frame)

    def _fetch_first(self, frame: bytes, key: tuple[bytes, bytes]) -> bytes:
        """Check the request whole, once; the same bytes need no checking again."""
        request = decode(frame)
        assert isinstance(request, Fetch)
        prepared = _Prepared(request.pmids, self._profile)
        reply = self._reply(prepared, frame)
        prepared.held_bytes = held_bytes(len(request.pmids), len(reply))
        self._fetches[key] = prepared
        self._held_bytes += prepared.held_bytes
        while self._held_bytes > _PREPARED_BYTES and len(self._fetches) > 1:
            self._held_bytes -= self._fetches.popitem(last=False)[1].held_bytes
        return reply

    def _reply(self, prepared: _Prepared, frame: bytes) -> bytes:
        fetched = self.agent.fetch(prepared.request, self._client(frame_sender(frame)))
        # Where a time would stand an agent tells what has changed; a time there would be taken for changes.
        return prepared.layout.render((fetched,), fetched.changes * NSEC_PER_SEC)

    def _take_profile(self, frame: bytes) -> None:
        """PROFILE: the one current profile. A daemon repeats it with every change of client, so it is compared raw."""
        key = frame[PROFILE_AT:]
        if key != self._profile_key:
            pdu = decode(frame)
            assert isinstance(pdu, ProfilePdu)
            self._profile, self._profile_key = pdu.profile, key

    # Everything else, one method a PDU

    def _desc(self, pdu: DescRequest, client: Client) -> Pdu:
        return DescReply(self.agent.desc(pdu.pmid))

    def _instance(self, pdu: InstanceRequest, client: Client) -> Pdu | bytes:
        if pdu.instance == -1 and not pdu.name:
            return self._all_instances(pdu.indom)
        if pdu.instance != -1 and pdu.name:
            raise UnknownInstance("asked for by id and by name at once")
        if pdu.name:
            return InstanceReply(pdu.indom, [self.agent.instance_id(pdu.indom, pdu.name)], [])
        return InstanceReply(pdu.indom, [], [self.agent.instance_name(pdu.indom, pdu.instance)])

    def _all_instances(self, indom: int) -> bytes:
        """The whole domain; as long as the agent gives the same tuples the reply is the same, too."""
        ids, names = self.agent.instances(indom)
        if not (isinstance(ids, tuple) and isinstance(names, tuple)):
            return encode(InstanceReply(indom, ids, names))
        known = self._indoms.get(indom)
        if known is None or known[0] is not ids or known[1] is not names:
            known = self._indoms[indom] = (ids, names, encode(InstanceReply(indom, ids, names)))
        return known[2]

    def _text(self, pdu: TextRequest, client: Client) -> Pdu:
        return TextReply(pdu.ident, self.agent.text(pdu.ident, pdu.kind))  # type: ignore[arg-type]

    def _labels(self, pdu: LabelRequest, client: Client) -> Pdu | bytes:
        level = LabelType(pdu.type)
        sets = self.agent.labels(pdu.ident, level, self._profile)
        if level is not LabelType.INSTANCES:
            return LabelReply(pdu.ident, level, sets)
        # Of many instances these are many, and they stay: as long as the agent gives the same list, so does the reply.
        known = self._instance_labels.get(pdu.ident)
        if known is None or known[0] is not sets:
            known = self._instance_labels[pdu.ident] = sets, encode(LabelReply(pdu.ident, level, sets))
        return known[1]

    def _lookup_name(self, pdu: PmnsNames, client: Client) -> Pdu:
        if len(pdu.names) != 1:
            raise ProtocolError(f"{len(pdu.names)} names to look up, an agent is asked for one")
        return PmnsIds([self.agent.lookup_name(pdu.names[0])])

    def _names_of(self, pdu: PmnsIds, client: Client) -> Pdu:
        return PmnsNames(self.agent.names_of(pdu.pmids[0]))

    def _children(self, pdu: PmnsChild, client: Client) -> Pdu:
        below = self.agent.children(pdu.name)
        statuses = [0 if leaf else 1 for _, leaf in below] if pdu.subtype else None
        return PmnsNames([name for name, _ in below], statuses)

    def _traverse(self, pdu: PmnsTraverse, client: Client) -> Pdu:
        return PmnsNames(self.agent.traverse(pdu.name))

    def _store(self, pdu: Result, client: Client) -> Pdu:
        self.agent.store(pdu.value_sets, client)
        return Error(0)

    def _attribute(self, pdu: Attribute, client: Client) -> None:
        text = pdu.value.rstrip(b"\0").decode("utf-8", "surrogateescape")
        name = _TEXT_ATTRIBUTES.get(pdu.key)
        if name is not None:
            setattr(client, name, text or None)
        elif (name := _NUMBER_ATTRIBUTES.get(pdu.key)) is not None:
            setattr(client, name, int(text) if text.isdecimal() else None)
        self.agent.attributes_changed(client)

    def _error(self, pdu: Pdu, client: Client) -> None:
        if isinstance(pdu, Error) and pdu.code == NotConnected.code:
            self.clients.pop(client.context, None)
            self.agent.end_context(client)


def _name_of(type_: int) -> str:
    return PduType(type_).name if type_ in set(PduType) else f"a PDU of type {type_:#x}"


_UNANSWERED: Final = frozenset({PduType.PROFILE, PduType.ATTR, PduType.ERROR, PduType.CREDS})

_TEXT_ATTRIBUTES: Final[dict[int, str]] = {AttributeKey.USERNAME: "username", AttributeKey.CONTAINER: "container"}
_NUMBER_ATTRIBUTES: Final[dict[int, str]] = {
    AttributeKey.USERID: "uid",
    AttributeKey.GROUPID: "gid",
    AttributeKey.PROCESSID: "pid",
}

_Handler = Callable[[Dispatcher, Any, Client], "Pdu | bytes | None"]

_HANDLERS: Final[dict[int, _Handler]] = {
    PduType.DESC_REQ: Dispatcher._desc,
    PduType.INSTANCE_REQ: Dispatcher._instance,
    PduType.TEXT_REQ: Dispatcher._text,
    PduType.LABEL_REQ: Dispatcher._labels,
    PduType.PMNS_NAMES: Dispatcher._lookup_name,
    PduType.PMNS_IDS: Dispatcher._names_of,
    PduType.PMNS_CHILD: Dispatcher._children,
    PduType.PMNS_TRAVERSE: Dispatcher._traverse,
    PduType.RESULT: Dispatcher._store,
    PduType.ATTR: Dispatcher._attribute,
    PduType.ERROR: Dispatcher._error,
}
"""What is answered how; FETCH and PROFILE go their own, faster way."""
