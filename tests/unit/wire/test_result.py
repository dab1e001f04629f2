"""Results: value sets, value blocks, their places, and what a descriptor makes of them."""

import struct
from collections.abc import Sequence

import pytest

from pypcp.errors import BadArgument, ConversionError, NoAgent, RemoteProtocolError, UnlistedError
from pypcp.model.events import EventArray
from pypcp.model.values import Value, ValueFormat, ValueSet, ValueType
from pypcp.wire.pdu import PduType, UnknownPdu, decode, encode
from pypcp.wire.result import Result, typed


def sets_of(frame: bytes) -> list[ValueSet]:
    pdu = decode(frame)
    assert isinstance(pdu, Result)
    return pdu.value_sets


def result(count: int, *words: int | bytes) -> bytes:
    """A RESULT of raw words and bytes after its prologue."""
    parts = [word if isinstance(word, bytes) else struct.pack(">I", word & 0xFFFFFFFF) for word in words]
    return encode(UnknownPdu(PduType.RESULT, struct.pack(">iii", 0, 0, count) + b"".join(parts)))


def test_the_two_forms_have_two_prologues() -> None:
    time_ns = 1_795_224_855_515_704_288
    highres = encode(Result(time_ns, [], highres=True))
    assert highres[12:] == struct.pack(">iqq", 0, 1_795_224_855, 515_704_288)
    assert encode(Result(time_ns, []))[12:] == struct.pack(">iii", 1_795_224_855, 515_704, 0)
    assert decode(highres) == Result(time_ns, [], highres=True)
    assert decode(encode(Result(time_ns, []))) == Result(1_795_224_855_515_704_000, [])


def test_seconds_that_do_not_fit_are_cut_off_as_in_stock() -> None:
    """In 2045 stock's pmcd sent this, and so its clients see a time before 1970."""
    frame = encode(Result(2_395_800_799_508_773_000, []))
    assert frame[12:20].hex() == "8ecd04df0007c365"
    seen = decode(frame)
    assert isinstance(seen, Result)
    assert encode(seen) == frame


def test_errors_and_no_values_are_8_bytes_and_have_no_format() -> None:
    frame = encode(Result(0, [ValueSet(5, error=NoAgent()), ValueSet(6)]))
    assert frame[24:] == struct.pack(">IiIi", 5, -12386, 6, 0)
    refused, empty = sets_of(frame)
    assert isinstance(refused.error, NoAgent)
    assert (empty.error, list(empty.values)) == (None, [])


def test_an_error_that_no_table_lists_keeps_its_number() -> None:
    (got,) = sets_of(result(1, 5, -13000))
    assert isinstance(got.error, UnlistedError)
    assert got.error.code == -13000
    assert encode(Result(0, [got])) == result(1, 5, -13000)


def test_words_in_place_are_unsigned_until_the_type_is_known() -> None:
    frame = encode(Result(0, [ValueSet(5, [0, 1], [-1, 2], type=ValueType.I32)]))
    assert frame[24:] == struct.pack(">IiIiiii", 5, 2, 0, 0, -1, 1, 2)
    (got,) = sets_of(frame)
    assert (got.type, got.values, got.format) == (None, [2**32 - 1, 2], ValueFormat.INSITU)
    assert typed(got, ValueType.I32).values == [-1, 2]
    assert typed(got, ValueType.U32).values == [2**32 - 1, 2]


def test_a_pointer_counts_words_from_the_first_byte_of_the_header() -> None:
    value_sets = [ValueSet.singular(5, 7, ValueType.U64), ValueSet(6, [1, 2], ["ab", ""], type=ValueType.STRING)]
    frame = encode(Result(0, value_sets, highres=True))
    blocks_at = 32 + 20 + 28
    expected = struct.pack(">IiIiI", 5, 1, 1, -1, blocks_at // 4)
    expected += struct.pack(">IiIiIiI", 6, 2, 1, 1, blocks_at // 4 + 3, 2, blocks_at // 4 + 5)
    expected += b"\x03\x00\x00\x0c" + struct.pack(">Q", 7) + b"\x06\x00\x00\x07ab\0~" + b"\x06\x00\x00\x05\0~~~"
    assert frame[32:] == expected
    assert sets_of(frame) == value_sets


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (ValueType.I64, [-(2**63), 2**63 - 1, 0]),
        (ValueType.U64, [2**64 - 1]),
        (ValueType.FLOAT, [1.5, -0.25, float("inf")]),
        (ValueType.DOUBLE, [0.1, -1e300]),
        (ValueType.STRING, ["", "x", "naïve \udcff"]),
        (ValueType.AGGREGATE, [b"", b"\0\1\2\3\4"]),
        (ValueType.AGGREGATE_STATIC, [b"abc"]),
        (ValueType.EVENT, [EventArray()]),
        (ValueType.HIGHRES_EVENT, [EventArray(highres=True)]),
    ],
)
def test_values_of_every_type_in_a_block_come_back(type_: ValueType, values: Sequence[Value]) -> None:
    value_sets = [ValueSet(9, list(range(len(values))), values, type=type_, format=ValueFormat.SPTR)]
    assert sets_of(encode(Result(0, value_sets))) == value_sets


def test_a_string_without_its_nul_is_read_all_the_same() -> None:
    (got,) = sets_of(result(1, 5, 1, 1, -1, 11, 0x06000006, b"ab~~"))
    assert got.values == ["ab"]


def test_padding_is_not_looked_at() -> None:
    (got,) = sets_of(result(1, 5, 1, 1, -1, 11, 0x06000007, b"ab\0\xff"))
    assert got.values == ["ab"]


def test_blocks_may_come_in_any_order() -> None:
    (got,) = sets_of(result(1, 5, 2, 1, 0, 15, 1, 13, 0x04000008, struct.pack(">f", 2.5), 0x04000008, bytes(4)))
    assert got.values == [0.0, 2.5]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(result(-1), id="negative count"),
        pytest.param(result(1), id="missing set"),
        pytest.param(result(2**31 - 1, 5, 0), id="huge count"),
        pytest.param(result(1, 5, 2, 0, 1, 1), id="missing value"),
        pytest.param(result(1, 5, 0x7FFFFFFF, 0, 1, 1), id="huge number of values"),
        pytest.param(result(1, 5, 1, 3, -1, 1), id="unknown format"),
        pytest.param(result(1, 5, 1, 0, -1, 1, 7), id="trailing word"),
        pytest.param(result(1, 5, 0, 0), id="format without values"),
        pytest.param(result(1, 5, 1, 1, -1, 2000), id="block beyond the end"),
        pytest.param(result(1, 5, 1, 1, -1, 0xFFFFFFFF), id="block at a negative index"),
        pytest.param(result(1, 5, 1, 1, -1, 4), id="block in the value sets"),
        pytest.param(result(1, 5, 1, 1, -1, 11, 0x06000003), id="block shorter than its head"),
        pytest.param(result(1, 5, 1, 1, -1, 11, 0x06000009, bytes(4)), id="block past the end"),
        pytest.param(result(1, 5, 1, 1, -1, 11, 0x06000006, b"ab"), id="block without padding"),
        pytest.param(result(1, 5, 1, 1, -1, 12, 0, 0x04000008, bytes(4)), id="gap before the first block"),
        pytest.param(result(1, 5, 1, 1, -1, 11, 0x04000008, bytes(8)), id="bytes after the last block"),
        pytest.param(result(1, 5, 2, 1, 0, 13, 1, 13, 0x04000008, bytes(4)), id="shared block"),
        pytest.param(result(1, 5, 2, 1, 0, 13, 1, 13, 0x04000008, bytes(12)), id="shared block of the right sum"),
        pytest.param(result(1, 5, 2, 1, 0, 13, 1, 15, 0x04000008, bytes(4), 0x06000008, bytes(4)), id="mixed types"),
        pytest.param(result(1, 5, 1, 1, -1, 11, 0x0B000008, bytes(4)), id="unknown type"),
        pytest.param(result(1, 5, 1, 1, -1, 11, 0x01000008, bytes(4)), id="32 bits in a block"),
        pytest.param(result(1, 5, 1, 1, -1, 11, 0x02000008, bytes(4)), id="64 bits in 4 bytes"),
        pytest.param(result(1, 5, 1, 1, -1, 11, 0x09000004), id="events without a count"),
    ],
)
def test_a_result_that_breaks_its_layout_is_refused(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="Result: "):
        decode(frame)


def test_values_that_share_a_large_block_are_refused_before_it_is_multiplied() -> None:
    block = 0x06000000 | 40_004
    pairs = [word for instance in range(5000) for word in (instance, 10_009)]
    with pytest.raises(RemoteProtocolError, match="shared"):
        decode(result(1, 5, 5000, 1, *pairs, block, bytes(40_000)))


def test_a_float_in_place_is_what_old_agents_send() -> None:
    (got,) = sets_of(result(1, 5, 1, 0, -1, struct.pack(">f", 0.5)))
    floats = typed(got, ValueType.FLOAT)
    assert floats.values == [0.5]
    assert encode(Result(0, [floats]))[24:] == struct.pack(">IiIiIIf", 5, 1, 1, -1, 11, 0x04000008, 0.5)


@pytest.mark.parametrize("type_", [ValueType.U64, ValueType.STRING, ValueType.UNKNOWN, 77])
def test_nothing_but_32_bits_and_floats_can_be_in_place(type_: int) -> None:
    with pytest.raises(ConversionError):
        typed(ValueSet(5, [0], [1], format=ValueFormat.INSITU), type_)


def test_values_of_another_type_than_the_descriptor_tells_do_not_convert() -> None:
    with pytest.raises(ConversionError):
        typed(ValueSet.singular(5, 1, ValueType.U64), ValueType.I64)
    with pytest.raises(ConversionError):
        typed(ValueSet.singular(5, 1, ValueType.U64), ValueType.I32)


def test_both_kinds_of_aggregates_are_one_to_the_reader() -> None:
    got = typed(ValueSet.singular(5, b"abc", ValueType.AGGREGATE), ValueType.AGGREGATE_STATIC)
    assert (got.type, got.values) == (ValueType.AGGREGATE_STATIC, [b"abc"])


def test_a_set_without_values_fits_any_type() -> None:
    assert typed(ValueSet(5), ValueType.STRING).values == []
    assert isinstance(typed(ValueSet(5, error=NoAgent()), ValueType.U64).error, NoAgent)


def test_a_block_that_does_not_say_its_type_waits_for_the_descriptor() -> None:
    (got,) = sets_of(result(1, 5, 1, 1, -1, 11, 0x0000000C, struct.pack(">q", -2)))
    assert (got.type, got.values) == (None, [struct.pack(">q", -2)])
    assert typed(got, ValueType.I64).values == [-2]
    with pytest.raises(RemoteProtocolError):
        typed(got, ValueType.FLOAT)
    with pytest.raises(ConversionError):
        typed(got, ValueType.I32)


@pytest.mark.parametrize(
    "value_set",
    [
        ValueSet(5, [0], [1, 2], type=ValueType.I32),
        ValueSet(5, [0], ["x", "y"], type=ValueType.STRING),
        ValueSet(5, [0], [2**32], type=ValueType.U32),
        ValueSet(5, [0], [-1], type=ValueType.U64),
        ValueSet(5, [0], ["text"], type=ValueType.DOUBLE),
        ValueSet(5, [0], [b"bytes"], type=ValueType.STRING),
        ValueSet(5, [0], ["text"], type=ValueType.AGGREGATE),
        ValueSet(5, [0], [EventArray()], type=ValueType.HIGHRES_EVENT),
        ValueSet(5, [0], [1], type=ValueType.UNKNOWN),
        ValueSet(5, [0], [1]),
        ValueSet(5, [0], [bytes(1 << 24)], type=ValueType.AGGREGATE),
        ValueSet(5, [2**31], [1], type=ValueType.U32),
    ],
)
def test_a_value_that_is_not_of_its_type_cannot_be_sent(value_set: ValueSet) -> None:
    with pytest.raises(BadArgument):
        encode(Result(0, [value_set]))
