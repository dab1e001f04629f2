"""Whole columns of values: what is fast must not be different."""

import struct
import time

import pytest

from pypcp.errors import ConversionError
from pypcp.model.values import ValueSet, ValueType
from pypcp.wire import columns
from pypcp.wire.pdu import decode, encode
from pypcp.wire.result import Result

COUNT = 10_000


def best_of(runs: int, frame: bytes) -> float:
    """The shortest time of a decode, in seconds: what the code costs when nothing else runs."""
    times = []
    for _ in range(runs):
        start = time.thread_time()
        decode(frame)
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize("type_", [ValueType.I32, ValueType.U64, ValueType.FLOAT, ValueType.DOUBLE])
def test_ten_thousand_numbers_are_decoded_within_a_millisecond_and_not_one_by_one(type_: ValueType) -> None:
    values = [float(n) if type_ in (ValueType.FLOAT, ValueType.DOUBLE) else n for n in range(COUNT)]
    frame = encode(Result(0, [ValueSet(5, list(range(COUNT)), values, type=type_)], highres=True))
    # Four milliseconds leave room for a busy machine; one value at a time takes eight, and there more.
    assert best_of(20, frame) < 0.004
    (got,) = decode(frame).value_sets  # type: ignore[attr-defined]
    assert (got.instances, got.values) == (list(range(COUNT)), values)


def blocks(*values: float, type_: int = ValueType.DOUBLE) -> bytes:
    return b"".join(struct.pack(">Id", columns.block_head(type_, 12), value) for value in values)


def test_blocks_back_to_back_are_read_as_a_column() -> None:
    data = bytes(8) + blocks(1.5, -2.5)
    assert columns.read_blocks(data, [2, 5], len(data), ValueType.DOUBLE) == [1.5, -2.5]


@pytest.mark.parametrize("pointers", [[5, 2], [2, 2], [2, 6], [2, 8]])
def test_blocks_that_do_not_follow_each_other_are_no_column(pointers: list[int]) -> None:
    data = bytes(8) + blocks(1.5, -2.5)
    assert columns.read_blocks(data, pointers, len(data), ValueType.DOUBLE) is None


def test_blocks_of_different_types_are_no_column() -> None:
    data = blocks(1.5) + blocks(2.5, type_=ValueType.U64)
    assert columns.read_blocks(data, [0, 3], len(data), ValueType.DOUBLE) is None


def test_a_column_ends_where_the_blocks_end() -> None:
    data = blocks(1.5, 2.5)
    assert columns.read_blocks(data, [0, 3], len(data) - 4, ValueType.DOUBLE) is None


@pytest.mark.parametrize("count", [1, 2, 128, 129, 500])
def test_pairs_are_an_instance_and_a_word_however_many(count: int) -> None:
    instances, words = [-index for index in range(count)], [2**32 - 1 - index for index in range(count)]
    pairs = [struct.pack(">iI", *pair) for pair in zip(instances, words, strict=True)]
    assert columns.read_pairs(b"xxxx" + b"".join(pairs), 4, count) == (instances, words)


def test_words_in_place_become_what_the_type_says() -> None:
    words = [0, 2**31, 2**32 - 1, 0x3FC00000]
    assert columns.reinterpret(words, ValueType.U32) == words
    assert columns.reinterpret(words, ValueType.I32) == [0, -(2**31), -1, 0x3FC00000]
    assert columns.reinterpret(words[3:], ValueType.FLOAT) == [1.5]
    with pytest.raises(ConversionError):
        columns.reinterpret(words, ValueType.STRING)
