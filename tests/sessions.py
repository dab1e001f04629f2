"""Who may send what, when: the state of one connection, seen from either end. The tests' reference for both.

A conversation is between a client and pmcd (:class:`ClientSession`), or between pmcd and an agent
(:class:`AgentSession`). Both ends keep one and tell it every PDU, in the order in which they are on the stream:
``sent(pdu)`` before it goes out, ``received(pdu)`` when it came in. What the conversation does not allow raises
``ProtocolError`` from ``sent`` and ``RemoteProtocolError`` from ``received``. Whether a broken rule ends the connection
is to be seen from ``phase``: then it is CLOSED; else the conversation goes on as if that PDU had not been.

The steps between a client's credentials and its requests are the product's (:mod:`pypcp.wire.session`). The rest the
product keeps where it is needed; here it is one set of rules, to which stock's recordings and our daemon are held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

from pypcp.errors import AgentNotReady, AgentReady, ProtocolError, RemoteProtocolError
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Feature, Pdu, PduType
from pypcp.wire.session import VERSION_1_REQUESTS, Handshake, Phase
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2, UNKNOWN_VERSION


class Party(Enum):
    """Who takes part."""

    CLIENT = "client"
    PMCD = "pmcd"
    AGENT = "agent"


class Stage(Enum):
    """What comes next on a connection, before and after what :class:`Phase` says."""

    GREETING = "pmcd's challenge"
    CREDENTIALS = "credentials"
    ACCEPTANCE = "pmcd's credentials for an agent"
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

_UNANSWERED_BY_PMCD: Final = frozenset({PduType.PROFILE})
_UNANSWERED_BY_AGENTS: Final = frozenset({PduType.PROFILE, PduType.ATTR, PduType.ERROR})


class _Broken(Exception):
    """A rule of the conversation does not allow this PDU now; says why."""


class _Session:
    """The part that both conversations share: whose turn it is and which requests have no answer yet."""

    parties: tuple[Party, Party]

    def __init__(self, us: Party, phase: Stage | Phase) -> None:
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
        self.phase = Stage.CLOSED
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
        super().__init__(us, Stage.GREETING)
        self.version = UNKNOWN_VERSION
        self.features = Feature.NONE
        self._user_known = user_known
        self._accept_version_1 = accept_version_1
        self._handshake = Handshake(Feature.NONE)

    def secured(self) -> None:
        """The TLS handshake is done."""
        self._handshake.secured()
        self.phase = self._handshake.phase

    def authenticated(self) -> None:
        """SASL is done: pmcd has nothing more to say, and does not say so."""
        self._handshake.authenticated()
        self.phase = self._handshake.phase

    def _shake(self, sender: Party, pdu: Pdu) -> None:
        try:
            (self._handshake.sent if sender is Party.PMCD else self._handshake.received)(pdu)
        except ProtocolError as broken:
            raise _Broken(broken.detail) from None
        finally:
            self.phase = self._handshake.phase

    def _follow(self, sender: Party, pdu: Pdu) -> None:
        if isinstance(self.phase, Phase) and self.phase is not Phase.OPEN:
            self._shake(sender, pdu)
            return
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
            self.phase = Stage.CREDENTIALS
        else:
            # The short form is all that version 1 has, and it wants no credentials.
            self.version, self.phase = PDU_VERSION1, Phase.OPEN
        if pdu.code < 0:
            self.close()

    def _credentials(self, pdu: Pdu) -> None:
        if isinstance(pdu, Creds):
            if pdu.version:
                self.version = PDU_VERSION2
                self._handshake = Handshake(Feature(pdu.flags), user_known=self._user_known)
                self.phase = self._handshake.phase
        elif self._accept_version_1:
            self.version, self.phase = PDU_VERSION1, Phase.OPEN
            self._request(pdu)
        else:
            self.close()
            raise _Broken(f"{type(pdu).__name__} before any credentials")

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


_CLIENT_RULES: Final[dict[tuple[Stage | Phase, Party], Callable[[ClientSession, Pdu], None]]] = {
    (Stage.GREETING, Party.PMCD): ClientSession._greeting,
    (Stage.CREDENTIALS, Party.CLIENT): ClientSession._credentials,
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
        super().__init__(us, Stage.CREDENTIALS)
        self.version = UNKNOWN_VERSION
        self.flags = Feature.NONE
        self._after_handshake = Stage.NOT_READY if starts_not_ready else Phase.OPEN

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
        self.phase = Stage.ACCEPTANCE if pdu.version else self._after_handshake

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
            self.phase = Stage.NOT_READY

    def _readiness(self, pdu: Pdu) -> None:
        if not (isinstance(pdu, Error) and pdu.code == AgentReady.code):
            self.close()
            raise _Broken(f"{type(pdu).__name__} from an agent that is not ready")
        self.phase = Phase.OPEN


_AGENT_RULES: Final[dict[tuple[Stage | Phase, Party], Callable[[AgentSession, Pdu], None]]] = {
    (Stage.CREDENTIALS, Party.AGENT): AgentSession._credentials,
    (Stage.ACCEPTANCE, Party.PMCD): AgentSession._acceptance,
    (Phase.OPEN, Party.PMCD): AgentSession._request,
    (Phase.OPEN, Party.AGENT): AgentSession._reply,
    (Stage.NOT_READY, Party.AGENT): AgentSession._readiness,
}
