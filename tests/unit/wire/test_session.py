"""Who may send what, when: a client's handshake as the daemon follows it, and the reference for all that follows."""

import pytest

from pypcp.errors import AgentNotReady, AgentReady, ProtocolError, RemoteProtocolError
from pypcp.model.desc import Desc
from pypcp.model.profile import EVERYTHING
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.desc import DescIds, DescReply, DescRequest
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.label import LabelRequest
from pypcp.wire.pdu import Feature, Pdu, UnknownPdu
from pypcp.wire.pmns import PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.session import Phase
from sessions import AgentSession, ClientSession, Party, Stage

OFFER = Feature.AUTH | Feature.CONTAINER | Feature.LABELS | Feature.HIGHRES | Feature.DESCS
SASL = Attribute(AttributeKey.SASL, b"PLAIN")
CONTAINER = Attribute(AttributeKey.CONTAINER, b"web01")
PROFILE = ProfilePdu(0, EVERYTHING)
FETCH, HIGHRES_FETCH = Fetch(0, (1,)), Fetch(0, (1,), highres=True)
RESULT, HIGHRES_RESULT = Result(0, []), Result(0, [], highres=True)
DESC_REQUEST, DESC = DescRequest(1), DescReply(Desc(1, 0))  # type: ignore[arg-type]
END_OF_CLIENT = Error(-12391, sender=3)


def server(**options: bool) -> ClientSession:
    """pmcd's end, after its challenge."""
    session = ClientSession(Party.PMCD, **options)
    session.sent(Challenge(features=OFFER))
    return session


def open_server() -> ClientSession:
    session = server()
    session.received(Creds())
    return session


def open_client(features: Feature = OFFER) -> ClientSession:
    session = ClientSession(Party.CLIENT)
    session.received(Challenge(features=features))
    session.sent(Creds())
    return session


def agent(us: Party, **options: bool) -> AgentSession:
    """Either end of an agent's conversation, after the handshake."""
    session = AgentSession(us, **options)
    first, second = (session.received, session.sent) if us is Party.PMCD else (session.sent, session.received)
    first(Creds(flags=Feature.AUTH))
    second(Creds(flags=Feature.AUTH))
    return session


def test_the_server_speaks_first() -> None:
    session = ClientSession(Party.CLIENT)
    with pytest.raises(ProtocolError, match="challenge"):
        session.sent(Creds())
    session.received(Challenge(features=OFFER))
    assert (session.phase, session.features) == (Stage.CREDENTIALS, OFFER)


def test_after_credentials_without_flags_requests_may_come_at_once() -> None:
    session = open_server()
    assert (session.phase, session.version) == (Phase.OPEN, 2)


def test_a_refusal_in_the_challenge_ends_the_conversation() -> None:
    session = ClientSession(Party.CLIENT)
    session.received(Challenge(-12387))
    assert session.phase is Stage.CLOSED
    with pytest.raises(ProtocolError):
        session.sent(Creds())


def test_anything_but_an_error_as_greeting_ends_the_conversation() -> None:
    session = ClientSession(Party.CLIENT)
    with pytest.raises(RemoteProtocolError):
        session.received(DESC)
    assert session.phase is Stage.CLOSED


def test_a_request_before_credentials_ends_the_conversation() -> None:
    session = server()
    with pytest.raises(RemoteProtocolError, match="before any credentials"):
        session.received(DESC_REQUEST)
    assert session.phase is Stage.CLOSED


def test_void_credentials_change_nothing_and_good_ones_heal() -> None:
    session = server()
    session.received(Creds(version=0))
    assert (session.phase, session.version) == (Stage.CREDENTIALS, 0)
    session.received(Creds(version=3))
    assert (session.phase, session.version) == (Phase.OPEN, 2)


@pytest.mark.parametrize(
    ("flags", "user_known", "phases"),
    [
        (Feature.SECURE | Feature.SECURE_ACK, False, [Phase.SECURE_ACK, Phase.TLS]),
        (Feature.SECURE, False, [Phase.TLS]),
        (Feature.SECURE_ACK, False, []),
        (Feature.AUTH, False, [Phase.SASL_SERVER]),
        (Feature.CREDS_REQD, False, [Phase.SASL_SERVER]),
        (Feature.CREDS_REQD, True, []),
        (Feature.CREDS_REQD | Feature.CONTAINER, True, [Phase.CONTAINER]),
        (Feature.CONTAINER, False, [Phase.CONTAINER]),
        (
            Feature.SECURE | Feature.SECURE_ACK | Feature.AUTH | Feature.CONTAINER,
            False,
            [Phase.SECURE_ACK, Phase.TLS, Phase.SASL_SERVER, Phase.CONTAINER],
        ),
    ],
)
def test_flags_of_the_credentials_say_which_steps_follow(flags: Feature, user_known: bool, phases: list[Phase]) -> None:
    session = server(user_known=user_known)
    session.received(Creds(flags=flags))
    seen = []
    while session.phase is not Phase.OPEN:
        seen.append(session.phase)
        if session.phase is Phase.SECURE_ACK:
            session.sent(Error(0))
        elif session.phase is Phase.TLS:
            session.secured()
        elif session.phase is Phase.SASL_SERVER:
            session.sent(SASL)
            session.received(SASL)
            session.authenticated()
        else:
            session.received(CONTAINER)
    assert seen == phases


def test_every_sasl_message_of_the_server_is_answered_by_one() -> None:
    session = server()
    session.received(Creds(flags=Feature.AUTH))
    session.sent(SASL)
    with pytest.raises(ProtocolError):
        session.sent(SASL)
    with pytest.raises(ProtocolError):
        session.authenticated()
    session.received(SASL)
    with pytest.raises(RemoteProtocolError):
        session.received(SASL)


@pytest.mark.parametrize(
    "flags", [Feature.SECURE | Feature.SECURE_ACK, Feature.SECURE, Feature.AUTH, Feature.CONTAINER]
)
def test_after_a_failed_step_pmcd_says_so_and_serves_on(flags: Feature) -> None:
    session = server()
    session.received(Creds(flags=flags | Feature.CONTAINER))
    session.sent(Error(-12391))
    assert session.phase is Phase.OPEN
    session.received(DESC_REQUEST)
    assert list(session.owed) == [DESC_REQUEST.pdu_type]


@pytest.mark.parametrize("pdu", [DESC_REQUEST, Attribute(AttributeKey.USERID, b"55")])
def test_what_comes_in_place_of_a_container_is_used_up(pdu: Pdu) -> None:
    session = server()
    session.received(Creds(flags=Feature.CONTAINER))
    with pytest.raises(RemoteProtocolError):
        session.received(pdu)
    assert (session.phase, list(session.owed)) == (Phase.OPEN, [])


def test_what_is_no_sasl_message_ends_the_attempt() -> None:
    session = server()
    session.received(Creds(flags=Feature.AUTH))
    session.sent(SASL)
    with pytest.raises(RemoteProtocolError):
        session.received(DESC_REQUEST)
    assert session.phase is Phase.OPEN


def test_requests_may_be_pipelined_and_are_answered_in_order() -> None:
    session = open_server()
    for request in (PROFILE, DESC_REQUEST, HIGHRES_FETCH, PmnsTraverse("")):
        session.received(request)
    session.sent(DESC)
    session.sent(HIGHRES_RESULT)
    session.sent(PmnsNames([]))
    with pytest.raises(ProtocolError, match="answers nothing"):
        session.sent(DESC)


@pytest.mark.parametrize(
    ("request_", "reply"), [(FETCH, HIGHRES_RESULT), (HIGHRES_FETCH, RESULT), (DESC_REQUEST, RESULT)]
)
def test_an_answer_of_another_type_is_none(request_: Pdu, reply: Pdu) -> None:
    session = open_client()
    session.sent(request_)
    with pytest.raises(RemoteProtocolError, match="no answer"):
        session.received(reply)


def test_an_error_answers_everything_and_a_store_is_answered_by_nothing_else() -> None:
    session = open_client()
    for request in (DESC_REQUEST, FETCH, RESULT):
        session.sent(request)
        session.received(Error(-12366 if request is not RESULT else 0))
    assert not session.owed
    session.sent(RESULT)
    with pytest.raises(RemoteProtocolError):
        session.received(RESULT)


def test_state_changes_come_before_the_answer_to_a_fetch_and_nowhere_else() -> None:
    session = open_client()
    session.sent(HIGHRES_FETCH)
    session.received(Error(4))
    session.received(Error(3))
    session.received(HIGHRES_RESULT)
    with pytest.raises(RemoteProtocolError, match="state change"):
        session.received(Error(4))
    session.sent(DESC_REQUEST)
    with pytest.raises(RemoteProtocolError, match="state change"):
        session.received(Error(4))


def test_an_error_that_answers_nothing_tells_of_a_bad_profile() -> None:
    session = open_client()
    session.sent(PROFILE)
    session.received(Error(-12366))
    assert not session.owed


@pytest.mark.parametrize("pdu", [DESC, HIGHRES_RESULT, Error(0), CONTAINER, UnknownPdu(0x7020), UnknownPdu(0x700A)])
def test_what_is_no_request_is_refused_and_the_conversation_goes_on(pdu: Pdu) -> None:
    session = open_server()
    with pytest.raises(RemoteProtocolError, match="no request"):
        session.received(pdu)
    assert session.phase is Phase.OPEN
    session.received(DESC_REQUEST)


def test_credentials_may_come_again() -> None:
    session = open_server()
    session.received(Creds(flags=Feature.CONTAINER))
    assert session.phase is Phase.CONTAINER


@pytest.mark.parametrize("request_", [HIGHRES_FETCH, DescIds([1]), LabelRequest(1, 1)])
def test_a_client_asks_only_what_the_server_offers_but_a_server_answers_all(request_: Pdu) -> None:
    with pytest.raises(ProtocolError, match="offers"):
        open_client(Feature.NONE).sent(request_)
    session = ClientSession(Party.PMCD)
    session.sent(Challenge())
    session.received(Creds())
    session.received(request_)
    assert list(session.owed) == [request_.pdu_type]


def test_a_client_without_credentials_is_of_version_1_where_that_is_accepted() -> None:
    session = server(accept_version_1=True)
    session.received(PROFILE)
    assert (session.phase, session.version) == (Phase.OPEN, 1)
    session.received(FETCH)
    with pytest.raises(ProtocolError, match="state change"):
        session.sent(Error(4))
    session.sent(RESULT)
    for pdu in (HIGHRES_FETCH, PmnsNames(["a"]), Creds()):
        with pytest.raises(RemoteProtocolError, match="version 1"):
            session.received(pdu)


def test_the_short_greeting_means_a_server_of_version_1() -> None:
    session = ClientSession(Party.CLIENT)
    session.received(Error(0))
    assert (session.phase, session.version) == (Phase.OPEN, 1)
    session.sent(FETCH)
    with pytest.raises(ProtocolError, match="version 1"):
        session.sent(PmnsIds([1]))


def test_the_agent_speaks_first_and_pmcd_answers() -> None:
    session = AgentSession(Party.PMCD)
    with pytest.raises(ProtocolError):
        session.sent(Creds())
    session.received(Creds(flags=Feature.CONTAINER))
    assert (session.phase, session.flags) == (Stage.ACCEPTANCE, Feature.CONTAINER)
    with pytest.raises(ProtocolError):
        session.sent(DESC_REQUEST)
    session.sent(Creds())
    assert session.phase is Phase.OPEN


def test_an_agent_that_begins_with_something_else_is_abandoned() -> None:
    session = AgentSession(Party.PMCD)
    with pytest.raises(RemoteProtocolError):
        session.received(DESC)
    assert session.phase is Stage.CLOSED


def test_credentials_that_say_nothing_get_no_answer_but_keep_the_agent() -> None:
    session = AgentSession(Party.PMCD)
    session.received(Creds(version=0))
    assert session.phase is Phase.OPEN


def test_an_agent_is_asked_one_thing_at_a_time() -> None:
    session = agent(Party.PMCD)
    session.sent(FETCH)
    with pytest.raises(ProtocolError, match="FETCH has no answer"):
        session.sent(DESC_REQUEST)
    session.received(RESULT)
    session.sent(DESC_REQUEST)
    session.received(DESC)


def test_profiles_attributes_and_ends_of_clients_are_not_answered() -> None:
    session = agent(Party.AGENT)
    for pdu in (PROFILE, CONTAINER, END_OF_CLIENT):
        session.received(pdu)
        with pytest.raises(ProtocolError, match="answers nothing"):
            session.sent(Error(0))


@pytest.mark.parametrize("pdu", [HIGHRES_FETCH, DescIds([1]), Creds(), UnknownPdu(0x700A)])
def test_some_things_are_never_asked_of_an_agent(pdu: Pdu) -> None:
    with pytest.raises(ProtocolError, match="no request to an agent"):
        agent(Party.PMCD).sent(pdu)


def test_an_agent_that_is_not_ready_is_left_alone_until_it_is() -> None:
    session = agent(Party.PMCD)
    session.sent(FETCH)
    session.received(Error(AgentNotReady.code))
    assert session.phase is Stage.NOT_READY
    with pytest.raises(ProtocolError):
        session.sent(PROFILE)
    session.received(Error(AgentReady.code))
    session.sent(FETCH)


def test_an_agent_configured_not_ready_says_first_that_it_is() -> None:
    session = agent(Party.PMCD, starts_not_ready=True)
    assert session.phase is Stage.NOT_READY
    session.received(Error(AgentReady.code))
    assert session.phase is Phase.OPEN


def test_anything_else_from_an_agent_that_is_not_ready_ends_it() -> None:
    session = agent(Party.PMCD, starts_not_ready=True)
    with pytest.raises(RemoteProtocolError):
        session.received(Error(AgentNotReady.code))
    assert session.phase is Stage.CLOSED


def test_ready_from_an_agent_that_is_ready_is_no_answer() -> None:
    session = agent(Party.PMCD)
    session.sent(FETCH)
    with pytest.raises(RemoteProtocolError, match="ready already"):
        session.received(Error(AgentReady.code))
    assert list(session.owed) == [FETCH.pdu_type]


def test_after_the_end_nobody_says_anything() -> None:
    session = open_client()
    session.sent(FETCH)
    session.close()
    assert (session.phase, list(session.owed)) == (Stage.CLOSED, [])
    with pytest.raises(RemoteProtocolError):
        session.received(RESULT)


def test_only_parties_of_a_conversation_take_part_in_it() -> None:
    with pytest.raises(ValueError, match="no part"):
        ClientSession(Party.AGENT)


@pytest.mark.parametrize("pdu", [DESC, Error(0), CONTAINER])
def test_while_a_step_waits_pmcd_says_nothing_but_that_it_failed(pdu: Pdu) -> None:
    session = ClientSession(Party.CLIENT)
    session.received(Challenge(features=OFFER))
    session.sent(Creds(flags=Feature.CONTAINER))
    with pytest.raises(RemoteProtocolError, match="the name of a container"):
        session.received(pdu)
    assert session.phase is Phase.CONTAINER
