"""What a client says to pmproxy before it speaks to the pmcd beyond: two lines of text. See: pmproxy(1)."""

from __future__ import annotations

from typing import Final

from pypcp.errors import ProtocolError

GREETING: Final = b"pmproxy-client 1\n"
"""What the client sends first."""

MAX_ANSWER_BYTES: Final = 64

_ANSWER: Final = b"pmproxy-server 1"


def is_whole_answer(received: bytes) -> bool:
    """Has the line that answers the greeting ended, or grown beyond any answer?"""
    return received[-1:] in (b"\n", b"\r") or len(received) >= MAX_ANSWER_BYTES


def request(received: bytes, host: str, port: int) -> bytes:
    """What the client sends after the answer; from then on it speaks to pmcd. ``ProtocolError``: it is no pmproxy."""
    if received.rstrip(b"\r\n") != _ANSWER:
        raise ProtocolError(f"this is no pmproxy: it answered {received[:MAX_ANSWER_BYTES]!r}")
    return f"{host} {port}\n".encode()
