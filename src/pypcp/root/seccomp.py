"""Seccomp: which system calls a process may make for the rest of its life. See: seccomp(2).

A filter is a list of permitted calls, some only with an argument of a certain kind; all others fail, or
end the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from pypcp.root.confine import NotConfined, prctl

_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_INSTRUCTION = struct.Struct("=HBBI")

_MACHINES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Machine -> (its AUDIT_ARCH, its column below)."""

_ABSENT: Final = -1
_NUMBERS: Final[dict[str, tuple[int, int]]] = {
    "accept4": (288, 242),
    "access": (21, _ABSENT),
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close": (3, 57),
    "connect": (42, 203),
    "dup": (32, 23),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "epoll_wait": (232, _ABSENT),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fcntl": (72, 25),
    "fstat": (5, 80),
    "futex": (202, 98),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "inotify_add_watch": (254, 27),
    "inotify_init1": (294, 26),
    "inotify_rm_watch": (255, 28),
    "ioctl": (16, 29),
    "lseek": (8, 62),
    "lstat": (6, _ABSENT),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "newfstatat": (262, 79),
    "open": (2, _ABSENT),
    "openat": (257, 56),
    "openat2": (437, 437),
    "pidfd_open": (434, 434),
    "pipe2": (293, 59),
    "poll": (7, _ABSENT),
    "ppoll": (271, 73),
    "pread64": (17, 67),
    "read": (0, 63),
    "readlink": (89, _ABSENT),
    "readlinkat": (267, 78),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "setns": (308, 268),
    "setsockopt": (54, 208),
    "shutdown": (48, 210),
    "sigaltstack": (131, 132),
    "socket": (41, 198),
    "stat": (4, _ABSENT),
    "statx": (332, 291),
    "uname": (63, 160),
    "write": (1, 64),
    "writev": (20, 66),
}

_UTS_NAME_SPACE, _THREAD, _EXECUTABLE, _LOCAL_SOCKET, _NON_BLOCKING = 0x04000000, 0x00010000, 4, 1, 0x5421


class When(NamedTuple):
    """Permit a call only if ``argument & mask == value``."""

    argument: int
    mask: int
    value: int


_ONLY_WHEN: Final = {
    "clone": When(0, _THREAD, _THREAD),  # threads, no processes
    "ioctl": When(1, 0xFFFFFFFF, _NON_BLOCKING),
    "mmap": When(2, _EXECUTABLE, 0),
    "mprotect": When(2, _EXECUTABLE, 0),
    "setns": When(1, 0xFFFFFFFF, _UTS_NAME_SPACE),
    "socket": When(0, 0xFFFFFFFF, _LOCAL_SOCKET),
}

READER: Final = [
    *("setns", "uname", "recvmsg", "sendmsg", "read", "write", "close"),
    *("brk", "mmap", "munmap", "mremap", "madvise", "futex", "rt_sigreturn", "exit_group"),
]
"""What the name-space reader does, and what an interpreter cannot do without: memory, a lock, the end."""

RESOLVER: Final = sorted(set(_NUMBERS) - {"setns", "clone3", "accept4"})
"""Reading, watching, answering. No exec, no process, no other network than local sockets, no executable memory."""


def restrict(permitted: Iterable[str], *, deadly: bool) -> None:
    """Permit these calls only, for this thread and what it creates, for ever. Needs no_new_privs.

    Every other call fails with EPERM, or where ``deadly`` ends the process. :class:`NotConfined` where it cannot be
    had.
    """
    program = build(permitted, platform.machine(), deadly=deadly)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count and a pointer, aligned as C does
    head = struct.pack("@HP", len(program) // _INSTRUCTION.size, ctypes.addressof(code))
    filter_program = ctypes.create_string_buffer(head, len(head))
    try:
        prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(filter_program))
        _verify(deadly)
    except OSError as error:
        raise NotConfined(f"seccomp: {error.strerror}") from None


def _verify(deadly: bool) -> None:
    """A call that needs no permission of its own must fail now; where it would be deadly there is no asking."""
    if deadly:
        return
    try:
        os.sched_getscheduler(0)
    except PermissionError:
        return
    raise NotConfined("seccomp: a forbidden call succeeded")


def build(permitted: Iterable[str], machine: str, *, deadly: bool) -> bytes:
    """The filter as BPF instructions. :class:`NotConfined` for a machine whose numbers we do not know."""
    if machine not in _MACHINES:
        raise NotConfined(f"no system call numbers for {machine} here")
    architecture, column = _MACHINES[machine]
    refusal = _KILL if deadly else _FAIL | errno.EPERM
    code = [(_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER_AT)]
    for name in permitted:
        number = _NUMBERS[name][column]
        if number != _ABSENT:
            code += _permit(number, _ONLY_WHEN.get(name), refusal)
    if not deadly:  # the C library falls back to clone() only when it is told that there is no clone3()
        code += [(_EQUAL, 0, 1, _NUMBERS["clone3"][column]), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    code.append((_RETURN, 0, 0, refusal))
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in code)


def _permit(number: int, when: When | None, refusal: int) -> list[tuple[int, int, int, int]]:
    if when is None:
        return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    return [
        (_EQUAL, 0, 5, number),
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * when.argument),
        (_AND, 0, 0, when.mask),
        (_EQUAL, 0, 1, when.value),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, refusal),
    ]
