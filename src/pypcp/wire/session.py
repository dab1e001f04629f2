"""Who may send what, when: the state of one connection, seen from either end. No I/O.

A conversation is between a client and pmcd (:class:`ClientSession`), or between pmcd and an agent
(:class:`AgentSession`). Both ends keep one and tell it every PDU, in the order in which they are on the stream:
``sent(pdu)`` before it goes out, ``received(pdu)`` when it came in. What the conversation does not allow raises
``ProtocolError`` from ``sent`` and ``RemoteProtocolError`` from ``received``. Whether a broken rule ends the connection
is to be seen from ``phase``: then it is CLOSED; else the conversation goes on as if that PDU had not been.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

from pypcp.errors import AgentNotReady, AgentReady, ProtocolError, RemoteProtocolError
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Feature, Pdu, PduType
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2, UNKNOWN_VERSION


class Party(Enum):
    """Who takes part."""

    CLIENT = "client"
    PMCD = "pmcd"
    AGENT = "agent"


class Phase(Enum):
    """What comes next on a connection."""

    GREETING = "pmcd's challenge"
    CREDENTIALS = "credentials"
    ACCEPTANCE = "pmcd's credentials for an agent"
    SECURE_ACK = "pmcd's word before TLS"
    TLS = "the TLS handshake"
    SASL_SERVER = "pmcd's SASL message"
    SASL_CLIENT = "the client's SASL message"
    CONTAINER = "the name of a container"
    OPEN = "requests and replies"
    NOT_READY = "the agent's word that it is ready"
    CLOSED = "nothing"


AGENT_REPLIES: Final[dict[int, PduType]] = {
    PduType.FETCH: PduType.RESULT,
    PduType.DESC_REQ: PduType.DESC,
    PduType.INSTANCE_REQ: PduType.INSTANCE,
    PduType.TEXT_REQ: PduType.TEXT,
    PduType.LABEL_REQ: PduType.LABEL,
    PduType.PMNS_IDS: PduType.PMNS_NAMES,
    PduType.PMNS_NAMES: PduType.PMNS_IDS,
    PduType.PMNS_CHILD: PduType.PMNS_NAMES,
    PduType.PMNS_TRAVERSE: PduType.PMNS_NAMES,
    PduType.RESULT: PduType.ERROR,
}
"""What pmcd asks an agent, and the type of the answer; ERROR answers everything."""

CLIENT_REPLIES: Final[dict[int, PduType]] = AGENT_REPLIES | {
    PduType.HIGHRES_FETCH: PduType.HIGHRES_RESULT,
    PduType.DESC_IDS: PduType.DESCS,
}
"""What a client asks pmcd, and the type of the answer; ERROR answers everything."""

FETCHES: Final = frozenset({PduType.FETCH, PduType.HIGHRES_FETCH})
"""Before the answer to these, and only these, state changes are told by an ERROR with a positive code."""

NEEDED_FEATURES: Final[dict[int, Feature]] = {
    PduType.LABEL_REQ: Feature.LABELS,
    PduType.HIGHRES_FETCH: Feature.HIGHRES,
    PduType.DESC_IDS: Feature.DESCS,
}
"""What a client may ask only where the challenge offers it. pmcd answers it always."""

VERSION_1_REQUESTS: Final = frozenset(
    {
        PduType.PROFILE,
        PduType.FETCH,
        PduType.DESC_REQ,
        PduType.INSTANCE_REQ,
        PduType.TEXT_REQ,
        PduType.RESULT,
    }
)
"""All that version 1 has to ask."""

_UNANSWERED_BY_PMCD: Final = frozenset({PduType.PROFILE})
_UNANSWERED_BY_AGENTS: Final = frozenset({PduType.PROFILE, PduType.ATTR, PduType.ERROR})


def is_answer(request_type: int, reply: Pdu) -> bool:
    """Can this be the answer to a request of that type?"""
    return reply.pdu_type in (PduType.ERROR, CLIENT_REPLIES.get(request_type))


class _Broken(Exception):
    """A rule of the conversation does not allow this PDU now; says why."""


class _Session:
    """The part that both conversations share: whose turn it is and which requests have no answer yet."""

    parties: tuple[Party, Party]

    def __init__(self, us: Party, phase: Phase) -> None:
        if us not in self.parties:
            raise ValueError(f"{us} takes no part in a {type(self).__name__}")
        self.us = us
        self.peer = self.parties[1] if us is self.parties[0] else self.parties[0]
        self.phase = phase
        self.owed: deque[int] = deque()
        """Types of the requests without an answer, oldest first. Answers come in this order."""

    def sent(self, pdu: Pdu) -> None:
        """We send ``pdu``; ``ProtocolError`` if we may not."""
        try:
            self._follow(self.us, pdu)
        except _Broken as broken:
            raise ProtocolError(str(broken)) from None

    def received(self, pdu: Pdu) -> None:
        """The peer sent ``pdu``; ``RemoteProtocolError`` if it may not."""
        try:
            self._follow(self.peer, pdu)
        except _Broken as broken:
            raise RemoteProtocolError(str(broken)) from None

    def close(self) -> None:
        """The connection has ended; nothing is owed any more."""
        self.phase = Phase.CLOSED
        self.owed.clear()

    def _follow(self, sender: Party, pdu: Pdu) -> None:
        raise NotImplementedError

    def _unexpected(self, sender: Party, pdu: Pdu) -> _Broken:
        return _Broken(f"{type(pdu).__name__} from {sender.value}, expected is {self.phase.value}")

    def _answered(self, sender: Party, pdu: Pdu, replies: dict[int, PduType]) -> None:
        """An answer to the oldest request, which it settles."""
        if not self.owed:
            raise _Broken(f"{type(pdu).__name__} from {sender.value} answers nothing")
        if pdu.pdu_type not in (PduType.ERROR, replies[self.owed[0]]):
            raise _Broken(f"{type(pdu).__name__} from {sender.value} is no answer to {PduType(self.owed[0]).name}")
        self.owed.popleft()


class ClientSession(_Session):
    """Between a client and pmcd.

    ``version`` is 0 until it is settled: by pmcd's greeting at the client's end, by the client's first PDU at pmcd's.
    ``features`` are those of the challenge. Requests may be pipelined.
    """

    parties = (Party.CLIENT, Party.PMCD)

    def __init__(self, us: Party, *, user_known: bool = False, accept_version_1: bool = False) -> None:
        """``user_known``: over a unix socket. ``accept_version_1``: a client need not begin with credentials."""
        super().__init__(us, Phase.GREETING)
        self.version = UNKNOWN_VERSION
        self.features = Feature.NONE
        self._user_known = user_known
        self._accept_version_1 = accept_version_1
        self._steps: deque[Phase] = deque()

    def secured(self) -> None:
        """The TLS handshake is done."""
        self._done(Phase.TLS)

    def authenticated(self) -> None:
        """SASL is done: pmcd has nothing more to say, and does not say so."""
        self._done(Phase.SASL_SERVER)

    def _done(self, phase: Phase) -> None:
        if self.phase is not phase:
            raise ProtocolError(f"expected is {self.phase.value}, not the end of {phase.value}")
        self._next_step()

    def _next_step(self) -> None:
        self.phase = self._steps.popleft() if self._steps else Phase.OPEN

    def _follow(self, sender: Party, pdu: Pdu) -> None:
        rule = _CLIENT_RULES.get((self.phase, sender))
        if rule is None:
            raise self._unexpected(sender, pdu)
        rule(self, pdu)

    # One rule for each phase and sender.

    def _greeting(self, pdu: Pdu) -> None:
        if not isinstance(pdu, Challenge | Error):
            self.close()
            raise self._unexpected(Party.PMCD, pdu)
        if isinstance(pdu, Challenge):
            self.features = Feature(pdu.features)
            self.phase = Phase.CREDENTIALS
        else:
            # The short form is all that version 1 has, and it wants no credentials.
            self.version, self.phase = PDU_VERSION1, Phase.OPEN
        if pdu.code < 0:
            self.close()

    def _credentials(self, pdu: Pdu) -> None:
        if isinstance(pdu, Creds):
            if pdu.version:
                self.version = PDU_VERSION2
                self._steps = deque(self._steps_for(Feature(pdu.flags)))
                self._next_step()
        elif self._accept_version_1:
            self.version, self.phase = PDU_VERSION1, Phase.OPEN
            self._request(pdu)
        else:
            self.close()
            raise _Broken(f"{type(pdu).__name__} before any credentials")

    def _steps_for(self, flags: Feature) -> list[Phase]:
        steps = []
        if not (flags & Feature.CREDS_REQD and self._user_known):
            if flags & Feature.SECURE:
                steps += [Phase.SECURE_ACK, Phase.TLS] if flags & Feature.SECURE_ACK else [Phase.TLS]
            if flags & (Feature.AUTH | Feature.CREDS_REQD):
                steps.append(Phase.SASL_SERVER)
        if flags & Feature.CONTAINER:
            steps.append(Phase.CONTAINER)
        return steps

    def _secure_ack(self, pdu: Pdu) -> None:
        if isinstance(pdu, Error) and pdu.code == 0:
            self._next_step()
        else:
            self._refusal(pdu)

    def _refusal(self, pdu: Pdu) -> None:
        """A step of the handshake failed: pmcd says so, and serves on."""
        if not (isinstance(pdu, Error) and pdu.code < 0):
            raise self._unexpected(Party.PMCD, pdu)
        self.phase = Phase.OPEN

    def _sasl_from_pmcd(self, pdu: Pdu) -> None:
        if isinstance(pdu, Attribute) and pdu.key == AttributeKey.SASL:
            self.phase = Phase.SASL_CLIENT
        else:
            self._refusal(pdu)

    def _sasl_from_client(self, pdu: Pdu) -> None:
        if not (isinstance(pdu, Attribute) and pdu.key == AttributeKey.SASL):
            self.phase = Phase.OPEN
            raise self._unexpected(Party.CLIENT, pdu)
        self.phase = Phase.SASL_SERVER

    def _container(self, pdu: Pdu) -> None:
        # pmcd takes whatever comes here for the name; if it is none, it says so and goes on without.
        why = str(self._unexpected(Party.CLIENT, pdu))
        self._next_step()
        if not (isinstance(pdu, Attribute) and pdu.key == AttributeKey.CONTAINER):
            raise _Broken(why)

    def _request(self, pdu: Pdu) -> None:
        if isinstance(pdu, Creds) and self.version != PDU_VERSION1:
            self._credentials(pdu)
            return
        type_ = pdu.pdu_type
        if self.version == PDU_VERSION1 and type_ not in VERSION_1_REQUESTS:
            raise _Broken(f"{type(pdu).__name__} is not of version 1")
        if self.us is Party.CLIENT and NEEDED_FEATURES.get(type_, Feature.NONE) & ~self.features:
            raise _Broken(f"{type(pdu).__name__} is not what this pmcd offers")
        if type_ in CLIENT_REPLIES:
            self.owed.append(type_)
        elif type_ not in _UNANSWERED_BY_PMCD:
            raise _Broken(f"{type(pdu).__name__} is no request")

    def _reply(self, pdu: Pdu) -> None:
        if isinstance(pdu, Error) and pdu.code > 0:
            if not self.owed or self.owed[0] not in FETCHES or self.version == PDU_VERSION1:
                raise _Broken("a state change that is not before the answer to a fetch")
        elif not (isinstance(pdu, Error) and not self.owed):
            # An ERROR while nothing is owed tells that a PROFILE or a step of the handshake failed.
            self._answered(Party.PMCD, pdu, CLIENT_REPLIES)


_CLIENT_RULES: Final[dict[tuple[Phase, Party], Callable[[ClientSession, Pdu], None]]] = {
    (Phase.GREETING, Party.PMCD): ClientSession._greeting,
    (Phase.CREDENTIALS, Party.CLIENT): ClientSession._credentials,
    (Phase.SECURE_ACK, Party.PMCD): ClientSession._secure_ack,
    (Phase.TLS, Party.PMCD): ClientSession._refusal,
    (Phase.SASL_SERVER, Party.PMCD): ClientSession._sasl_from_pmcd,
    (Phase.SASL_CLIENT, Party.CLIENT): ClientSession._sasl_from_client,
    (Phase.CONTAINER, Party.PMCD): ClientSession._refusal,
    (Phase.CONTAINER, Party.CLIENT): ClientSession._container,
    (Phase.OPEN, Party.CLIENT): ClientSession._request,
    (Phase.OPEN, Party.PMCD): ClientSession._reply,
}


class AgentSession(_Session):
    """Between pmcd and an agent: the agent speaks first, and there is never more than one request without an answer.

    ``flags`` are those of the agent's credentials: AUTH or CONTAINER ask for the attributes of clients.
    """

    parties = (Party.PMCD, Party.AGENT)

    def __init__(self, us: Party, *, starts_not_ready: bool = False) -> None:
        """``starts_not_ready``: configured to be asked nothing before it says that it is ready."""
        super().__init__(us, Phase.CREDENTIALS)
        self.version = UNKNOWN_VERSION
        self.flags = Feature.NONE
        self._after_handshake = Phase.NOT_READY if starts_not_ready else Phase.OPEN

    def _follow(self, sender: Party, pdu: Pdu) -> None:
        rule = _AGENT_RULES.get((self.phase, sender))
        if rule is None:
            raise self._unexpected(sender, pdu)
        rule(self, pdu)

    def _credentials(self, pdu: Pdu) -> None:
        if not isinstance(pdu, Creds):
            self.close()
            raise self._unexpected(Party.AGENT, pdu)
        self.version, self.flags = pdu.version, Feature(pdu.flags)
        # Credentials that say nothing get no answer.
        self.phase = Phase.ACCEPTANCE if pdu.version else self._after_handshake

    def _acceptance(self, pdu: Pdu) -> None:
        if not isinstance(pdu, Creds):
            raise self._unexpected(Party.PMCD, pdu)
        self.phase = self._after_handshake

    def _request(self, pdu: Pdu) -> None:
        type_ = pdu.pdu_type
        if type_ in _UNANSWERED_BY_AGENTS:
            return
        if type_ not in AGENT_REPLIES:
            raise _Broken(f"{type(pdu).__name__} is no request to an agent")
        if self.owed:
            raise _Broken(f"{type(pdu).__name__} while {PduType(self.owed[0]).name} has no answer")
        self.owed.append(type_)

    def _reply(self, pdu: Pdu) -> None:
        code = pdu.code if isinstance(pdu, Error) else 0
        if code == AgentReady.code:
            raise _Broken("the agent is ready already")
        self._answered(Party.AGENT, pdu, AGENT_REPLIES)
        if code == AgentNotReady.code:
            self.phase = Phase.NOT_READY

    def _readiness(self, pdu: Pdu) -> None:
        if not (isinstance(pdu, Error) and pdu.code == AgentReady.code):
            self.close()
            raise _Broken(f"{type(pdu).__name__} from an agent that is not ready")
        self.phase = Phase.OPEN


_AGENT_RULES: Final[dict[tuple[Phase, Party], Callable[[AgentSession, Pdu], None]]] = {
    (Phase.CREDENTIALS, Party.AGENT): AgentSession._credentials,
    (Phase.ACCEPTANCE, Party.PMCD): AgentSession._acceptance,
    (Phase.OPEN, Party.PMCD): AgentSession._request,
    (Phase.OPEN, Party.AGENT): AgentSession._reply,
    (Phase.NOT_READY, Party.AGENT): AgentSession._readiness,
}
