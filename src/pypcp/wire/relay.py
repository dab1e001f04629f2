"""Taking an agent's RESULT apart without decoding it: verified whole, to be put into another reply.

The daemon passes an agent's values on as they are. But clients trust the offsets in a reply, so nothing is passed on
before it is known that every value set, every pointer and every block of it is where the layout says (see
:mod:`pypcp.wire.result`). Afterwards a value set moves to its new place by adding one number to all its pointers.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from typing import Final

from pypcp.errors import RemoteProtocolError
from pypcp.model.values import ValueFormat
from pypcp.wire.buffer import HEADER_SIZE

_PROLOGUE: Final = struct.Struct(">iii")
_PROLOGUE_SIZE: Final = HEADER_SIZE + _PROLOGUE.size
_SET_HEAD: Final = struct.Struct(">Iii")
_SWAP: Final = sys.byteorder == "little"


@dataclass(slots=True)
class RelayedSet:
    """One value set of an agent's reply.

    ``status`` is the number of values, 0 or an error. ``data`` is the set as it stood; ``blocks`` are its value blocks
    as they stood, the first of them at word ``first_word`` of the PDU (both empty for values in place).
    """

    status: int
    data: bytes
    blocks: bytes = b""
    first_word: int = 0

    def moved(self, pmid: int, first_word: int) -> bytes:
        """The value set for ``pmid`` with its blocks at ``first_word`` of another PDU."""
        shift = first_word - self.first_word
        pairs = self.data[12:]
        # All pointers at once: the pairs as one big number, plus (0, shift) for each pair. No sum carries into its
        # neighbour: offsets are verified and a reply has less than 2**29 words.
        count = len(pairs) >> 3
        if shift:
            step = (abs(shift).to_bytes(8, "big")) * count
            total = int.from_bytes(pairs, "big")
            total = total + int.from_bytes(step, "big") if shift > 0 else total - int.from_bytes(step, "big")
            pairs = total.to_bytes(len(pairs), "big")
        return struct.pack(">I", pmid) + self.data[4:12] + pairs


def take_apart(frame: bytes, metrics: int) -> tuple[int, list[RelayedSet]]:
    """The first word of an agent's RESULT (its state-change flags) and its value sets, one for each of ``metrics``.

    ``RemoteProtocolError`` where it is not laid out so.
    """
    if len(frame) < _PROLOGUE_SIZE or len(frame) & 3:
        raise RemoteProtocolError(f"a result of {len(frame)} bytes")
    flags, _, count = _PROLOGUE.unpack_from(frame, HEADER_SIZE)
    # Before anything else: millions of value sets that nobody asked for would keep everybody waiting.
    if count != metrics:
        raise RemoteProtocolError(f"{count} value sets for {metrics} metrics")
    spans, at = _spans(frame, count)
    words = array("I", frame)
    if _SWAP:
        words.byteswap()
    sets: list[RelayedSet] = []
    next_word = at >> 2
    for start, end, status, format_ in spans:
        if status <= 0 or format_ == ValueFormat.INSITU:
            sets.append(RelayedSet(status, frame[start:end]))
            continue
        first = next_word
        next_word = _blocks_end(words, words[(start >> 2) + 4 : end >> 2 : 2], first)
        sets.append(RelayedSet(status, frame[start:end], frame[first << 2 : next_word << 2], first))
    if next_word != len(words):
        raise RemoteProtocolError(f"{len(words) - next_word} words at the end of a result belong to no value")
    return flags, sets


def _spans(frame: bytes, count: int) -> tuple[list[tuple[int, int, int, int]], int]:
    """(start, end, number of values, format) of each value set, and where the last one ends; all within the frame."""
    at, length = _PROLOGUE_SIZE, len(frame)
    spans: list[tuple[int, int, int, int]] = []
    for _ in range(count):
        if length - at < 8:
            raise RemoteProtocolError("a result ends within a value set")
        (status,) = struct.unpack_from(">i", frame, at + 4)
        if status <= 0:
            spans.append((at, at + 8, status, ValueFormat.INSITU))
            at += 8
            continue
        if length - at < 12 or status > (length - at - 12) >> 3:
            raise RemoteProtocolError(f"a value set that claims {status} values")
        (format_,) = struct.unpack_from(">i", frame, at + 8)
        if format_ not in (0, 1, 2):
            raise RemoteProtocolError(f"a value set of format {format_}")
        end = at + 12 + 8 * status
        spans.append((at, end, status, format_))
        at = end
    return spans, at


def _blocks_end(words: array[int], pointers: array[int], first: int) -> int:
    """Where the blocks of a value set end that are to start at word ``first``, each right after the one before."""
    total = len(words)
    if first < total:
        # Nearly always the blocks are of one size: then two comparisons of whole columns verify them.
        size = ((words[first] & 0xFFFFFF) + 3) >> 2
        end = first + size * len(pointers)
        if size and end <= total and pointers == array("I", range(first, end, size)):
            heads = words[first:end:size]
            if heads == array("I", words[first : first + 1]) * len(heads):
                return end if words[first] & 0xFFFFFF >= 4 else _refuse_block(first)
    at = first
    for pointer in pointers:
        if pointer != at:
            raise RemoteProtocolError(f"a value at word {pointer} instead of {at}: blocks have an order and no gaps")
        if at >= total or words[at] & 0xFFFFFF < 4:
            _refuse_block(at)
        at += ((words[at] & 0xFFFFFF) + 3) >> 2
        if at > total:
            _refuse_block(pointer)
    return at


def _refuse_block(at: int) -> int:
    raise RemoteProtocolError(f"the value block at word {at} is too short or reaches past the end")
