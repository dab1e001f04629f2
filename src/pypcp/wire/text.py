"""Help texts of metrics and instance domains."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import EJECT, IntFlag
from typing import ClassVar, Final

from pypcp.wire.buffer import Reader, Writer
from pypcp.wire.pdu import Envelope, Pdu, PduType, register
from pypcp.wire.versions import Channel

# The C library writes the identifier of the answer as it stands in memory, unlike every other word.
_NATIVE: Final = struct.Struct("=I")


class TextKind(IntFlag, boundary=EJECT):
    """PM_TEXT_*: which text (ONELINE or HELP) of what (PMID or INDOM)."""

    ONELINE = 1
    HELP = 2
    PMID = 4
    INDOM = 8


@register
@dataclass(frozen=True, slots=True)
class TextRequest(Pdu):
    """TEXT_REQ: a help text, please. 20 bytes. Answer: TEXT.

    ====  ===  ====================================================
     12   u32  pmid or indom
     16   i32  kind, :class:`TextKind`
    ====  ===  ====================================================
    """

    pdu_types: ClassVar = (PduType.TEXT_REQ,)
    ident: int
    kind: TextKind | int
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.u32(self.ident)
        writer.i32(self.kind)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> TextRequest:
        """Two words."""
        ident, kind = reader.u32(), reader.i32()
        return cls(ident, TextKind(kind) if kind >= 0 else kind, envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class TextReply(Pdu):
    """TEXT: a help text; empty is allowed.

    ====  ===  ====================================================
     12   u32  pmid or indom, in the sender's own byte order; nobody looks at it
     16   i32  size
     20   ...  text, padded
    ====  ===  ====================================================
    """

    pdu_types: ClassVar = (PduType.TEXT,)
    ident: int
    text: str
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.bytes_(_NATIVE.pack(self.ident))
        writer.text(self.text)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> TextReply:
        """The identifier is read in this machine's byte order."""
        ident: int = _NATIVE.unpack(reader.bytes_(4))[0]
        return cls(ident, reader.text(reader.i32()), envelope.sender)
