"""What an operation may ask its driver to do, and the checks that every reply goes through."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from pypcp.errors import ChannelClosed, PcpError, RemoteProtocolError, RequestTimeout, TlsError, from_code
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import Pdu


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a PDU; the next PDU received is what the operation is sent."""

    pdu: Pdu


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a PDU that has no reply; the operation is sent None."""

    pdu: Pdu


@dataclass(frozen=True, slots=True)
class Receive:
    """Receive one more PDU; the operation is sent it."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Do the client's side of a TLS handshake on the stream as it is now; the operation is sent None."""


Step = Ask | Tell | Receive | StartTls

_CONVERSATION_FAILED = (ChannelClosed, RemoteProtocolError, RequestTimeout, TlsError)

_T = TypeVar("_T")
_Reply = TypeVar("_Reply", bound=Pdu)

Operation = Generator[Step, Pdu | None, _T]
"""An operation that returns a ``_T``; it raises a ``PcpError`` when the peer refuses or answers nonsense."""


def ask(request: Pdu, expected: type[_Reply], about: object = "") -> Operation[_Reply]:
    """One request, its one reply; a refusal says what it was ``about``."""
    return fitting((yield Ask(request)), expected, about)


def receive(expected: type[_Reply]) -> Operation[_Reply]:
    """One PDU that the peer owes us without a request."""
    return fitting((yield Receive()), expected)


def fitting(reply: Pdu | None, expected: type[_Reply], about: object = "") -> _Reply:
    """The reply if it is of the type the request calls for.

    An ERROR with a negative code is raised as what it says, whatever is expected, with what it is ``about``. Anything
    else that does not fit is a ``RemoteProtocolError``.
    """
    if isinstance(reply, Error) and reply.code < 0:
        raise from_code(reply.code, str(about))
    if isinstance(reply, expected):
        return reply
    raise RemoteProtocolError(f"pmcd answered with {type(reply).__name__} where {expected.__name__} is due")


def answered(error: PcpError) -> PcpError:
    """The error, if it is pmcd's answer to one request; raised again, if it says that the conversation failed."""
    if isinstance(error, _CONVERSATION_FAILED):
        raise error
    return error
