"""From segments to the bytes of a RESULT: laid out once, then filled in for as long as nothing changes its size."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from pypcp.errors import NoAgent, TooBig
from pypcp.pmda.segments import EmptySegment, Fetched, Segment
from pypcp.wire.pdu import PduType

_HEAD: Final = struct.Struct(">iii")
_HIGHRES: Final = struct.Struct(">12siqq")
_CLASSIC: Final = struct.Struct(">12siii")

NSEC_PER_SEC: Final = 1_000_000_000


class ReplyLayout:
    """How the segments of a reply lie in it: the bytes that stay, and the places of those that do not.

    ``places`` says for each of the agents that take part which of the ``pmids`` its segments are; a pmid that is
    nobody's has the error ``NoAgent``.
    """

    def __init__(self, pmids: Sequence[int], places: Sequence[Sequence[int]], highres: bool, max_reply: int) -> None:
        self._pmids = pmids
        self._places = places
        self._highres = highres
        self._max_reply = max_reply
        self._layouts: list[object] = []
        self._parts: list[bytes] = []
        self._fills: list[tuple[int, Segment]] = []
        self._count = len(pmids)
        self._head = b""

    def render(self, fetched: Sequence[Fetched], time_ns: int) -> bytes:
        """The reply PDU, stamped with ``time_ns``. ``TooBig`` when it would pass the limit."""
        layouts = [each.layout for each in fetched]
        if layouts != self._layouts or not self._parts:
            self._lay_out(fetched)
            self._layouts = layouts
        parts = self._parts
        for position, segment in self._fills:
            parts[position] = segment.payload
        parts[0] = self._prologue(time_ns)
        return b"".join(parts)

    def _prologue(self, time_ns: int) -> bytes:
        if self._highres:
            seconds, nanoseconds = divmod(time_ns, NSEC_PER_SEC)
            return _HIGHRES.pack(self._head, self._count, seconds, nanoseconds)
        seconds, microseconds = divmod(time_ns // 1000, 1_000_000)
        return _CLASSIC.pack(self._head, seconds, microseconds, self._count)

    def _lay_out(self, fetched: Sequence[Fetched]) -> None:
        self._parts = []
        segments: list[Segment] = [EmptySegment(pmid, NoAgent.code) for pmid in self._pmids]
        for each, places in zip(fetched, self._places, strict=True):
            for place, segment in zip(places, each.segments, strict=True):
                segments[place] = segment
        prologue = _HIGHRES.size if self._highres else _CLASSIC.size
        blocks_at = prologue + sum([segment.set_size for segment in segments])
        size = blocks_at + sum([segment.block_size for segment in segments])
        if size > self._max_reply:
            raise TooBig(f"{len(segments)} metrics make a reply of {size} bytes; the limit is {self._max_reply}")
        self._head = _HEAD.pack(size, PduType.HIGHRES_RESULT if self._highres else PduType.RESULT, 0)
        self._parts, self._fills = _arrange(segments, blocks_at)


def _arrange(segments: Sequence[Segment], blocks_at: int) -> tuple[list[bytes], list[tuple[int, Segment]]]:
    """The parts of a reply: first the prologue's place, then stretches that stay and places to fill in."""
    parts: list[bytes] = [b""]
    fills: list[tuple[int, Segment]] = []
    stays: list[bytes] = []

    def fill(segment: Segment) -> None:
        if stays:
            parts.append(b"".join(stays))
            stays.clear()
        fills.append((len(parts), segment))
        parts.append(b"")

    first_word = blocks_at >> 2
    for segment in segments:
        if segment.block_size:
            stays.append(segment.place(first_word))
            first_word += segment.block_size >> 2
        elif isinstance(segment, EmptySegment):
            stays.append(segment.payload)
        else:
            fill(segment)
    for segment in segments:
        if segment.block_size:
            fill(segment)
    if stays:
        parts.append(b"".join(stays))
    return parts, fills
