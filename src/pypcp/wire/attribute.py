"""Attributes of a client: what it says of itself, what is found out, and SASL's own messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final

from pypcp.errors import RemoteProtocolError
from pypcp.wire.buffer import Reader, Writer
from pypcp.wire.pdu import Envelope, Pdu, PduType, register
from pypcp.wire.versions import Channel

ATTRIBUTE_LIMIT: Final = 4096
"""A value is shorter than this."""
SASL_LIMIT: Final = 2048
"""A SASL message is shorter than this."""


class AttributeKey(IntEnum):
    """PCP_ATTR_*: what an attribute is about.

    On the wire are SASL (0), USERNAME, USERID, GROUPID, PROCESSID and CONTAINER only.
    """

    SASL = 0
    PROTOCOL = 1
    SECURE = 2
    COMPRESS = 3
    USERAUTH = 4
    USERNAME = 5
    AUTHNAME = 6
    PASSWORD = 7
    METHOD = 8
    REALM = 9
    UNIXSOCK = 10
    USERID = 11
    GROUPID = 12
    LOCAL = 13
    PROCESSID = 14
    CONTAINER = 15
    EXCLUSIVE = 16

    def __str__(self) -> str:
        return self.name.lower()


_KEYS: dict[int, AttributeKey] = {key.value: key for key in AttributeKey}


@register
@dataclass(frozen=True, slots=True)
class Attribute(Pdu):
    """ATTR: one attribute. 16 + n bytes, not padded, no answer.

    ====  ===  ====================================================
     12   i32  key
     16   n    value, n below 4096
    ====  ===  ====================================================

    pmcd sends texts to agents with their NUL; a container's name comes from a client without.
    """

    pdu_types: ClassVar = (PduType.ATTR,)
    key: AttributeKey | int
    value: bytes = b""
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        if len(self.value) >= ATTRIBUTE_LIMIT:
            raise ValueError(f"a value of {len(self.value)} bytes, must be below {ATTRIBUTE_LIMIT}")
        writer.i32(self.key)
        writer.bytes_(self.value)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> Attribute:
        """The value is all that is left."""
        key = reader.i32()
        if reader.remaining >= ATTRIBUTE_LIMIT:
            raise RemoteProtocolError(f"a value of {reader.remaining} bytes, must be below {ATTRIBUTE_LIMIT}")
        return cls(_KEYS.get(key, key), reader.bytes_(reader.remaining), envelope.sender)
