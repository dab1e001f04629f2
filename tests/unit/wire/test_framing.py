"""Bytes in, whole PDUs out."""

import tracemalloc

import pytest

from pypcp.errors import RemoteProtocolError, TooBig
from pypcp.wire.framing import ANY_SIZE_LIMIT, CLIENT_LIMIT, HEADER, FrameReader, frame_sender, frame_type


def frame(body: bytes = b"", type_: int = 0x7004, sender: int = 0) -> bytes:
    return HEADER.pack(12 + len(body), type_, sender) + body


def test_one_whole_pdu_is_handed_on_without_a_copy() -> None:
    data = frame(b"abcd")
    (got,) = FrameReader(CLIENT_LIMIT).feed(data)
    assert got is data


def test_several_pdus_in_one_piece_come_out_in_order() -> None:
    frames = [frame(b"a"), frame(), frame(b"bcdef")]
    reader = FrameReader(CLIENT_LIMIT)
    assert reader.feed(b"".join(frames)) == frames
    assert reader.pending == 0


def test_half_a_pdu_is_kept_until_the_rest_comes() -> None:
    data = frame(b"abcd")
    reader = FrameReader(CLIENT_LIMIT)
    assert reader.feed(data[:7]) == []
    assert reader.pending == 7
    assert reader.feed(data[7:] + data[:3]) == [data]
    assert reader.pending == 3


def test_a_whole_pdu_after_half_of_one_is_not_taken_for_the_rest() -> None:
    first, second = frame(b"abcd"), frame(b"efgh")
    reader = FrameReader(CLIENT_LIMIT)
    reader.feed(first[:-4])
    assert reader.feed(first[-4:] + second) == [first, second]


def test_nothing_in_gives_nothing_out() -> None:
    assert FrameReader(CLIENT_LIMIT).feed(b"") == []


@pytest.mark.parametrize("length", [11, 0, -1, -(2**31)])
def test_a_length_below_the_header_is_refused(length: int) -> None:
    with pytest.raises(RemoteProtocolError, match=str(length)):
        FrameReader(CLIENT_LIMIT).feed(HEADER.pack(length, 0x7004, 0))


def test_a_negative_type_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="type -5"):
        FrameReader(CLIENT_LIMIT).feed(frame(type_=-5))


def test_an_unknown_type_is_none_of_framings_business() -> None:
    assert FrameReader(CLIENT_LIMIT).feed(frame(type_=0x10)) == [frame(type_=0x10)]


def test_a_pdu_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    biggest = frame(bytes(CLIENT_LIMIT - 12))
    assert FrameReader(CLIENT_LIMIT).feed(biggest) == [biggest]
    with pytest.raises(TooBig, match="65537"):
        FrameReader(CLIENT_LIMIT).feed(frame(bytes(CLIENT_LIMIT - 11)))


def test_the_limit_holds_for_a_pdu_in_the_middle_of_the_stream() -> None:
    with pytest.raises(TooBig):
        FrameReader(64).feed(frame() + frame(bytes(100)))


def test_the_largest_length_there_is_reserves_no_memory() -> None:
    reader = FrameReader(ANY_SIZE_LIMIT)
    tracemalloc.start()
    try:
        reader.feed(HEADER.pack(ANY_SIZE_LIMIT, 0x7001, 0))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_big_pdu_in_small_pieces_is_put_together_without_copying_it_again_and_again() -> None:
    data = frame(bytes(4_000_000))
    reader = FrameReader(ANY_SIZE_LIMIT)
    tracemalloc.start()
    try:
        frames = [got for at in range(0, len(data), 500) for got in reader.feed(data[at : at + 500])]
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data)
    finally:
        tracemalloc.stop()
    assert frames == [data]


def test_type_and_sender_are_read_from_the_header() -> None:
    data = frame(type_=0x7016, sender=-2)
    assert (frame_type(data), frame_sender(data)) == (0x7016, -2)
