"""Units: the word on the wire, the text for people."""

import pytest

from pypcp.model import units
from pypcp.model.units import Space, Time, Units


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Units(), ""),
        (units.BYTE, "byte"),
        (units.KBYTE, "Kbyte"),
        (Units(1, -1, 0, Space.MBYTE, Time.SEC), "Mbyte / sec"),
        (Units(1, -2, 0, Space.BYTE, Time.SEC), "byte / sec^2"),
        (Units(1, -1, 0, Space.KBYTE, Time.SEC), "Kbyte / sec"),
        (Units(0, 1, 0, 0, Time.NSEC), "nanosec"),
        (units.USEC, "microsec"),
        (units.MSEC, "millisec"),
        (Units(0, 1, 0, 0, Time.HOUR), "hour"),
        (Units(0, -1, 0, 0, Time.MIN), "/ min"),
        (units.COUNT, "count"),
        (Units(0, 0, 1, 0, 0, 3), "count x 10^3"),
        (Units(0, 0, 1, 0, 0, -1), "count x 10^-1"),
        (Units(0, 0, 0, 0, 0, 1), "x 10"),
        (Units(1, 1, 1, Space.YBYTE, Time.SEC), "Ybyte sec count"),
        (Units(0, -1, 2, 0, Time.SEC), "count^2 / sec"),
        (Units(1, 0, 0, 9), "space-9"),
        (Units(0, 1, 0, 0, 6), "time-6"),
    ],
)
def test_units_read_as_stock_prints_them(made: Units, text: str) -> None:
    assert str(made) == text


def test_the_word_is_the_one_of_the_protocol() -> None:
    made = Units(1, -1, 0, Space.MBYTE, Time.SEC)
    assert made.pack() == 0x1F023000
    assert Units.unpack(0x1F023000) == made


@pytest.mark.parametrize("word", [0, 0xFFFFFFFF, 0x80000000, 0x00100009, 0x12345678, 0x87654321])
def test_any_word_is_legal_and_comes_back(word: int) -> None:
    assert Units.unpack(word).pack() == word


def test_dimensions_and_the_power_of_ten_are_signed_and_the_scales_are_not() -> None:
    assert Units.unpack(0x88888800) == Units(-8, -8, -8, 8, 8, -8)


def test_what_newer_peers_put_into_the_low_byte_is_carried() -> None:
    assert Units.unpack(0x00000009).extra == 9
