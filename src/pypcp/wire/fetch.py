"""What a client wants to know: which instances (PROFILE), which metrics (FETCH)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from pypcp.errors import RemoteProtocolError
from pypcp.model.profile import InDomProfile, Profile
from pypcp.wire.buffer import HEADER_SIZE, Reader, Writer
from pypcp.wire.pdu import Envelope, Pdu, PduType, register
from pypcp.wire.versions import Channel

PROFILE_AT: Final = HEADER_SIZE + 4
"""Where the profile begins in a whole PROFILE: before it is only whose it is."""
LIST_AT: Final = HEADER_SIZE + 12
"""Where the list begins in a whole FETCH, with its count."""
PMIDS_AT: Final = LIST_AT + 4
"""Where the pmids begin in a whole FETCH."""


@register
@dataclass(frozen=True, slots=True)
class ProfilePdu(Pdu):
    """PROFILE: the instances that the next fetches of a context are about. No answer.

    ====  ===========  ====================================================
     12   i32          context: the client's slot of it, not negative
     16   i32          what goes for instance domains not listed: 0 all instances, else none
     20   i32          count of entries
     24   i32          0 (a PDU without entries may end before it)
     28   16 * count   entries: indom u32; 0 all but the listed, else only the listed; count of listed i32; 0
     ...  i32 each     the instances listed in the first entry, then those in the second, ...
    ====  ===========  ====================================================

    Of several entries for one instance domain the first counts.
    """

    pdu_types: ClassVar = (PduType.PROFILE,)
    context: int
    profile: Profile
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        indoms = self.profile.indoms
        for word in (self.context, not self.profile.include, len(indoms), 0):
            writer.i32(word)
        for indom, chosen in indoms.items():
            writer.u32(indom)
            for word in (not chosen.include, len(chosen.listed), 0):
                writer.i32(word)
        for chosen in indoms.values():
            for instance in sorted(chosen.listed):
                writer.i32(instance)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> ProfilePdu:
        """Entries, then their lists."""
        context, state, count = reader.i32(), reader.i32(), reader.i32()
        if context < 0:
            raise RemoteProtocolError(f"no context has the number {context}")
        if count or reader.remaining:
            reader.i32()
        reader.holds(count, 16)
        entries = [(reader.u32(), reader.i32(), reader.i32(), reader.i32()) for _ in range(count)]
        indoms: dict[int, InDomProfile] = {}
        for indom, entry_state, listed, _ in entries:
            indoms.setdefault(indom, InDomProfile(entry_state == 0, frozenset(reader.signed_words(listed))))
        return cls(context, Profile(state == 0, MappingProxyType(indoms)), envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class Fetch(Pdu):
    """FETCH and HIGHRES_FETCH (``highres``): the values of metrics, please. Answer: the RESULT of the same kind.

    ====  =========  ====================================================
     12   i32        context, as in its PROFILE
     16   2 words    0 (once a time), not looked at
     24   i32        count, at least 1
     28   u32 each   pmids
    ====  =========  ====================================================
    """

    pdu_types: ClassVar = (PduType.FETCH, PduType.HIGHRES_FETCH)
    context: int
    pmids: tuple[int, ...]
    highres: bool = False
    sender: int = 0

    @property
    def pdu_type(self) -> int:
        """The type in the header."""
        return PduType.HIGHRES_FETCH if self.highres else PduType.FETCH

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        if not self.pmids:
            raise ValueError("no metric asked for")
        for word in (self.context, 0, 0, len(self.pmids)):
            writer.i32(word)
        for pmid in self.pmids:
            writer.u32(pmid)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> Fetch:
        """At least one pmid."""
        context = reader.i32()
        reader.bytes_(8)
        pmids = reader.words(reader.count(4))
        if not pmids:
            raise RemoteProtocolError("no metric asked for")
        return cls(context, pmids, envelope.type == PduType.HIGHRES_FETCH, envelope.sender)
