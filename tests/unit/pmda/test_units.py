"""Units in words."""

import pytest

from pypcp.errors import BadUnits
from pypcp.model.units import BYTE, COUNT, KBYTE, MSEC, NONE, SEC, Units
from pypcp.pmda.units import parse_units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("", NONE),
        ("none", NONE),
        ("byte", BYTE),
        ("bytes", BYTE),
        ("Kbyte", KBYTE),
        ("KiB", KBYTE),
        ("sec", SEC),
        ("seconds", SEC),
        ("ms", MSEC),
        ("millisec", MSEC),
        ("count", COUNT),
        ("count x 10^6", Units(count=1, scale_count=6)),
        ("count / sec", Units(count=1, time=-1, scale_time=3)),
        ("Mbyte sec^2 / count", Units(space=1, scale_space=2, time=2, scale_time=3, count=-1)),
        ("/ hour", Units(time=-1, scale_time=5)),
    ],
)
def test_words_are_units(text, units):
    assert parse_units(text) == units


@pytest.mark.parametrize(
    "units",
    [
        BYTE,
        KBYTE,
        SEC,
        MSEC,
        COUNT,
        Units(space=2, time=-3, scale_space=4, scale_time=1),
        Units(count=1, scale_count=3),
    ],
)
def test_what_units_print_can_be_read_again(units):
    assert parse_units(str(units)) == units


@pytest.mark.parametrize("text", ["parsec", "byte / sec / sec", "byte byte", "byte sec ms", "3", "byte /", "sec ^"])
def test_what_is_no_unit_is_refused(text):
    with pytest.raises(BadUnits):
        parse_units(text)
