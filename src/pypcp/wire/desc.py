"""Descriptors of metrics: one (DESC_REQ, DESC) or many at once (DESC_IDS, DESCS)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pypcp.errors import RemoteProtocolError
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_ID_NULL, InDom, Pmid
from pypcp.model.units import Units
from pypcp.model.values import Semantics, ValueType
from pypcp.wire.buffer import Reader, Writer
from pypcp.wire.pdu import Envelope, Pdu, PduType, register
from pypcp.wire.pmns import read_pmids, write_pmids
from pypcp.wire.versions import Channel

_DESC_SIZE: Final = 20
_TYPES: Final[dict[int, ValueType]] = {type_.value: type_ for type_ in ValueType}
_SEMANTICS: Final[dict[int, Semantics]] = {sem.value: sem for sem in Semantics}
_DESC: Final = struct.Struct(">IiIiI")
_NO_DESC: Final = _DESC.pack(PM_ID_NULL, 0, 0, 0, 0)


def _write_desc(writer: Writer, desc: Desc) -> None:
    writer.bytes_(_DESC.pack(desc.pmid, desc.type, desc.indom, desc.sem, desc.units.pack()))


def _read_desc(reader: Reader) -> Desc:
    pmid, type_, indom, sem, units = reader.u32(), reader.i32(), reader.u32(), reader.i32(), reader.u32()
    return Desc(Pmid(pmid), _TYPES.get(type_, type_), InDom(indom), _SEMANTICS.get(sem, sem), Units.unpack(units))


@register
@dataclass(frozen=True, slots=True)
class DescRequest(Pdu):
    """DESC_REQ: the descriptor of a metric, please. 16 bytes. Answer: DESC.

    ====  ===  ====================================================
     12   u32  pmid
    ====  ===  ====================================================
    """

    pdu_types: ClassVar = (PduType.DESC_REQ,)
    pmid: int
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.u32(self.pmid)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> DescRequest:
        """One word."""
        return cls(Pmid(reader.u32()), envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class DescReply(Pdu):
    """DESC: the descriptor of a metric. 32 bytes.

    ====  ===  ====================================================
     12   u32  pmid
     16   i32  type, :class:`pypcp.model.values.ValueType`
     20   u32  indom
     24   i32  semantics, :class:`pypcp.model.values.Semantics`
     28   u32  units, see :meth:`pypcp.model.units.Units.pack`
    ====  ===  ====================================================
    """

    pdu_types: ClassVar = (PduType.DESC,)
    desc: Desc
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        _write_desc(writer, self.desc)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> DescReply:
        """Five words."""
        return cls(_read_desc(reader), envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class DescIds(Pdu):
    """DESC_IDS: the descriptors of metrics, please. Between clients and pmcd only. Answer: DESCS.

    ====  =========  ====================================================
     12   i32        -1; nothing else is taken
     16   i32        count, at least 1
     20   u32 each   pmids
    ====  =========  ====================================================
    """

    pdu_types: ClassVar = (PduType.DESC_IDS,)
    pmids: Sequence[int]
    status: int = -1
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.i32(self.status)
        write_pmids(writer, self.pmids)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> DescIds:
        """At least one pmid."""
        status = reader.i32()
        if status != -1:
            raise RemoteProtocolError(f"status {status} in a request, must be -1")
        return cls(read_pmids(reader), status, envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class Descs(Pdu):
    """DESCS: descriptors in the order asked for. 16 + 20 * count bytes.

    ====  ========  ====================================================
     12   i32       count
     16   20 each   descriptors, as in :class:`DescReply`
    ====  ========  ====================================================

    None stands for a descriptor that could not be had: pmid PM_ID_NULL, all else 0.
    """

    pdu_types: ClassVar = (PduType.DESCS,)
    descs: list[Desc | None]
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.i32(len(self.descs))
        for desc in self.descs:
            if desc is None:
                writer.bytes_(_NO_DESC)
            else:
                _write_desc(writer, desc)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> Descs:
        """Five words each."""
        descs = [_read_desc(reader) for _ in range(reader.count(_DESC_SIZE))]
        return cls([None if desc.pmid == PM_ID_NULL else desc for desc in descs], envelope.sender)
