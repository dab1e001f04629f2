"""Intervals of time as people write them: ``2``, ``0.5 sec``, ``1min 30sec``. See: pmParseInterval(3)."""

from __future__ import annotations

import re

_UNITS = {
    "nsec": 1e-9,
    "nanosecond": 1e-9,
    "usec": 1e-6,
    "microsecond": 1e-6,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}
_PART = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([a-z]*)\s*")


def parse_interval(text: str) -> float:
    """The seconds of an interval; a number without a unit is seconds. ``ValueError`` says what is wrong."""
    at, seconds = 0, 0.0
    while at < len(text) or not text:
        match = _PART.match(text, at)
        if match is None:
            raise ValueError(f"{text!r} is no interval: a number is missing at character {at + 1}")
        seconds += float(match[1]) * _unit(text, match[2])
        at = match.end()
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is no interval: it must be longer than nothing")
    return seconds


def _unit(text: str, word: str) -> float:
    if not word:
        return 1.0
    unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    if unit is None:
        raise ValueError(f"{text!r} is no interval: no unit of time is called {word!r}")
    return unit
