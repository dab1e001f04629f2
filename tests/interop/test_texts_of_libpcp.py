"""The sentences and names that stock's library prints, compared one by one."""

import ctypes
import ctypes.util
import functools
import itertools

import pytest

from peers import require
from pypcp.errors import error_string
from pypcp.model.ids import InDom, Pmid, is_dynamic_root
from pypcp.model.units import Units

NEWER = {-12415}
"""Errors that PCP 6 does not know."""

IDENTIFIERS = [0, 5, 0x07400003, 0x3FFFFFFF, 0x7F3FFFFF, 0x80000003, 0xFFFFFFFF]


@functools.cache
def library() -> ctypes.CDLL:
    name = ctypes.util.find_library("pcp")
    require(name, "libpcp")
    loaded = ctypes.CDLL(name)
    for function in ("pmErrStr", "pmUnitsStr", "pmIDStr", "pmInDomStr"):
        getattr(loaded, function).restype = ctypes.c_char_p
    return loaded


@pytest.mark.parametrize("codes", [range(-22500, -21300), range(-13500, -12300), range(-600, 100)], ids=str)
def test_every_error_has_the_sentence_of_stock(codes: range) -> None:
    ours = {code: error_string(code) for code in codes if code not in NEWER}
    assert ours == {code: library().pmErrStr(code).decode() for code in ours}


def test_units_read_as_stock_prints_them() -> None:
    dimensions = itertools.product((-8, -2, -1, 0, 1, 2, 7), repeat=3)
    scales = list(itertools.product((0, 1, 8, 9, 15), (0, 3, 5, 6, 15), (-8, -1, 0, 1, 7)))
    made = [Units(*dimension, *scale) for dimension in dimensions for scale in scales]
    ours = {units.pack(): str(units) for units in made}
    words = {word: ctypes.c_uint32(word) for word in ours}
    assert ours == {word: library().pmUnitsStr(ctypes.byref(in_memory)).decode() for word, in_memory in words.items()}


@pytest.mark.parametrize("word", IDENTIFIERS)
def test_identifiers_read_as_stock_prints_them(word: int) -> None:
    assert str(InDom(word)) == library().pmInDomStr(ctypes.c_uint32(word)).decode()
    assert is_dynamic_root(word) or str(Pmid(word)) == library().pmIDStr(ctypes.c_uint32(word)).decode()
