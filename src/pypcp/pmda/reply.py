"""From segments to the bytes of a RESULT: laid out once, then filled in for as long as nothing changes its size."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from pypcp.errors import NoAgent, TooBig
from pypcp.pmda.segments import EmptySegment, Fetched, Segment
from pypcp.wire.buffer import seconds_word
from pypcp.wire.pdu import PduType

_HEAD: Final = struct.Struct(">iii")
_HIGHRES: Final = struct.Struct(">12siqq")
_CLASSIC: Final = struct.Struct(">12sIii")

NSEC_PER_SEC: Final = 1_000_000_000

_STEP: Final = 1024
"""Segments that are laid out in one step."""


def held_bytes(metrics: int, reply_bytes: int = 0) -> int:
    """The memory that a prepared fetch list takes, about, and that its last reply does.

    What a list takes by itself, and the reader, segment and parts of a metric, are measured over the linux agent's, in
    lists of 1 to 617. Of a reply there are the parts, what they were made from and the whole: a column is held as
    numbers, as words and as bytes.
    """
    return 3000 + 1000 * metrics + 3 * reply_bytes


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
        if not self._holds(fetched):
            for _ in self.lay_out(fetched):
                pass
        parts = self._parts
        for position, segment in self._fills:
            parts[position] = segment.payload
        parts[0] = self._prologue(time_ns)
        return b"".join(parts)

    def _holds(self, fetched: Sequence[Fetched]) -> bool:
        """Is what was laid out last still the way it is?"""
        return bool(self._parts) and [each.layout for each in fetched] == self._layouts

    def _prologue(self, time_ns: int) -> bytes:
        if self._highres:
            seconds, nanoseconds = divmod(time_ns, NSEC_PER_SEC)
            return _HIGHRES.pack(self._head, self._count, seconds, nanoseconds)
        seconds, microseconds = divmod(time_ns // 1000, 1_000_000)
        return _CLASSIC.pack(self._head, seconds_word(seconds), microseconds, self._count)

    def lay_out(self, fetched: Sequence[Fetched]) -> Iterator[None]:
        """What :meth:`render` does first where it must, in steps: between two of them something else may be done.

        ``TooBig``. Nobody else may use this layout meanwhile.
        """
        if self._holds(fetched):
            return
        self._parts = []
        # A layout that is replaced between two steps is another one than what was laid out.
        layouts = [each.layout for each in fetched]
        segments = self._in_place(fetched)
        yield
        prologue = _HIGHRES.size if self._highres else _CLASSIC.size
        blocks_at = prologue + sum([segment.set_size for segment in segments])
        size = blocks_at + sum([segment.block_size for segment in segments])
        if size > self._max_reply:
            raise TooBig(f"{len(segments)} metrics make a reply of {size} bytes; the limit is {self._max_reply}")
        self._head = _HEAD.pack(size, PduType.HIGHRES_RESULT if self._highres else PduType.RESULT, 0)
        arrangement = _Arrangement(blocks_at)
        for at in range(0, len(segments), _STEP):
            yield
            arrangement.add_sets(segments[at : at + _STEP])
        yield
        arrangement.add_blocks()
        self._parts, self._fills = arrangement.parts, arrangement.fills
        self._layouts = layouts

    def _in_place(self, fetched: Sequence[Fetched]) -> list[Segment]:
        found: list[Segment | None] = [None] * self._count
        for each, places in zip(fetched, self._places, strict=True):
            for place, segment in zip(places, each.segments, strict=True):
                found[place] = segment
        return [
            EmptySegment(pmid, NoAgent.code) if segment is None else segment
            for pmid, segment in zip(self._pmids, found, strict=True)
        ]


class _Arrangement:
    """The parts of a reply: first the prologue's place, then stretches that stay and places to fill in."""

    def __init__(self, blocks_at: int) -> None:
        self.parts: list[bytes] = [b""]
        self.fills: list[tuple[int, Segment]] = []
        self._stays: list[bytes] = []
        self._word = blocks_at >> 2
        self._carriers: dict[Segment, int] = {}

    def add_sets(self, segments: Sequence[Segment]) -> None:
        """The value sets, in order."""
        for segment in segments:
            if segment.block_size:
                self._stays.append(segment.place(self._word_of(segment)))
            elif isinstance(segment, EmptySegment):
                self._stays.append(segment.payload)
            else:
                self._fill(segment)

    def _word_of(self, segment: Segment) -> int:
        """Where the segment's blocks start; those of a run start with its first member's."""
        run = segment.run
        carrier = segment if run is None else run
        at = self._carriers.get(carrier)
        if at is None:
            at = self._carriers[carrier] = self._word
            self._word += carrier.block_size >> 2
        return at if run is None else at + segment.offset

    def add_blocks(self) -> None:
        """Then the value blocks, in the same order."""
        for carrier in self._carriers:
            self._fill(carrier)
        self._stay()

    def _fill(self, segment: Segment) -> None:
        self._stay()
        self.fills.append((len(self.parts), segment))
        self.parts.append(b"")

    def _stay(self) -> None:
        if self._stays:
            self.parts.append(b"".join(self._stays))
            self._stays.clear()
