"""The number that an instance's key stands for: Bob Jenkins' lookup2 (1996, public domain), as pmdaCache(3) uses it.

Bytes count as signed characters, and the start value carries the hash before when a number is taken already.
"""

from __future__ import annotations

from typing import Final

_WORD: Final = 0xFFFFFFFF
_GOLDEN: Final = 0x9E3779B9
_BLOCK: Final = 12
_SHIFTS: Final = ((13, 8, 13), (12, 16, 5), (3, 10, 15))


def lookup2(key: bytes, start: int = 0) -> int:
    """The 32-bit hash of ``key``."""
    a = b = _GOLDEN
    c = start & _WORD
    whole = len(key) - len(key) % _BLOCK
    for at in range(0, whole, _BLOCK):
        a = a + _signed_sum(key[at : at + 4]) & _WORD
        b = b + _signed_sum(key[at + 4 : at + 8]) & _WORD
        c = c + _signed_sum(key[at + 8 : at + 12]) & _WORD
        a, b, c = _mix(a, b, c)
    rest = key[whole:]
    # The lowest byte of the third word is the length's.
    a = a + _signed_sum(rest[:4]) & _WORD
    b = b + _signed_sum(rest[4:8]) & _WORD
    c = c + len(key) + (_signed_sum(rest[8:]) << 8) & _WORD
    return _mix(a, b, c)[2]


def _signed_sum(data: bytes) -> int:
    return sum([(byte - 256 if byte > 127 else byte) << 8 * at for at, byte in enumerate(data)])


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for right, left, last in _SHIFTS:
        a = (a - b - c & _WORD) ^ c >> right
        b = (b - c - a & _WORD) ^ a << left & _WORD
        c = (c - a - b & _WORD) ^ b >> last
    return a, b, c
