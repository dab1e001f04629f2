"""Bounded big-endian reading and writing: all that a PDU's body is made of.

Names and texts are ``str``, UTF-8 with ``surrogateescape``: whatever bytes a peer sends, they come out again unchanged.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from pypcp.errors import RemoteProtocolError, TooBig

HEADER: Final = struct.Struct(">iii")
"""The header of every PDU: length (with these 12 bytes), type, sender."""
HEADER_SIZE: Final = HEADER.size

ANY_SIZE_LIMIT: Final = 2**31 - 1 - 1024
"""The largest PDU there is."""

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_TWO_I32 = struct.Struct(">ii")
_I64 = struct.Struct(">q")

_PADDING: Final = (b"", b"~~~", b"~~", b"~")
"""What follows so many bytes beyond a whole word."""


def to_text(data: bytes) -> str:
    """Bytes of a peer as ``str``; any bytes will do."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The bytes of a name or text; ``UnicodeEncodeError`` for a surrogate that :func:`to_text` does not make."""
    return text.encode("utf-8", "surrogateescape")


def seconds_word(seconds: int) -> int:
    """Seconds since 1970 as the older PDUs have them, in one word: from 2038 on the rest is cut off, as in stock."""
    return seconds & 0xFFFFFFFF


def pad4(size: int) -> int:
    """``size`` rounded up to whole words."""
    return size + 3 & ~3


class Reader:
    """Reads big-endian fields from ``data`` between ``at`` and ``end``, in order, never beyond.

    Every method raises :class:`RemoteProtocolError` where the bytes do not hold what is asked for.
    """

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes | memoryview, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return self.end - self.at

    def finish(self) -> None:
        """Nothing may be left over."""
        if self.at != self.end:
            raise RemoteProtocolError(f"{self.remaining} bytes too many")

    def skip(self, size: int) -> int:
        """Passes over ``size`` bytes and says where they start."""
        at = self.at
        if not 0 <= size <= self.end - at:
            raise RemoteProtocolError(f"{size} bytes announced, {self.end - at} there")
        self.at = at + size
        return at

    def u8(self) -> int:
        """One byte."""
        return self.data[self.skip(1)]

    def u16(self) -> int:
        """Two bytes, unsigned."""
        value: int = _U16.unpack_from(self.data, self.skip(2))[0]
        return value

    def u32(self) -> int:
        """A word, unsigned."""
        value: int = _U32.unpack_from(self.data, self.skip(4))[0]
        return value

    def i32(self) -> int:
        """A word, signed."""
        value: int = _I32.unpack_from(self.data, self.skip(4))[0]
        return value

    def i64(self) -> int:
        """Two words, signed."""
        value: int = _I64.unpack_from(self.data, self.skip(8))[0]
        return value

    def count(self, item_size: int) -> int:
        """A word that announces items of at least ``item_size`` bytes: never more than the bytes left can hold."""
        return self.holds(self.i32(), item_size)

    def holds(self, count: int, item_size: int) -> int:
        """``count``, if the bytes left can be so many items of at least ``item_size`` bytes."""
        if not 0 <= count <= self.remaining // item_size:
            raise RemoteProtocolError(f"{count} items announced, {self.remaining} bytes there")
        return count

    def words(self, count: int) -> tuple[int, ...]:
        """``count`` words, unsigned."""
        return struct.unpack_from(f">{count}I", self.data, self.skip(4 * count))

    def signed_words(self, count: int) -> tuple[int, ...]:
        """``count`` words, signed."""
        return struct.unpack_from(f">{count}i", self.data, self.skip(4 * count))

    def bytes_(self, size: int) -> bytes:
        """``size`` bytes as they are."""
        at = self.skip(size)
        return bytes(self.data[at : at + size])

    def padded(self, size: int) -> bytes:
        """``size`` bytes, followed by padding up to a whole word that nobody looks at."""
        data = self.bytes_(size)
        self.skip(-size % 4)
        return data

    def text(self, size: int) -> str:
        """``size`` bytes of text, padded."""
        return to_text(self.padded(size))


class Writer:
    """Collects the fields of one PDU, the mirror of :class:`Reader`.

    ``struct.error``, ``TypeError`` or ``ValueError`` where a value does not fit its field:
    :func:`pypcp.wire.pdu.encode` makes one error of these.
    """

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray(HEADER_SIZE)

    @property
    def at(self) -> int:
        """Bytes from the start of the PDU, header included: where the next field goes."""
        return len(self._data)

    def u8(self, value: int) -> None:
        """One byte."""
        self._data.append(value)

    def u16(self, value: int) -> None:
        """Two bytes, unsigned."""
        self._data += _U16.pack(value)

    def u32(self, value: int) -> None:
        """A word, unsigned."""
        self._data += _U32.pack(value)

    def i32(self, value: int) -> None:
        """A word, signed."""
        self._data += _I32.pack(value)

    def i64(self, value: int) -> None:
        """Two words, signed."""
        self._data += _I64.pack(value)

    def bytes_(self, data: bytes) -> None:
        """Bytes as they are."""
        self._data += data

    def padded(self, data: bytes) -> None:
        """Bytes, then ``~`` up to a whole word."""
        self._data += data
        self._data += _PADDING[len(data) & 3]

    def text(self, text: str) -> None:
        """Its size in bytes (a word), then the text, padded."""
        data = to_bytes(text)
        self.i32(len(data))
        self.padded(data)

    def texts(self, texts: Sequence[bytes], numbers: Sequence[int] | None = None) -> None:
        """Each text as :meth:`text` writes one; after its own of ``numbers`` (a word, signed), where there are any.

        There may be tens of thousands: all are written in one go, which takes a third of the time.
        """
        pad = _PADDING
        if numbers is None:
            word = _I32.pack
            parts = [word(len(text)) + text + pad[len(text) & 3] for text in texts]
        else:
            words = _TWO_I32.pack
            parts = [
                words(number, len(text)) + text + pad[len(text) & 3]
                for number, text in zip(numbers, texts, strict=True)
            ]
        self._data += b"".join(parts)

    def frame(self, type_: int, sender: int) -> bytes:
        """The whole PDU; :class:`TooBig` if there can be none of this size."""
        if len(self._data) > ANY_SIZE_LIMIT:
            raise TooBig(f"a PDU of {len(self._data)} bytes")
        HEADER.pack_into(self._data, 0, len(self._data), type_, sender)
        return bytes(self._data)
