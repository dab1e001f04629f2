"""Units of metrics: dimension and scale in space, time and count. See: pmUnits in PMAPI(3), pmUnitsStr(3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self


class Space(IntEnum):
    """PM_SPACE_*: powers of 1024 bytes."""

    BYTE = 0
    KBYTE = 1
    MBYTE = 2
    GBYTE = 3
    TBYTE = 4
    PBYTE = 5
    EBYTE = 6
    ZBYTE = 7
    YBYTE = 8


class Time(IntEnum):
    """PM_TIME_*."""

    NSEC = 0
    USEC = 1
    MSEC = 2
    SEC = 3
    MIN = 4
    HOUR = 5


_SPACE_NAMES = ("byte", "Kbyte", "Mbyte", "Gbyte", "Tbyte", "Pbyte", "Ebyte", "Zbyte", "Ybyte")
_TIME_NAMES = ("nanosec", "microsec", "millisec", "sec", "min", "hour")


def _signed4(nibble: int) -> int:
    return nibble - 16 if nibble > 7 else nibble


@dataclass(frozen=True, slots=True)
class Units:
    """Dimensions (-8 to 7) and scales of a value.

    ``scale_space`` is a :class:`Space`, ``scale_time`` a :class:`Time`, ``scale_count`` a power of ten. ``extra`` is
    the low byte of the word: zero up to PCP 7.1, more units (temperature, volt, ...) after; carried unchanged.
    """

    space: int = 0
    time: int = 0
    count: int = 0
    scale_space: int = 0
    scale_time: int = 0
    scale_count: int = 0
    extra: int = 0

    def pack(self) -> int:
        """The 32-bit word of the protocol."""
        return (
            (self.space & 15) << 28
            | (self.time & 15) << 24
            | (self.count & 15) << 20
            | (self.scale_space & 15) << 16
            | (self.scale_time & 15) << 12
            | (self.scale_count & 15) << 8
            | self.extra & 255
        )

    @classmethod
    def unpack(cls, word: int) -> Self:
        """From the 32-bit word of the protocol; any word is legal."""
        return cls(
            _signed4(word >> 28 & 15),
            _signed4(word >> 24 & 15),
            _signed4(word >> 20 & 15),
            word >> 16 & 15,
            word >> 12 & 15,
            _signed4(word >> 8 & 15),
            word & 255,
        )

    def __str__(self) -> str:
        parts = []
        if self.space:
            parts.append((self.space, _name(_SPACE_NAMES, self.scale_space, "space")))
        if self.time:
            parts.append((self.time, _name(_TIME_NAMES, self.scale_time, "time")))
        if self.count:
            count = "count" if not self.scale_count else _power("count x 10", self.scale_count)
            parts.append((self.count, count))
        above = " ".join(_power(name, power) for power, name in parts if power > 0)
        below = " ".join(_power(name, -power) for power, name in parts if power < 0)
        if below:
            return f"{above} / {below}" if above else f"/ {below}"
        if not above and self.scale_count:
            return _power("x 10", self.scale_count)
        return above


def _name(names: tuple[str, ...], scale: int, dimension: str) -> str:
    return names[scale] if scale < len(names) else f"{dimension}-{scale}"


def _power(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"


NONE = Units()
BYTE = Units(space=1)
KBYTE = Units(space=1, scale_space=Space.KBYTE)
MBYTE = Units(space=1, scale_space=Space.MBYTE)
NSEC = Units(time=1)
USEC = Units(time=1, scale_time=Time.USEC)
MSEC = Units(time=1, scale_time=Time.MSEC)
SEC = Units(time=1, scale_time=Time.SEC)
COUNT = Units(count=1)
