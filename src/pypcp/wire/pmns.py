"""Names of metrics: look-ups both ways, children, and whole subtrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pypcp.errors import RemoteProtocolError
from pypcp.model.ids import Pmid
from pypcp.wire.buffer import Reader, Writer, to_bytes
from pypcp.wire.pdu import Envelope, Pdu, PduType, register
from pypcp.wire.versions import Channel


def write_pmids(writer: Writer, pmids: Sequence[int]) -> None:
    """Appends a count and so many pmids, at least one."""
    if not pmids:
        raise ValueError("no pmid")
    writer.i32(len(pmids))
    for pmid in pmids:
        writer.u32(pmid)


def read_pmids(reader: Reader) -> tuple[Pmid, ...]:
    """A count and so many pmids, at least one."""
    pmids = reader.words(reader.count(4))
    if not pmids:
        raise RemoteProtocolError("no pmid")
    return tuple(map(Pmid, pmids))


@register
@dataclass(frozen=True, slots=True)
class PmnsIds(Pdu):
    """PMNS_IDS: asks for the names of one pmid (answer: PMNS_NAMES), or answers a look-up of names.

    ====  =========  ====================================================
     12   i32        status: in an answer the number of names found, or an error; else 0
     16   i32        count, at least 1
     20   u32 each   pmids, in the order of the names; PM_ID_NULL for one not found
    ====  =========  ====================================================
    """

    pdu_types: ClassVar = (PduType.PMNS_IDS,)
    pmids: Sequence[int]
    status: int = 0
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.i32(self.status)
        write_pmids(writer, self.pmids)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> PmnsIds:
        """At least one pmid."""
        status = reader.i32()
        return cls(read_pmids(reader), status, envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class PmnsNames(Pdu):
    """PMNS_NAMES: asks for the pmids of names (answer: PMNS_IDS), or answers with names.

    ====  ===  ====================================================
     12   i32  sum of the names' sizes, each plus 1
     16   i32  count of statuses: 0, or the count of names
     20   i32  count of names; below 0: an error, and nothing follows
     24   ...  entries: status i32, if there are any (0 leaf, 1 not); size i32; name, padded
    ====  ===  ====================================================

    The answer to PMNS_CHILD has names of one component, with statuses if asked for; all other names are whole.
    """

    pdu_types: ClassVar = (PduType.PMNS_NAMES,)
    names: Sequence[str]
    statuses: Sequence[int] | None = None
    error: int = 0
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        statuses = self.statuses or ()
        names = [to_bytes(name) for name in self.names]
        if statuses and len(statuses) != len(names):
            raise ValueError(f"{len(statuses)} statuses of {len(names)} names")
        writer.i32(sum(map(len, names)) + len(names))
        writer.i32(len(statuses))
        writer.i32(self.error or len(names))
        writer.texts(names, statuses or None)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> PmnsNames:
        """Every count must agree with what is there."""
        total, status_count, count = reader.i32(), reader.i32(), reader.i32()
        if count < 0 and total == status_count == 0:
            return cls((), None, count, envelope.sender)
        if status_count not in (0, count):
            raise RemoteProtocolError(f"{status_count} statuses of {count} names")
        reader.holds(count, 8 if status_count else 4)
        names, statuses, size = _read_names(reader, count, with_status=status_count > 0)
        if size != total:
            raise RemoteProtocolError(f"names of {size} bytes, {total} announced")
        return cls(names, statuses if status_count else None, 0, envelope.sender)


def _read_names(reader: Reader, count: int, *, with_status: bool) -> tuple[list[str], list[int], int]:
    """Names, statuses, and the sum of sizes with a NUL each."""
    names, statuses, total = [], [], 0
    for left in reversed(range(count)):
        if with_status:
            statuses.append(reader.i32())
        size = reader.i32()
        if size == 0 and left:
            raise RemoteProtocolError("an empty name that is not the last")
        names.append(reader.text(size))
        total += size + 1
    return names, statuses, total


@dataclass(frozen=True, slots=True)
class _Subtree(Pdu):
    """A name and a detail; the layout that PMNS_CHILD and PMNS_TRAVERSE share."""

    name: str
    subtype: int = 0
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.i32(self.subtype)
        writer.text(self.name)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> _Subtree:
        """Two words and the name."""
        subtype, size = reader.i32(), reader.i32()
        return cls(reader.text(size), subtype, envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class PmnsChild(_Subtree):
    """PMNS_CHILD: the names right below a name, please. Answer: PMNS_NAMES.

    ====  ===  ====================================================
     12   i32  subtype: 0 names only, else names and whether each is a leaf
     16   i32  size
     20   ...  name, padded; empty for the root
    ====  ===  ====================================================
    """

    pdu_types: ClassVar = (PduType.PMNS_CHILD,)


@register
@dataclass(frozen=True, slots=True)
class PmnsTraverse(_Subtree):
    """PMNS_TRAVERSE: all the names of metrics below a name, please. Answer: PMNS_NAMES.

    ====  ===  ====================================================
     12   i32  subtype: 0
     16   i32  size
     20   ...  name, padded; empty for the root
    ====  ===  ====================================================
    """

    pdu_types: ClassVar = (PduType.PMNS_TRAVERSE,)
