"""A client's way from its credentials to its requests: what comes next, and who may say what then. No I/O.

The daemon follows it, and the tests hold stock's recorded conversations to it. What else may be said in a conversation
with a client or an agent is written down in ``tests/sessions.py``, which goes on from here.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

from pypcp.errors import ProtocolError, RemoteProtocolError
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import Feature, Pdu, PduType

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


class Phase(Enum):
    """What comes next."""

    SECURE_ACK = "pmcd's word before TLS"
    TLS = "the TLS handshake"
    SASL_SERVER = "pmcd's SASL message"
    SASL_CLIENT = "the client's SASL message"
    CONTAINER = "the name of a container"
    OPEN = "requests and replies"


_MAY_FAIL: Final = frozenset({Phase.SECURE_ACK, Phase.TLS, Phase.SASL_SERVER, Phase.CONTAINER})
"""Where pmcd may say that a step failed; then it serves on."""


class Handshake:
    """The steps that a client's credentials ask for. It is told every PDU, as they follow each other on the stream.

    ``flags`` are those of the credentials; ``user_known``: over a UNIX socket, where nobody has to say who he is.
    ``phase`` says how it goes on, also after a PDU that may not be.
    """

    def __init__(self, flags: Feature, *, user_known: bool = False) -> None:
        self.phase = Phase.OPEN
        self._steps = deque(_steps_for(flags, user_known=user_known))
        self._next_step()

    def sent(self, pdu: Pdu) -> None:
        """pmcd says ``pdu``; ``ProtocolError`` if it may not."""
        phase = self.phase
        if isinstance(pdu, Error) and pdu.code < 0 and phase in _MAY_FAIL:
            self.phase = Phase.OPEN
        elif isinstance(pdu, Error) and pdu.code == 0 and phase is Phase.SECURE_ACK:
            self._next_step()
        elif phase is Phase.SASL_SERVER and _is_attribute(pdu, AttributeKey.SASL):
            self.phase = Phase.SASL_CLIENT
        else:
            raise ProtocolError(f"{type(pdu).__name__} from pmcd, expected is {phase.value}")

    def received(self, pdu: Pdu) -> None:
        """The client says ``pdu``; ``RemoteProtocolError`` if it may not."""
        phase, expected = self.phase, False
        if phase is Phase.SASL_CLIENT:
            expected = _is_attribute(pdu, AttributeKey.SASL)
            self.phase = Phase.SASL_SERVER if expected else Phase.OPEN
        elif phase is Phase.CONTAINER:
            # Whatever comes here is taken for the name; if it is none, pmcd says so and goes on without.
            expected = _is_attribute(pdu, AttributeKey.CONTAINER)
            self._next_step()
        if not expected:
            raise RemoteProtocolError(f"{type(pdu).__name__} from client, expected is {phase.value}")

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


def _steps_for(flags: Feature, *, user_known: bool) -> list[Phase]:
    steps = []
    if not (flags & Feature.CREDS_REQD and user_known):
        if flags & Feature.SECURE:
            steps += [Phase.SECURE_ACK, Phase.TLS] if flags & Feature.SECURE_ACK else [Phase.TLS]
        if flags & (Feature.AUTH | Feature.CREDS_REQD):
            steps.append(Phase.SASL_SERVER)
    if flags & Feature.CONTAINER:
        steps.append(Phase.CONTAINER)
    return steps


def _is_attribute(pdu: Pdu, key: AttributeKey) -> bool:
    return isinstance(pdu, Attribute) and pdu.key == key
