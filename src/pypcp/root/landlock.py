"""Landlock: a process that reads beneath a few directories, and nowhere else. See: landlock(7)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Final

from pypcp.root.confine import NotConfined, libc

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8

_ALL_FILE_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_ALL_TCP_RIGHTS: Final = 3
_ALL_SCOPES: Final = 3
"""No signals and no abstract sockets to processes outside (version 6 on)."""


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def version() -> int:
    """The version of Landlock in this kernel, 0 where there is none."""
    return max(0, int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def restrict(readable: Iterable[str | int], available: int | None = None) -> int:
    """Allow reading beneath the paths that exist, and no other use of files, TCP or outside processes; for ever.

    What others could replace is to be given as an open descriptor of the very directory that is meant: a path is
    looked up here, links and all.

    Returns the version that is in force. :class:`NotConfined` where the kernel has none.
    """
    available = version() if available is None else available
    if not available:
        raise NotConfined("this kernel has no Landlock")
    ruleset = _create(available)
    try:
        for place in readable:
            _allow_reading(ruleset, place)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return available


def _create(available: int) -> int:
    rules = _Ruleset(_ALL_FILE_RIGHTS[min(available, 5)], 0, 0)
    size = 8
    if available >= 4:
        rules.network, size = _ALL_TCP_RIGHTS, 16
    if available >= 6:
        rules.scopes, size = _ALL_SCOPES, 24
    return _call(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)


def _allow_reading(ruleset: int, place: str | int) -> None:
    if isinstance(place, int):
        return _allow_beneath(ruleset, place)
    try:
        parent = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _allow_beneath(ruleset, parent)
    finally:
        os.close(parent)


def _allow_beneath(ruleset: int, folder: int) -> None:
    beneath = _PathBeneath(_READ_FILE | _READ_DIR, folder)
    _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(beneath), 0)


def _call(number: int, *arguments: object) -> int:
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        raise NotConfined(f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result
