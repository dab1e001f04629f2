"""Bytes in, whole PDUs out. Size limits are enforced here and nowhere else."""

from __future__ import annotations

import struct
from typing import Final

from pypcp.errors import RemoteProtocolError, TooBig
from pypcp.wire.buffer import ANY_SIZE_LIMIT, HEADER, HEADER_SIZE

__all__ = ["ANY_SIZE_LIMIT", "CLIENT_LIMIT", "HEADER", "HEADER_SIZE", "FrameReader", "frame_sender", "frame_type"]

CLIENT_LIMIT: Final = 65536
"""The largest PDU that pmcd takes from a client; exactly this is still taken."""

_WORD = struct.Struct(">i")


def frame_type(frame: bytes) -> int:
    """The type in a whole frame's header; see :class:`pypcp.wire.pdu.PduType`."""
    type_: int = _WORD.unpack_from(frame, 4)[0]
    return type_


def frame_sender(frame: bytes) -> int:
    """The ``from`` in a whole frame's header."""
    sender: int = _WORD.unpack_from(frame, 8)[0]
    return sender


class FrameReader:
    """Cuts a byte stream into PDUs, header included.

    Holds no more than the bytes fed: a length that a peer claims reserves nothing. After an error the stream has lost
    its place for good; close the connection.
    """

    __slots__ = ("_held", "limit")

    def __init__(self, limit: int = ANY_SIZE_LIMIT) -> None:
        self.limit = limit
        self._held = bytearray()

    @property
    def pending(self) -> int:
        """Bytes held that are no whole PDU yet: above zero the peer owes the rest."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The PDUs that ``data`` completes, in order.

        :class:`TooBig` for a PDU over the limit, :class:`RemoteProtocolError` for a header that cannot be.
        """
        held = self._held
        # Nearly always exactly one PDU arrives at a time: hand it on uncopied.
        if not held and len(data) >= HEADER_SIZE and self._length(data, 0) == len(data):
            return [data]
        held += data
        return self._cut()

    def _cut(self) -> list[bytes]:
        frames = []
        at, end = 0, len(self._held)
        with memoryview(self._held) as view:
            while end - at >= HEADER_SIZE:
                length = self._length(view, at)
                if end - at < length:
                    break
                frames.append(bytes(view[at : at + length]))
                at += length
        del self._held[:at]
        return frames

    def _length(self, data: bytes | memoryview, at: int) -> int:
        length: int
        length, type_, _ = HEADER.unpack_from(data, at)
        if length > self.limit:
            raise TooBig(f"a PDU of {length} bytes, the limit is {self.limit}")
        if length < HEADER_SIZE:
            raise RemoteProtocolError(f"a PDU of {length} bytes, less than its header")
        if type_ <= 0:
            raise RemoteProtocolError(f"a PDU of type {type_}")
        return length
