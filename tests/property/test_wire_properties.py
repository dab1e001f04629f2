"""What holds for all PDUs, and for any bytes at all."""

import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from property import pdus
from pypcp.errors import PcpError, RemoteProtocolError, TooBig
from pypcp.model.values import ValueSet, ValueType
from pypcp.wire import columns
from pypcp.wire.blocks import decode_value
from pypcp.wire.buffer import Writer
from pypcp.wire.framing import ANY_SIZE_LIMIT, CLIENT_LIMIT, HEADER, FrameReader
from pypcp.wire.pdu import Pdu, PduType, decode, encode
from pypcp.wire.result import Result, write_value_sets
from pypcp.wire.versions import Channel
from vectors.captures import stream, stream_names

# The fixtures that watch over every test watch over the whole run of examples.
MODEST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CHANNELS = [None, Channel(version=1), Channel(version=2)]


@MODEST
@given(pdus.PDUS)
def test_what_is_encoded_is_decoded_to_the_same(pdu: Pdu) -> None:
    assert decode(encode(pdu)) == pdu


@MODEST
@given(pdus.REFUSED_SETS)
def test_an_error_of_a_metric_keeps_its_code(value_set: ValueSet) -> None:
    (got,) = decode(encode(Result(0, [value_set]))).value_sets  # type: ignore[attr-defined]
    assert got.error.code == value_set.error.code  # type: ignore[union-attr]


@MODEST
@given(st.integers(-(2**31) + 20_000, -1))
def test_every_code_survives_a_peer_of_version_1(code: int) -> None:
    from_peer = struct.pack(">iiii", 16, PduType.ERROR, 0, code)
    assert encode(decode(from_peer, CHANNELS[1]), CHANNELS[1]) == from_peer


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Frames of a known type whose body is anything."""
    type_ = draw(st.sampled_from(PduType))
    words = st.lists(pdus.U32 | st.integers(0, 40), max_size=30).map(lambda all_: struct.pack(f">{len(all_)}I", *all_))
    body = draw(st.binary(max_size=120) | words)
    return HEADER.pack(12 + len(body), type_, 0) + body


@settings(MODEST, max_examples=600)
@given(frames(), st.sampled_from(CHANNELS))
def test_any_body_is_a_pdu_or_one_clear_error(frame: bytes, channel: Channel | None) -> None:
    try:
        pdu = decode(frame, channel)
    except RemoteProtocolError as error:
        assert error.detail
    else:
        sent = encode(pdu)
        assert encode(decode(sent)) == sent


@MODEST
@given(st.binary(max_size=200), st.integers(1, 50), st.integers(12, 100))
@example(HEADER.pack(12, 0x7000, 0) * 3, 5, 100)
def test_any_stream_gives_whole_frames_or_one_clear_error(data: bytes, step: int, limit: int) -> None:
    reader, frames_ = FrameReader(limit), []
    try:
        for at in range(0, len(data), step):
            frames_ += reader.feed(data[at : at + step])
    except (RemoteProtocolError, TooBig):
        pass
    else:
        assert len(b"".join(frames_)) + reader.pending == len(data)
    assert data.startswith(b"".join(frames_))


@MODEST
@given(st.lists(pdus.PDUS, max_size=4).map(lambda all_: [encode(pdu) for pdu in all_]), st.data())
def test_frames_come_out_of_a_stream_however_it_is_cut(sent: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    reader = FrameReader(ANY_SIZE_LIMIT)
    got = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)
        for frame in reader.feed(whole[start:end])
    ]
    assert (got, reader.pending) == (sent, 0)


# Every word of every recorded PDU, replaced by numbers that a hostile peer would choose.

HUGE = [0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x40000000, 0x00FFFFFF, 0x10000, 0]


def samples() -> list[bytes]:
    """One recorded PDU of each type and length up to 300 bytes, the shortest of each type first."""
    recorded = {frame.frame[:8]: frame.frame for name in stream_names() for frame in stream(name)}
    return [frame for frame in sorted(recorded.values()) if len(frame) <= 300]


def test_a_huge_number_in_any_word_is_refused_or_read_in_little_memory() -> None:
    tracemalloc.start()
    try:
        for frame in samples():
            for at in range(12, len(frame) - 3, 4):
                for word in HUGE:
                    decode_or_refuse(frame[:at] + struct.pack(">I", word) + frame[at + 4 :])
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def decode_or_refuse(frame: bytes) -> None:
    try:
        decode(frame)
    except RemoteProtocolError:
        return


def test_values_sharing_blocks_cannot_make_a_small_pdu_large() -> None:
    size = CLIENT_LIMIT // 2
    count = (size - 36) // 8
    first = (36 + 8 * count) // 4
    block = struct.pack(">I", ValueType.AGGREGATE << 24 | 4 + size) + bytes(size)
    body = struct.pack(">iiiIiI", 0, 0, 1, 5, count, 1) + struct.pack(">iI", 0, first) * count + block
    frame = HEADER.pack(12 + len(body), PduType.RESULT, 0) + body
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            decode(frame)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


# Fast and slow encode the same bytes and read the same values.

COLUMN_COUNTS = st.sampled_from([1, 2, 7, 127, 128, 129, 300])


def reference(value_set: ValueSet, at: int = 24) -> bytes:
    """What the reference makes of one value set that starts at byte ``at``, without what is before it."""
    writer = Writer()
    writer.bytes_(bytes(at - writer.at))
    write_value_sets(writer, [value_set])
    return writer.frame(0, 0)[at:]


@MODEST
@given(st.sampled_from([ValueType.I32, ValueType.U32]), COLUMN_COUNTS, pdus.U32, st.data())
def test_columns_in_place_are_encoded_as_the_reference_does(
    type_: ValueType, count: int, pmid: int, data: st.DataObject
) -> None:
    seeds = data.draw(st.lists(pdus.NUMBERS[type_], min_size=1, max_size=5))
    instances = [index - 3 for index in range(count)]
    column = columns.in_place_column(pmid, type_, instances)
    for seed in seeds:
        values = [seed if index % 3 else seeds[0] for index in range(count)]
        encoded = column.encode(values)
        assert encoded == reference(ValueSet(pmid, instances, values, type=type_))
        assert len(encoded) == column.size


@MODEST
@given(st.sampled_from(sorted(columns.BLOCK_WORDS)), COLUMN_COUNTS, st.integers(6, 1000), st.data())
def test_columns_of_blocks_are_encoded_as_the_reference_does(
    type_: ValueType, count: int, words_before: int, data: st.DataObject
) -> None:
    seeds = data.draw(st.lists(pdus.NUMBERS[type_], min_size=1, max_size=5))
    instances = [index - 3 for index in range(count)]
    column = columns.block_column(type_, count)
    first_block = words_before + (columns.SET_HEAD_SIZE + columns.PAIR_SIZE * count) // 4
    pointers = columns.pointer_set(7, instances, first_block, columns.BLOCK_WORDS[type_])
    for seed in seeds:
        values = [seed if index % 3 else seeds[0] for index in range(count)]
        encoded = pointers + column.encode(values)
        assert encoded == reference(ValueSet(7, instances, values, type=type_), 4 * words_before)
        assert len(encoded) == len(pointers) + column.size


@MODEST
@given(pdus.block_sets(), st.integers(6, 1000))
def test_blocks_of_any_sizes_are_placed_as_the_reference_does(value_set: ValueSet, words_before: int) -> None:
    expected = reference(value_set, 4 * words_before)
    blocks_at = columns.SET_HEAD_SIZE + columns.PAIR_SIZE * len(value_set.values)
    heads = [struct.unpack_from(">I", expected, 4 * (word - words_before))[0] for word in pointers_of(expected)]
    sizes = [((head & 0xFFFFFF) + 3) // 4 for head in heads]
    first = words_before + blocks_at // 4
    made = columns.pointer_set_of(value_set.pmid, value_set.instances, first, sizes, value_set.format)
    at = blocks_at
    for head, size in zip(heads, sizes, strict=True):
        made += columns.block(head >> 24, expected[at + 4 : at + (head & 0xFFFFFF)])
        at += 4 * size
    assert made == expected


def pointers_of(encoded: bytes) -> list[int]:
    """The pointers of the value set at the start of ``encoded``."""
    (count,) = struct.unpack_from(">i", encoded, 4)
    return [struct.unpack_from(">I", encoded, 16 + 8 * index)[0] for index in range(count)]


@MODEST
@given(pdus.U32, st.sampled_from([0, -12357]))
def test_a_set_without_values_is_encoded_as_the_reference_does(pmid: int, code: int) -> None:
    frame = struct.pack(">iiiiiiIi", 32, PduType.RESULT, 0, 0, 0, 1, pmid, code)
    assert columns.empty_set(pmid, code) == frame[24:]
    assert encode(decode(frame)) == frame


@MODEST
@given(st.sampled_from(sorted(columns.BLOCK_WORDS)), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=300))
def test_columns_of_blocks_are_decoded_as_one_value_at_a_time(type_: ValueType, bits: list[int]) -> None:
    size = 4 * columns.BLOCK_WORDS[type_] - 4
    datas = [word.to_bytes(8, "big")[:size] for word in bits]
    region = bytes(8) + b"".join(columns.block(type_, data) for data in datas)
    pointers = [2 + columns.BLOCK_WORDS[type_] * index for index in range(len(bits))]
    fast = columns.read_blocks(region, pointers, len(region), type_)
    assert list(map(repr, fast or [])) == [repr(decode_value(type_, data)) for data in datas]


@MODEST
@given(st.lists(st.tuples(pdus.I32, pdus.U32), min_size=1, max_size=300))
def test_pairs_are_decoded_as_one_at_a_time(pairs: list[tuple[int, int]]) -> None:
    data = b"".join(struct.pack(">iI", *pair) for pair in pairs)
    assert list(zip(*columns.read_pairs(data, 0, len(pairs)), strict=True)) == pairs


@MODEST
@given(st.lists(pdus.U32, min_size=1, max_size=300), st.sampled_from([ValueType.I32, ValueType.U32, ValueType.FLOAT]))
def test_words_are_reinterpreted_as_one_value_at_a_time(words: list[int], type_: ValueType) -> None:
    expected = [decode_value(type_, struct.pack(">I", word)) for word in words]
    assert list(map(repr, columns.reinterpret(words, type_))) == list(map(repr, expected))


@MODEST
@given(pdus.results())
def test_no_error_but_ours_comes_out_of_a_damaged_result(result: Result) -> None:
    frame = bytearray(encode(result))
    for at in range(12, len(frame), 4):
        frame[at] ^= 0x81
        try:
            decode(bytes(frame))
        except PcpError as error:
            assert isinstance(error, RemoteProtocolError)
        frame[at] ^= 0x81
