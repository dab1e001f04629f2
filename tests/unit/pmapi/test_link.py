"""Calls that share a connection never take each other's replies."""

from typing import Any

import pytest

from pypcp.errors import (
    ChannelClosed,
    PermissionDenied,
    RemoteProtocolError,
    RequestTimeout,
    UnknownPmid,
)
from pypcp.model.desc import Desc
from pypcp.model.ids import Pmid
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmapi.link import Link, Moves
from pypcp.pmapi.operations.metadata import lookup_desc
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Receive
from pypcp.pmapi.operations.values import fetch
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.fetch import Fetch
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import Pdu, StateChange, decode, encode
from pypcp.wire.result import Result
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2, Channel

PMIDS = [Pmid.build(29, 0, item) for item in range(4)]


class Wire:
    """The driver's place, taken by hand: what is sent is kept, what is received comes from a queue."""

    def __init__(self, version: int = PDU_VERSION2) -> None:
        self.state = ContextState(Channel(version=version))
        self.link = Link(self.state.channel)
        self.sent: list[Pdu] = []
        self.incoming: list[Pdu] = []

    def run(self, operation: Any) -> Any:
        moves: Moves[Any] = self.link.perform(self.state, operation)
        try:
            frame = None
            while True:
                frame = self._do(moves.send(frame))
        except StopIteration as stop:
            return stop.value

    def _do(self, move: object) -> bytes | None:
        if isinstance(move, Receive):
            if not self.incoming:
                raise RequestTimeout()
            return encode(self.incoming.pop(0), self.state.channel)
        assert isinstance(move, bytes)
        self.sent.append(decode(move, self.state.channel))
        return None

    def desc(self, pmid: Pmid) -> Any:
        return self.run(lookup_desc(self.state, pmid))


def reply(pmid: Pmid) -> DescReply:
    return DescReply(Desc(pmid, ValueType.U32))


def test_a_reply_that_came_too_late_is_dropped_before_the_next_request() -> None:
    wire = Wire()
    with pytest.raises(RequestTimeout) as late:
        wire.desc(PMIDS[0])
    assert not wire.link.broken_by(late.value)
    wire.incoming = [reply(PMIDS[0]), reply(PMIDS[1])]
    assert wire.desc(PMIDS[1]).pmid == PMIDS[1]
    assert [type(pdu) for pdu in wire.sent] == [DescRequest, DescRequest]


def test_a_reply_that_never_comes_ends_the_connection() -> None:
    wire = Wire()
    for expected in (False, True):
        with pytest.raises(RequestTimeout) as late:
            wire.desc(PMIDS[0])
        assert wire.link.broken_by(late.value) is expected


def test_a_cancelled_call_leaves_its_reply_to_be_dropped() -> None:
    wire = Wire()
    moves = wire.link.perform(wire.state, lookup_desc(wire.state, PMIDS[0]))
    moves.send(None)
    assert isinstance(moves.send(None), Receive)
    assert not wire.link.broken_by(KeyboardInterrupt())
    moves.close()
    wire.incoming = [reply(PMIDS[0]), reply(PMIDS[1])]
    assert wire.desc(PMIDS[1]).pmid == PMIDS[1]


def test_state_changes_that_go_before_an_owed_reply_reach_the_next_fetch() -> None:
    wire = Wire()
    with pytest.raises(RequestTimeout):
        wire.run(fetch(wire.state, PMIDS[:1]))
    values = Result(0, [ValueSet(PMIDS[0])])
    wire.incoming = [Error(StateChange.DROP_AGENT), values, Error(StateChange.ADD_AGENT), values]
    assert wire.run(fetch(wire.state, PMIDS[:1])).changes == StateChange.DROP_AGENT | StateChange.ADD_AGENT
    assert [type(pdu) for pdu in wire.sent][-1] is Fetch


def test_state_changes_without_end_are_no_reply() -> None:
    wire = Wire()
    wire.incoming = [Error(StateChange.ADD_AGENT)] * 100
    with pytest.raises(RemoteProtocolError) as endless:
        wire.run(fetch(wire.state, PMIDS[:1]))
    assert wire.link.broken_by(endless.value)


def test_a_pmcd_of_version_1_is_understood_in_its_own_numbers() -> None:
    wire = Wire(version=PDU_VERSION1)
    wire.state.descs[PMIDS[0]] = Desc(PMIDS[0], ValueType.FLOAT)
    values = [ValueSet.singular(PMIDS[0], 0.5, ValueType.FLOAT), ValueSet(PMIDS[1], error=UnknownPmid())]
    wire.incoming = [Result(0, values), Error(UnknownPmid.code)]
    first, second = wire.run(fetch(wire.state, PMIDS[:2])).value_sets
    assert (first.value, first.type) == (0.5, ValueType.FLOAT)
    assert isinstance(second.error, UnknownPmid)
    with pytest.raises(UnknownPmid):
        wire.desc(PMIDS[2])


def test_what_pmcd_refuses_does_not_end_the_connection() -> None:
    wire = Wire()
    wire.incoming = [reply(PMIDS[0]), Error(UnknownPmid.code)]
    wire.desc(PMIDS[0])
    with pytest.raises(UnknownPmid) as refused:
        wire.desc(PMIDS[1])
    assert not wire.link.broken_by(refused.value)


@pytest.mark.parametrize("refusal", [PermissionDenied.code, -21357, -22])
def test_a_refusal_as_the_very_first_reply_may_be_that_of_the_credentials(refusal: int) -> None:
    wire = Wire()
    wire.incoming = [Error(refusal)]
    with pytest.raises(Exception) as refused:
        wire.desc(PMIDS[0])
    assert wire.link.broken_by(refused.value)


def test_a_reply_of_the_wrong_kind_ends_the_connection() -> None:
    wire = Wire()
    wire.incoming = [Result(0, [])]
    with pytest.raises(RemoteProtocolError) as nonsense:
        wire.desc(PMIDS[0])
    assert wire.link.broken_by(nonsense.value)


def test_a_closed_channel_ends_the_connection() -> None:
    wire = Wire()
    moves = wire.link.perform(wire.state, lookup_desc(wire.state, PMIDS[0]))
    moves.send(None)
    moves.send(None)
    assert wire.link.broken_by(ChannelClosed())


def test_a_request_that_was_only_half_sent_ends_the_connection() -> None:
    wire = Wire()
    moves = wire.link.perform(wire.state, lookup_desc(wire.state, PMIDS[0]))
    assert isinstance(moves.send(None), bytes)
    assert wire.link.broken_by(RequestTimeout())
    assert wire.link.broken_by(KeyboardInterrupt())
