"""One value in a block."""

import pytest

from pypcp.model.values import ValueType
from pypcp.wire.blocks import decode_value, encode_value


@pytest.mark.parametrize(
    "data", [b"some text", b"some text\0", b"some text\0\0\0\0", b"some text\0and what was there before"]
)
def test_a_text_ends_at_its_first_nul(data: bytes) -> None:
    assert decode_value(ValueType.STRING, data) == "some text"


def test_an_aggregate_is_all_its_bytes() -> None:
    assert decode_value(ValueType.AGGREGATE, b"a\0b\0") == b"a\0b\0"


def test_a_text_is_encoded_with_one_nul() -> None:
    assert encode_value(ValueType.STRING, "some text") == b"some text\0"
