"""Give privilege up for good, and see that it is gone.

Every step is verified by asking the kernel afterwards; one that did not take is a :class:`NotConfined`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Final

CAPABILITIES: Final = {"DAC_READ_SEARCH": 2, "SYS_PTRACE": 19, "SYS_ADMIN": 21}

_SET_DUMPABLE, _SET_KEEPCAPS, _CAPBSET_READ, _CAPBSET_DROP = 4, 8, 23, 24
_SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS, _CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 36, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522

libc: Final = ctypes.CDLL(None, use_errno=True)


class NotConfined(Exception):
    """A restriction could not be put in place, or is not there after all."""


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilitySets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def prctl(option: int, *values: int) -> int:
    """prctl(2) with unsigned longs; ``OSError`` on failure."""
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    result: int = libc.prctl(option, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def no_new_privileges() -> None:
    """From here on no exec can gain anything. For ever, and for every child."""
    prctl(_SET_NO_NEW_PRIVS, 1)


def not_dumpable() -> None:
    """Nobody of our account may look into our memory, and no core is written."""
    prctl(_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Descendants whose parent dies become our children. See: prctl(2), PR_SET_CHILD_SUBREAPER."""
    prctl(_SET_CHILD_SUBREAPER, 1)


def drop_to(uid: int, gid: int, capabilities: Iterable[str] = (), groups: Iterable[int] = ()) -> None:
    """Become ``uid`` with no group but ``gid`` and ``groups``, and no capability but these, for ever; then try to get
    back."""
    others = sorted(set(groups))
    kept = {CAPABILITIES[name] for name in capabilities}
    _drop_bounding(kept)
    prctl(_SET_KEEPCAPS, 1)
    os.setgroups(others)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    keep_only(kept)
    prctl(_SET_KEEPCAPS, 0)
    no_new_privileges()
    not_dumpable()
    _verify(uid, gid, others, kept)


def become(uid: int, gid: int, groups: list[int]) -> None:
    """Take on an account for good (for a program that is going to be executed); verified by trying to return."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if uid and _can_return():
        raise NotConfined(f"uid {uid} could become root again")


def keep_only(kept: set[int]) -> None:
    """Effective and permitted capabilities become exactly these; inheritable and ambient ones none."""
    prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    mask = sum(1 << number for number in kept)
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    sets = (_CapabilitySets * 2)(_CapabilitySets(mask, mask, 0), _CapabilitySets(mask >> 32, mask >> 32, 0))
    if libc.capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise NotConfined(f"capabilities: {os.strerror(ctypes.get_errno())}")


def _drop_bounding(kept: set[int]) -> None:
    for number in range(64):
        if number in kept:
            continue
        try:
            if prctl(_CAPBSET_READ, number):
                prctl(_CAPBSET_DROP, number)
        except OSError:
            return  # EINVAL: the kernel knows no capability of this number, nor any after it


def status_of_self() -> dict[str, str]:
    """The fields of ``/proc/self/status``."""
    with open("/proc/self/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def _verify(uid: int, gid: int, groups: list[int], kept: set[int]) -> None:
    status = status_of_self()
    mask = f"{sum(1 << number for number in kept):016x}"
    expected = {
        "Uid": "\t".join([str(uid)] * 4),
        "Gid": "\t".join([str(gid)] * 4),
        "Groups": " ".join(map(str, groups)),
        "CapEff": mask,
        "CapPrm": mask,
        "CapBnd": mask,
        "CapInh": "0" * 16,
        "CapAmb": "0" * 16,
        "NoNewPrivs": "1",
    }
    for field, value in expected.items():
        if status.get(field, "").strip() != value:
            raise NotConfined(f"{field} is {status.get(field)!r} after the drop, not {value!r}")
    if uid and _can_return():
        raise NotConfined("root could be had back")


def verify_unprivileged() -> None:
    """:class:`NotConfined` unless this process is no root's, has no capability, and cannot get either."""
    status = status_of_self()
    for field, value in {"CapEff": "0" * 16, "CapPrm": "0" * 16, "CapInh": "0" * 16, "CapAmb": "0" * 16}.items():
        if status.get(field, "").strip() != value:
            raise NotConfined(f"{field} is {status.get(field)!r}, not none")
    if status.get("NoNewPrivs", "").strip() != "1":
        raise NotConfined("a program that is executed could gain privileges (no_new_privs is not set)")
    if "0" in status.get("Uid", "0").split() or _can_return():
        raise NotConfined("root could be had back")


def _can_return() -> bool:
    """Whether an attempt to become root again succeeds."""
    for attempt in (os.setuid, os.seteuid, os.setgid):
        try:
            attempt(0)
        except PermissionError:
            continue
        return True
    return False
