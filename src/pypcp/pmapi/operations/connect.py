"""The opening of a conversation with pmcd. See: pmNewContext(3)."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum

from pypcp.errors import ClientCertificateRequired, PermissionDenied, from_code
from pypcp.pmapi.operations.sasl import Credentials, authenticate
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Operation, Receive, StartTls, Tell, fitting, receive
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Feature
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2, code_from_v1


class Security(Enum):
    """Is the conversation to be encrypted?"""

    NONE = "none"
    RELAXED = "relaxed"
    """If pmcd can."""
    ENFORCED = "enforced"


@dataclass(frozen=True)
class Wishes:
    """What a client wants of a new conversation.

    ``local``: the peer is on this host; ``unix``: on a Unix socket, where the kernel tells pmcd who we are. ``pid`` is
    the number that CREDS carries.
    """

    security: Security = Security.NONE
    credentials: Credentials | None = None
    container: str = ""
    local: bool = False
    unix: bool = False
    pid: int = 0


def connect(state: ContextState, wishes: Wishes) -> Operation[None]:
    """Everything from pmcd's challenge to the moment when requests may be sent.

    Raises what pmcd's challenge says (``PermissionDenied``, ``ConnectionLimit``), ``ClientCertificateRequired``, an
    ``OsError`` for "operation not supported" when pmcd lacks what is wished, ``AuthenticationError``. Success is
    silent: a refusal may still arrive as the answer to the first request.
    """
    state.forget_connection()
    offered = yield from _take_challenge(state)
    flags = _viable_flags(offered, wishes)
    if state.channel.version == PDU_VERSION1:
        return
    yield Tell(Creds(PDU_VERSION2, flags, sender=wishes.pid))
    if not (wishes.unix and flags & Feature.CREDS_REQD):
        yield from _secure(flags, wishes)
    if flags & Feature.CONTAINER:
        yield Tell(Attribute(AttributeKey.CONTAINER, wishes.container.encode()))


def _take_challenge(state: ContextState) -> Operation[Feature]:
    """The short form of pmcd's first PDU means a version 1 pmcd; the error code is in version 1 numbers in both."""
    first = yield Receive()
    if isinstance(first, Error):
        _check(code_from_v1(first.code))
        state.channel.version = PDU_VERSION1
        return Feature.NONE
    challenge = fitting(first, Challenge)
    _check(challenge.code)
    state.channel.version, state.channel.features = PDU_VERSION2, challenge.features
    return Feature(challenge.features)


def _check(code: int) -> None:
    if code < 0:
        raise from_code(code)


def _viable_flags(offered: Feature, wishes: Wishes) -> Feature:
    """What to answer in CREDS; an error where pmcd cannot do what is wished, or wants what we cannot do."""
    if offered & Feature.CERT_REQD and not wishes.local and wishes.security is Security.NONE:
        raise ClientCertificateRequired()
    flags = offered & Feature.CREDS_REQD
    if wishes.security is not Security.NONE and (offered & Feature.SECURE or wishes.security is Security.ENFORCED):
        flags |= Feature.SECURE | (offered & Feature.SECURE_ACK)
    if wishes.credentials:
        flags |= Feature.AUTH
    if wishes.container:
        flags |= Feature.CONTAINER
    if not wishes.local:
        flags |= offered & Feature.CERT_REQD
    if missing := flags & ~offered:
        raise from_code(-errno.EOPNOTSUPP, f"this pmcd does not offer {missing.name}")
    return flags


def _secure(flags: Feature, wishes: Wishes) -> Operation[None]:
    if flags & Feature.SECURE_ACK:
        yield from receive(Error)
    if flags & Feature.SECURE:
        yield StartTls()
    if flags & (Feature.AUTH | Feature.CREDS_REQD):
        if wishes.credentials is None:
            raise PermissionDenied("this pmcd wants a username and a password")
        yield from authenticate(wishes.credentials, private=bool(flags & Feature.SECURE) or wishes.local)
