"""Texts as values of a metric."""

import pytest

from pypcp.model.values import Value, ValueType
from pypcp.tools.store import parse_value


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        (" +5", ValueType.I32, 5),
        ("-0x10", ValueType.I32, -16),
        ("010", ValueType.U32, 10),
        ("2147483647", ValueType.I32, 2**31 - 1),
        ("-2147483648", ValueType.I32, -(2**31)),
        ("18446744073709551615", ValueType.U64, 2**64 - 1),
        ("0.1", ValueType.FLOAT, 0.10000000149011612),
        ("0", ValueType.FLOAT, 0.0),
        ("-inf", ValueType.DOUBLE, float("-inf")),
        ("-5 of them", ValueType.STRING, "-5 of them"),
    ],
)
def test_a_text_becomes_a_value_of_the_metrics_type(text: str, type_: ValueType, value: Value) -> None:
    assert parse_value(text, type_) == value


@pytest.mark.parametrize(
    ("text", "type_", "reason"),
    [
        ("2147483648", ValueType.I32, "out of range for the data type (PM_TYPE_32)"),
        ("-1", ValueType.U32, "out of range for the data type (PM_TYPE_U32)"),
        ("-1", ValueType.U64, "out of range for the data type (PM_TYPE_U64)"),
        ("", ValueType.I64, "incompatible with the data type (PM_TYPE_64)"),
        ("1_0", ValueType.I64, "incompatible with"),
        ("7 ", ValueType.I32, "incompatible with"),
        ("1.5", ValueType.I32, "incompatible with"),
        ("1_0.5", ValueType.DOUBLE, "incompatible with"),
        ("5 ", ValueType.FLOAT, "incompatible with"),
        ("3.5e38", ValueType.FLOAT, "out of range for the data type (PM_TYPE_FLOAT)"),
        ("1e309", ValueType.DOUBLE, "out of range for the data type (PM_TYPE_DOUBLE)"),
        ("inf", ValueType.FLOAT, "out of range for"),
        ("x", ValueType.AGGREGATE, "Cannot modify"),
        ("x", ValueType.HIGHRES_EVENT, "Cannot modify"),
    ],
)
def test_what_the_type_cannot_hold_is_refused_with_a_reason(text: str, type_: ValueType, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_value(text, type_)
    assert reason in str(refused.value)
