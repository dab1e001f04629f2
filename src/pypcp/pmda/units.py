"""Units in words: ``"Kbyte / sec"`` -> :class:`pypcp.model.units.Units`. See: pmParseUnitsStr(3)."""

from __future__ import annotations

import re
from typing import Final

from pypcp.errors import BadUnits
from pypcp.model.units import Space, Time, Units

_SPACE: Final = {
    name: scale
    for scale, letters in zip(Space, ("", "k", "m", "g", "t", "p", "e", "z", "y"), strict=True)
    for name in (f"{letters}byte", f"{letters}b", f"{letters}ib" if letters else "b")
}
_TIME: Final = {
    name: scale
    for scale, names in (
        (Time.NSEC, ("nanosec", "nanosecond", "nsec", "ns")),
        (Time.USEC, ("microsec", "microsecond", "usec", "us")),
        (Time.MSEC, ("millisec", "millisecond", "msec", "ms")),
        (Time.SEC, ("sec", "second", "s")),
        (Time.MIN, ("min", "minute")),
        (Time.HOUR, ("hour", "hr", "h")),
    )
    for name in names
}
_TERM: Final = re.compile(
    r"(?P<name>[A-Za-z]+)\s*(?:x\s*10\s*(?:\^\s*(?P<scale>-?\d+))?)?\s*(?:\^\s*(?P<power>-?\d+))?"
)


def parse_units(text: str) -> Units:
    """The units that ``text`` spells: terms such as ``Kbyte``, ``millisec`` or ``count x 10^6``, each with an optional
    power (``sec^2``), those after one ``/`` below the line. ``""`` and ``"none"`` are no units.

    ``BadUnits`` names the word that is none.
    """
    if text.strip() in ("", "none"):
        return Units()
    above, slash, below = text.partition("/")
    if "/" in below or (slash and not below.strip()):
        raise BadUnits(f"{text!r}: one / at most, with something after it")
    found: dict[str, int] = {}
    _read(above, 1, found, text)
    _read(below, -1, found, text)
    return Units(**found)


def _read(terms: str, sign: int, found: dict[str, int], text: str) -> None:
    at = 0
    while rest := terms[at:].lstrip():
        at = len(terms) - len(rest)
        term = _TERM.match(terms, at)
        if term is None:
            raise BadUnits(f"{text!r}: {rest.split()[0]!r} is no unit")
        dimension, scale = _dimension(term, text)
        if dimension in found:
            raise BadUnits(f"{text!r}: {dimension} is there twice")
        found[dimension] = sign * int(term["power"] or 1)
        found[f"scale_{dimension}"] = scale
        at = term.end()


def _dimension(term: re.Match[str], text: str) -> tuple[str, int]:
    word = term["name"].lower()
    for name in (word, word.removesuffix("s")):
        if name in _SPACE:
            return "space", _SPACE[name]
        if name in _TIME:
            return "time", _TIME[name]
        if name == "count":
            return "count", int(term["scale"] or (1 if "10" in term[0] else 0))
    raise BadUnits(f"{text!r}: {term['name']!r} is no unit; there are byte (K, M, ...), sec (milli, ...) and count")
