"""Whole conversations with the daemon: any requests, in any pieces, are answered one by one and in order.

The client's end of the protocol's rules (`sessions.py`) is the judge: it is told every PDU in both directions.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fuzz.collector import DOMAIN, Collector
from property import pdus
from pypcp.model.ids import Pmid
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.desc import DescIds, DescRequest
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.instance import InstanceRequest
from pypcp.wire.label import LabelRequest
from pypcp.wire.pdu import Feature, Pdu, encode
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.session import Phase
from pypcp.wire.text import TextKind, TextRequest
from sessions import ClientSession, Party

MODEST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SINK = DOMAIN << 22
OURS = st.sampled_from([SINK | item for item in (*range(9), *range(100, 109))] + [Pmid.build(2, 0, 2), 0xFFFFFFFF])
PMIDS = (OURS | pdus.U32).map(Pmid)
INDOMS = st.sampled_from([SINK | 1, SINK | 2]) | pdus.U32
NAMES = st.sampled_from(["sink.one.u32", "sink.many", "sink", "pmcd.pid", "", "no.such"]) | pdus.NAME
CONTEXTS = st.integers(0, 3)

REQUESTS: st.SearchStrategy[Pdu] = st.one_of(
    st.builds(ProfilePdu, CONTEXTS, pdus.PROFILES),
    st.builds(Fetch, CONTEXTS, st.lists(PMIDS, min_size=1, max_size=200).map(tuple), st.booleans()),
    pdus.results().filter(lambda result: not result.highres),
    st.builds(DescRequest, PMIDS),
    st.builds(DescIds, st.lists(PMIDS, min_size=1, max_size=100).map(tuple)),
    st.builds(InstanceRequest, INDOMS, st.sampled_from([-1, 0, 7]), st.sampled_from(["", "zero", "none"])),
    st.builds(TextRequest, PMIDS, st.integers(0, 31).map(TextKind)),
    st.builds(LabelRequest, PMIDS, pdus.I32 | st.sampled_from([1, 2, 4, 8, 16, 32])),
    st.builds(PmnsIds, st.lists(PMIDS, min_size=1, max_size=2).map(tuple)),
    st.builds(PmnsNames, st.lists(NAMES.filter(bool), max_size=100)),
    st.builds(PmnsChild, NAMES, st.integers(0, 1)),
    st.builds(PmnsTraverse, NAMES),
)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _collector_before_what_it_opens_is_counted(collector: Collector) -> None:
    """The module's collector is no leak of its first test."""


def judged(sent: list[Pdu], replies: list[Pdu]) -> ClientSession:
    """The client's session after all of that; a rule that is broken raises."""
    session = ClientSession(Party.CLIENT, user_known=True)
    challenge, *answers = replies
    session.received(challenge)
    for pdu in sent:
        session.sent(pdu)
    for pdu in answers:
        session.received(pdu)
    return session


def cut(data: bytes, ends: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *[end % (len(data) + 1) for end in ends]})
    return [data[begin:end] for begin, end in pairwise(places)]


@MODEST
@given(st.lists(REQUESTS, max_size=12), st.lists(st.integers(0, 100_000), max_size=10))
def test_every_request_has_its_answer_in_order_however_it_was_cut(
    collector: Collector, requests: list[Pdu], ends: list[int]
) -> None:
    sent = [Creds(), *requests]
    replies = collector.converse(cut(b"".join(map(encode, sent)), ends))
    session = judged(sent, replies)
    assert session.phase is Phase.OPEN
    assert not session.owed


@MODEST
@given(st.lists(REQUESTS, min_size=1, max_size=6))
def test_the_answers_do_not_depend_on_how_requests_arrive(collector: Collector, requests: list[Pdu]) -> None:
    sent = [encode(Creds()), *map(encode, requests)]
    one_by_one = collector.converse(sent)
    at_once = collector.converse([b"".join(sent)])
    assert [type(pdu) for pdu in one_by_one] == [type(pdu) for pdu in at_once]
    codes = [[pdu.code for pdu in replies if isinstance(pdu, Error)] for replies in (one_by_one, at_once)]
    assert codes[0] == codes[1]


@MODEST
@given(
    st.builds(Creds, st.integers(0, 3), st.integers(0, 0xFFFF).map(Feature)),
    st.lists(REQUESTS | st.builds(Attribute, st.sampled_from(AttributeKey), st.binary(max_size=50)), max_size=4),
)
@example(Creds(flags=Feature.SECURE | Feature.CREDS_REQD), [DescRequest(1)])
def test_nobody_is_answered_who_was_not_let_in(collector: Collector, creds: Creds, requests: list[Pdu]) -> None:
    replies = collector.converse([encode(creds), *map(encode, requests)])
    assert isinstance(replies[0], Challenge)
    taken = Feature.SECURE_ACK | Feature.CERT_REQD | Feature.CREDS_REQD | Feature.CONTAINER
    if creds.flags & Feature.CREDS_REQD:  # what it asks for, the UNIX socket has told already
        taken |= Feature.SECURE | Feature.AUTH
    if not creds.version or int(creds.flags) & ~int(taken):
        assert all(isinstance(pdu, Error | Attribute | Challenge) for pdu in replies)


def test_the_judge_finds_a_missing_and_a_wrong_answer() -> None:
    sent: list[Pdu] = [Creds(), DescRequest(1), Fetch(0, (1,))]
    challenge = Challenge(features=Feature.LABELS | Feature.HIGHRES | Feature.DESCS)
    assert judged(sent, [challenge, Error(-1)]).owed
    with pytest.raises(Exception, match="no answer"):
        judged(sent, [challenge, Result(0, [])])
