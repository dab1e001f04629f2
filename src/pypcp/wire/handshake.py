"""The PDUs that open a conversation, and the error that can answer anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pypcp.errors import RemoteProtocolError, to_v1
from pypcp.wire.buffer import Reader, Writer
from pypcp.wire.pdu import Envelope, Feature, Pdu, PduType, register
from pypcp.wire.versions import PDU_VERSION2, Channel, code_from_v1, is_version_1

CREDS_LIMIT: Final = 1024
"""The most credentials a PDU can carry."""

_CVERSION = 1
_WORD = 4


@register
@dataclass(frozen=True, slots=True)
class Error(Pdu):
    """ERROR: the outcome of a request. 16 bytes.

    ====  ===  ====================================================
     12   i32  code: below 0 an error, 0 success, above 0 a state change
    ====  ===  ====================================================

    To and from version-1 peers the code travels in their numbering.
    """

    pdu_types: ClassVar = (PduType.ERROR,)
    code: int
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.i32(to_v1(self.code) if is_version_1(channel) else self.code)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> Error | Challenge:
        """One word: an error. Two: a server's challenge."""
        if reader.remaining > _WORD:
            return Challenge.read(reader, envelope)
        code = reader.i32()
        return cls(code_from_v1(code) if is_version_1(envelope.channel) else code, envelope.sender)


@dataclass(frozen=True, slots=True)
class Challenge(Pdu):
    """ERROR in its extended form: the server speaks first. 20 bytes.

    ====  ===  ====================================================
     12   i32  code, always in version-1 numbering; 0: welcome
     16   u32  0 if code is not 0; else version (bits 30-24), licensed (23-16), features (15-0)
    ====  ===  ====================================================

    ``code`` here is in today's numbering.
    """

    pdu_types: ClassVar = (PduType.ERROR,)
    code: int = 0
    features: int = Feature.NONE
    version: int = PDU_VERSION2
    licensed: int = 1
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.i32(to_v1(self.code))
        writer.u32(0 if self.code else self.version << 24 | self.licensed << 16 | self.features)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> Challenge:
        """Two words."""
        code, info = code_from_v1(reader.i32()), reader.u32()
        return cls(code, Feature(info & 0xFFFF), info >> 24 & 0x7F, info >> 16 & 0xFF, envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class Creds(Pdu):
    """CREDS: which version a peer speaks, and what it asks for. 16 + 4 * count bytes, no answer.

    ====  =========  ====================================================
     12   i32        count, 1 to 1024; everybody sends 1
     16   u32 each   credential: kind (bits 31-24; 1 is CVERSION, the only one), version (23-16), flags (15-0)
    ====  =========  ====================================================

    The last credential counts, and one of a foreign kind voids them all: then ``version`` is 0, nothing was said.
    ``words`` keeps the credentials as they came where they are not the usual one.
    """

    pdu_types: ClassVar = (PduType.CREDS,)
    version: int = PDU_VERSION2
    flags: int = Feature.NONE
    sender: int = 0
    words: Sequence[int] = ()

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        words = self.words or (_CVERSION << 24 | self.version << 16 | self.flags,)
        writer.i32(len(words))
        for word in words:
            writer.u32(word)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> Creds:
        """At least one credential."""
        words = reader.words(reader.count(4))
        if not 0 < len(words) <= CREDS_LIMIT:
            raise RemoteProtocolError(f"{len(words)} credentials, must be 1 to {CREDS_LIMIT}")
        if any(word >> 24 != _CVERSION for word in words):
            return cls(0, Feature.NONE, envelope.sender, words)
        version, flags = words[-1] >> 16 & 0xFF, Feature(words[-1] & 0xFFFF)
        return cls(version, flags, envelope.sender, words if len(words) > 1 else ())
