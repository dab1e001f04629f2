"""Frames in, frames out: the contract of pmdaMain(3)."""

import random
import struct

import pytest

from pypcp.errors import (
    AgentNotReady,
    BadStore,
    BadType,
    InternalError,
    NotConnected,
    NoText,
    PermissionDenied,
    ProtocolError,
    TryAgain,
    UnknownInDom,
    UnknownInstance,
    UnknownName,
    UnknownPmid,
)
from pypcp.model.desc import Desc
from pypcp.model.ids import InDom, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.profile import InDomProfile, Profile
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmda import U32, Agent, Client
from pypcp.pmda.dispatch import Dispatcher
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.buffer import HEADER
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.handshake import Error
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import Pdu, PduType, StateChange, decode, encode
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.text import TextKind, TextReply, TextRequest

DOMAIN = 100
COLORS = InDom.build(DOMAIN, 0)
NUMBER, COLUMN, NAME = (Pmid.build(DOMAIN, 0, item) for item in range(3))
UNKNOWN = Pmid.build(DOMAIN, 9, 9)


@pytest.fixture
def agent() -> Agent:
    made = Agent("t", DOMAIN)
    colors = made.indom(0, fixed={0: "red", 1: "green", 7: "blue sky"}, help_="Colors\nThree of them.")
    stored: dict[str, int] = {"number": 42}

    @made.metric()
    def number() -> U32:
        """A number

        With a long text."""
        return stored["number"]

    @number.on_store
    def _(value: int, client: Client) -> None:
        if value > 100:
            raise ValueError("too much")
        stored["number"] = value

    @made.metric(indom=colors)
    def column() -> list[float]:
        return [0.5, 1.5, 2.5]

    @made.metric()
    def name(client: Client) -> str:
        return f"{client.context} {client.uid} {client.container}"

    return made


@pytest.fixture
def ask(agent: Agent):
    dispatcher = Dispatcher(agent)

    def asked(pdu: Pdu) -> Pdu | None:
        reply = dispatcher.answer(encode(pdu))
        return decode(reply) if reply else None

    return asked


def values(reply: Pdu | None) -> dict[int, list]:
    assert isinstance(reply, Result)
    return {each.pmid: list(each.values) if each.error is None else each.error.code for each in reply.value_sets}


def test_a_fetch_is_answered_with_one_value_set_for_each_metric_in_order(ask):
    reply = ask(Fetch(0, (COLUMN, UNKNOWN, NUMBER)))
    assert [each.pmid for each in reply.value_sets] == [COLUMN, UNKNOWN, NUMBER]
    assert values(reply) == {COLUMN: [0.5, 1.5, 2.5], UNKNOWN: UnknownPmid.code, NUMBER: [42]}


def test_the_time_of_a_reply_is_no_time(ask):
    assert ask(Fetch(0, (NUMBER,))).time_ns == 0


def test_changes_are_told_once_where_a_time_would_stand(agent, ask):
    ask(PmnsTraverse(""))
    agent.names_changed()
    agent.labels_changed()
    told = StateChange.NAMES_CHANGE | StateChange.LABEL_CHANGE
    assert [ask(Fetch(0, (NUMBER,))).time_ns for _ in range(2)] == [told * 10**9, 0]


def test_a_repeated_fetch_has_the_values_of_now(agent, ask):
    assert values(ask(Fetch(0, (NUMBER,)))) == {NUMBER: [42]}
    ask(Result(0, [ValueSet.singular(NUMBER, 7, ValueType.U32)]))
    assert values(ask(Fetch(0, (NUMBER,)))) == {NUMBER: [7]}


def test_the_last_profile_counts_whoever_sent_it(ask):
    only_blue = Profile(indoms={COLORS: InDomProfile(False, frozenset({7}))})
    assert ask(ProfilePdu(0, only_blue, sender=3)) is None
    assert values(ask(Fetch(0, (COLUMN,), sender=4))) == {COLUMN: [2.5]}
    assert ask(ProfilePdu(0, Profile(), sender=4)) is None
    assert values(ask(Fetch(0, (COLUMN,), sender=4))) == {COLUMN: [0.5, 1.5, 2.5]}


def test_a_profile_without_any_instance_gives_no_values(ask):
    ask(ProfilePdu(0, Profile(include=False)))
    assert values(ask(Fetch(0, (COLUMN, NUMBER)))) == {COLUMN: [], NUMBER: [42]}


def test_descriptors_are_given_or_the_pmid_is_unknown(ask):
    assert ask(DescRequest(COLUMN)) == DescReply(Desc(COLUMN, ValueType.DOUBLE, COLORS))
    assert ask(DescRequest(UNKNOWN)) == Error(UnknownPmid.code)


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (InstanceRequest(COLORS), InstanceReply(COLORS, [0, 1, 7], ["red", "green", "blue sky"])),
        (InstanceRequest(COLORS, 7), InstanceReply(COLORS, [], ["blue sky"])),
        (InstanceRequest(COLORS, name="blue sky"), InstanceReply(COLORS, [7], [])),
        (InstanceRequest(COLORS, name="blue"), InstanceReply(COLORS, [7], [])),
        (InstanceRequest(COLORS, name="blue moon"), Error(UnknownInstance.code)),
        (InstanceRequest(COLORS, 2), Error(UnknownInstance.code)),
        (InstanceRequest(COLORS, 7, "blue sky"), Error(UnknownInstance.code)),
        (InstanceRequest(InDom.build(DOMAIN, 5)), Error(UnknownInDom.code)),
    ],
)
def test_instances_are_asked_for_whole_by_number_and_by_name(ask, request_, reply):
    assert ask(request_) == reply


@pytest.mark.parametrize(
    ("ident", "kind", "text"),
    [
        (NUMBER, TextKind.PMID | TextKind.ONELINE, "A number"),
        (NUMBER, TextKind.PMID | TextKind.HELP, "With a long text."),
        (COLORS, TextKind.INDOM | TextKind.ONELINE, "Colors"),
        (COLORS, TextKind.INDOM | TextKind.HELP, "Three of them."),
    ],
)
def test_texts_come_from_docstrings(ask, ident, kind, text):
    assert ask(TextRequest(ident, kind)) == TextReply(ident, text)


def test_the_identifier_of_a_text_goes_back_in_this_machines_byte_order(agent):
    reply = Dispatcher(agent).answer(encode(TextRequest(NUMBER, TextKind.PMID | TextKind.ONELINE)))
    assert reply[12:16] == struct.pack("=I", NUMBER)


def test_where_there_is_no_text_that_is_said(ask):
    assert ask(TextRequest(COLUMN, TextKind.PMID | TextKind.ONELINE)) == Error(NoText.code)


def test_the_domain_is_labelled_with_the_agents_name(ask):
    reply = ask(LabelRequest(DOMAIN, LabelType.DOMAIN))
    assert isinstance(reply, LabelReply)
    assert [each.json for each in reply.sets] == [b'{"agent":"t"}']
    assert ask(LabelRequest(NUMBER, LabelType.ITEM)).sets == []
    assert ask(LabelRequest(NUMBER, 64 | 16)) == Error(BadType.code)


def test_one_name_is_looked_up_at_a_time(ask):
    assert ask(PmnsNames(["t.number"])) == PmnsIds((NUMBER,), 0)
    assert ask(PmnsNames(["t.nosuch"])) == Error(UnknownName.code)
    assert ask(PmnsNames(["t.number", "t.name"])) == Error(ProtocolError.code)


def test_names_are_given_without_statuses(ask):
    assert ask(PmnsIds([NUMBER])) == PmnsNames(["t.number"], None)
    assert ask(PmnsIds([UNKNOWN])) == Error(UnknownPmid.code)
    assert ask(PmnsTraverse("t")) == PmnsNames(["t.number", "t.column", "t.name"], None)


def test_children_have_statuses_only_if_asked_for(ask):
    assert ask(PmnsChild("", 1)) == PmnsNames(["t"], [1])
    assert ask(PmnsChild("t", 1)) == PmnsNames(["number", "column", "name"], [0, 0, 0])
    assert ask(PmnsChild("t", 0)) == PmnsNames(["number", "column", "name"], None)
    assert ask(PmnsChild("t.number", 1)) == PmnsNames([], None)
    assert ask(PmnsChild("t.nosuch", 1)) == Error(UnknownName.code)


def test_a_store_is_always_answered_with_an_error_pdu(ask):
    assert ask(Result(0, [ValueSet.singular(NUMBER, 7, ValueType.U32)])) == Error(0)
    assert ask(Result(0, [ValueSet.singular(NUMBER, 700, ValueType.U32)])) == Error(BadStore.code)
    assert ask(Result(0, [ValueSet.singular(NAME, "x", ValueType.STRING)])) == Error(PermissionDenied.code)
    assert ask(Result(0, [ValueSet.singular(UNKNOWN, 7, ValueType.U32)])) == Error(UnknownPmid.code)


def test_nothing_is_stored_where_one_of_the_metrics_cannot_be(ask):
    both = [ValueSet.singular(NUMBER, 7, ValueType.U32), ValueSet.singular(NAME, "x", ValueType.STRING)]
    assert ask(Result(0, both)) == Error(PermissionDenied.code)
    assert values(ask(Fetch(0, (NUMBER,)))) == {NUMBER: [42]}


def test_attributes_belong_to_the_client_in_the_header_and_have_no_answer(ask):
    assert ask(Attribute(AttributeKey.USERID, b"1000\0", sender=5)) is None
    assert ask(Attribute(AttributeKey.CONTAINER, b"web\0", sender=5)) is None
    assert values(ask(Fetch(0, (NAME,), sender=5))) == {NAME: ["5 1000 web"]}
    assert values(ask(Fetch(0, (NAME,), sender=6))) == {NAME: ["6 None None"]}
    assert ask(Attribute(AttributeKey.CONTAINER, b"\0", sender=5)) is None
    assert values(ask(Fetch(0, (NAME,), sender=5))) == {NAME: ["5 1000 None"]}


def test_the_end_of_a_client_has_no_answer_and_its_slot_starts_anew(agent, ask):
    ended = []
    agent.on_end(lambda client: ended.append((client.context, client.uid)))
    ask(Attribute(AttributeKey.USERID, b"1000\0", sender=5))
    assert ask(Error(NotConnected.code, sender=5)) is None
    assert ended == [(5, 1000)]
    assert values(ask(Fetch(0, (NAME,), sender=5))) == {NAME: ["5 None None"]}


def test_other_errors_of_the_daemon_are_not_answered(ask):
    assert ask(Error(TryAgain.code)) is None


def test_what_no_agent_is_asked_is_not_answered(agent):
    for type_ in (PduType.HIGHRES_FETCH, PduType.DESC_IDS, PduType.CONTROL_REQ, 0x7777):
        assert Dispatcher(agent).answer(HEADER.pack(12, type_, 0)) == b""


@pytest.mark.parametrize("type_", [PduType.FETCH, PduType.DESC_REQ, PduType.INSTANCE_REQ, PduType.TEXT_REQ])
def test_a_malformed_request_is_answered_with_a_protocol_error(agent, type_):
    frame = HEADER.pack(14, type_, 0) + b"xx"
    assert decode(Dispatcher(agent).answer(frame)) == Error(ProtocolError.code)


@pytest.mark.parametrize("type_", [PduType.PROFILE, PduType.ATTR, PduType.ERROR])
def test_a_malformed_pdu_without_an_answer_stays_without(agent, type_):
    assert Dispatcher(agent).answer(HEADER.pack(14, type_, 0) + b"xx") == b""


def test_an_agent_that_is_not_ready_says_so_to_every_request(agent, ask):
    with agent.not_ready():
        assert ask(Fetch(0, (NUMBER,))) == Error(AgentNotReady.code)
        assert ask(DescRequest(NUMBER)) == Error(AgentNotReady.code)
        assert ask(ProfilePdu(0, Profile())) is None
    assert values(ask(Fetch(0, (NUMBER,)))) == {NUMBER: [42]}


def test_a_check_refuses_every_request_but_answers_nothing_that_has_no_answer(agent, ask):
    @agent.check
    def _() -> None:
        raise TryAgain()

    for request in (
        Fetch(0, (NUMBER,)),
        DescRequest(NUMBER),
        InstanceRequest(COLORS),
        TextRequest(NUMBER, TextKind.PMID | TextKind.HELP),
        LabelRequest(DOMAIN, LabelType.DOMAIN),
        PmnsNames(["t.number"]),
        PmnsIds([NUMBER]),
        PmnsChild("t", 1),
        PmnsTraverse("t"),
        Result(0, [ValueSet.singular(NUMBER, 7, ValueType.U32)]),
    ):
        assert ask(request) == Error(TryAgain.code), request
    assert ask(Error(NotConnected.code)) is None


def test_a_bug_in_one_answer_costs_that_answer_only(agent, ask):
    @agent.check
    def _() -> None:
        raise ZeroDivisionError

    assert ask(DescRequest(NUMBER)) == Error(InternalError.code)


def test_prepared_fetch_lists_are_bounded(agent):
    dispatcher = Dispatcher(agent)
    long = (NUMBER,) * 5000
    for extra in range(15):
        dispatcher.answer(encode(Fetch(0, long + (NUMBER,) * extra)))
    assert len(dispatcher._fetches) < 10


def test_whatever_bytes_come_the_agent_answers_or_is_silent_and_never_fails(agent):
    dispatcher = Dispatcher(agent)
    chance = random.Random(11)
    whole = [
        encode(pdu)
        for pdu in (
            Fetch(0, (COLUMN, NUMBER)),
            ProfilePdu(0, Profile(indoms={COLORS: InDomProfile(False, frozenset({7}))})),
            InstanceRequest(COLORS, name="red"),
            PmnsNames(["t.number"]),
            PmnsChild("t", 1),
            LabelRequest(COLORS, LabelType.INSTANCES),
            Result(0, [ValueSet.singular(NUMBER, 7, ValueType.U32)]),
            Attribute(AttributeKey.USERID, b"1000\0"),
        )
    ]
    for _ in range(1000):
        frame = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 5)):
            frame[chance.randrange(4, len(frame))] = chance.choice((0, 1, 127, 128, 255))
        del frame[chance.randrange(12, len(frame) + 1) :]
        struct.pack_into(">i", frame, 0, len(frame))
        reply = dispatcher.answer(bytes(frame))
        assert not reply or isinstance(decode(reply), Pdu)


def test_labels_of_instances_are_encoded_once_for_as_long_as_they_stay():
    agent = Agent("t", 100)
    things = agent.indom(0, label_instance=lambda name: {"name": name})
    things.replace(["a", "b"])
    dispatcher = Dispatcher(agent)
    request = encode(LabelRequest(things.id, LabelType.INSTANCES))
    first = dispatcher.answer(request)
    assert dispatcher.answer(request) is first
    things.replace(["a", "c"])
    changed = decode(dispatcher.answer(request))
    assert [each.json for each in changed.sets] == [b'{"name":"a"}', b'{"name":"c"}']
    dispatcher.answer(encode(ProfilePdu(0, Profile(indoms={things.id: InDomProfile(False, frozenset({0}))}))))
    assert [each.json for each in decode(dispatcher.answer(request)).sets] == [b'{"name":"a"}']
