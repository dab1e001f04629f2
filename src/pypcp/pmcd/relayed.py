"""The segments of an agent process's reply: its bytes, verified and moved, never decoded and encoded again."""

from __future__ import annotations

from collections.abc import Sequence

from pypcp.pmda.segments import EmptySegment, Fetched, Segment
from pypcp.wire.relay import RelayedSet, take_apart

_CHANGES = 0x18
"""An agent can say that labels (8) or names (16) changed; other bits in its timestamp are not its to set."""


class RelayedSegment(Segment):
    """One value set as an agent sent it."""

    __slots__ = ("_pmid", "_set")

    def __init__(self, pmid: int, relayed: RelayedSet) -> None:
        self._pmid, self._set = pmid, relayed
        self.set_size = len(relayed.data)
        self.block_size = len(relayed.blocks)
        self.payload = relayed.blocks or relayed.moved(pmid, 0)

    def place(self, first_word: int) -> bytes:
        return self._set.moved(self._pmid, first_word)


def fetched_from(frame: bytes, pmids: Sequence[int]) -> Fetched:
    """What an agent's RESULT says of ``pmids``; ``RemoteProtocolError`` when it is not laid out as it must be.

    Replies are matched by position: the pmids in the reply are not looked at.
    """
    flags, sets = take_apart(frame, len(pmids))
    segments = [
        RelayedSegment(pmid, each) if each.status > 0 else EmptySegment(pmid, each.status)
        for pmid, each in zip(pmids, sets, strict=True)
    ]
    return Fetched(list[Segment](segments), changes=flags & _CHANGES, shared=False)
