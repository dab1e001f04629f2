"""Bounded reading and its mirror."""

import struct

import pytest

from pypcp.errors import RemoteProtocolError, TooBig
from pypcp.wire import buffer
from pypcp.wire.buffer import Reader, Writer, pad4, to_bytes, to_text


def body(writer: Writer) -> bytes:
    return writer.frame(0, 0)[12:]


def test_fields_are_big_endian_and_in_order() -> None:
    reader = Reader(bytes.fromhex("ff 0102 80000000 80000000 8000000000000000"))
    assert (reader.u8(), reader.u16(), reader.u32(), reader.i32(), reader.i64()) == (
        255,
        258,
        2**31,
        -(2**31),
        -(2**63),
    )
    reader.finish()


def test_what_is_written_is_read_back() -> None:
    writer = Writer()
    writer.u8(7)
    writer.u16(65535)
    writer.u32(2**32 - 1)
    writer.i32(-1)
    writer.i64(-2)
    writer.text("né")
    reader = Reader(body(writer))
    assert (reader.u8(), reader.u16(), reader.u32(), reader.i32(), reader.i64()) == (7, 65535, 2**32 - 1, -1, -2)
    assert reader.text(reader.i32()) == "né"
    reader.finish()


@pytest.mark.parametrize("name", ["u8", "u16", "u32", "i32", "i64"])
def test_a_field_that_is_not_there_is_a_protocol_error(name: str) -> None:
    with pytest.raises(RemoteProtocolError, match="announced"):
        getattr(Reader(b""), name)()


def test_reading_stops_at_the_end_that_was_given_and_not_at_the_end_of_the_data() -> None:
    reader = Reader(bytes(16), 4, 8)
    reader.u32()
    with pytest.raises(RemoteProtocolError):
        reader.u8()


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        Reader(bytes(8)).bytes_(-1)


def test_what_is_left_over_is_refused_with_its_size() -> None:
    with pytest.raises(RemoteProtocolError, match="3 bytes too many"):
        Reader(bytes(3)).finish()


@pytest.mark.parametrize("count", [-1, 3, 2**31 - 1])
def test_a_count_of_more_items_than_bytes_can_hold_is_refused(count: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"{count} items"):
        Reader(struct.pack(">i", count) + bytes(11)).count(4)


def test_padding_is_skipped_and_written_as_tildes() -> None:
    writer = Writer()
    writer.padded(b"abcde")
    assert body(writer) == b"abcde~~~"
    reader = Reader(b"abcde\0\0\0")
    assert reader.padded(5) == b"abcde"
    assert reader.remaining == 0


def test_missing_padding_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        Reader(b"abcde").padded(5)


def test_any_bytes_survive_as_text() -> None:
    data = bytes(range(256))
    assert to_bytes(to_text(data)) == data


def test_sizes_round_up_to_words() -> None:
    assert [pad4(size) for size in range(6)] == [0, 4, 4, 4, 4, 8]


def test_a_pdu_over_the_size_that_there_is_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "ANY_SIZE_LIMIT", 63)
    writer = Writer()
    writer.bytes_(bytes(52))
    with pytest.raises(TooBig, match="64 bytes"):
        writer.frame(0, 0)
