"""System calls made by the hand of another process: what a confinement is worth is what the kernel says to them.

The process is stopped where it waits in a call (ptrace), made to do another one, and sent back to where it was.
"""

import contextlib
import ctypes
import os
import platform
import signal
from collections.abc import Iterator

from peers import require
from waiting import wait_until

_SEIZE, _INTERRUPT, _STEP, _GET_REGISTERS, _SET_REGISTERS, _DETACH = 0x4206, 0x4207, 9, 12, 13, 17
_ANY_CHILD = 0x40000000
_SYSCALL = b"\x0f\x05"
_NAMES = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)
_ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
_libc = ctypes.CDLL(None, use_errno=True)


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulong) for name in _NAMES]


class Killed(Exception):
    """The call was the death of the process; the argument is the signal."""


def _ptrace(request: int, tid: int, data: object = 0) -> None:
    result = _libc.ptrace(ctypes.c_ulong(request), ctypes.c_ulong(tid), None, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"ptrace: {os.strerror(ctypes.get_errno())}")


class Tracee:
    """A stopped thread that was waiting in a system call."""

    def __init__(self, tid: int) -> None:
        self._tid = tid
        self._before = self._registers()
        self._memory = os.open(f"/proc/{tid}/mem", os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._memory)

    def _registers(self) -> _Registers:
        found = _Registers()
        _ptrace(_GET_REGISTERS, self._tid, ctypes.byref(found))
        return found

    def waits(self) -> bool:
        """Whether the instruction before the next one is a system call."""
        return os.pread(self._memory, len(_SYSCALL), self._before.rip - len(_SYSCALL)) == _SYSCALL

    def call(self, number: int, *arguments: int | bytes) -> int:
        """What the call returns, a negative errno where it fails; texts lie on the process's stack meanwhile."""
        texts = [argument + b"\0" for argument in arguments if isinstance(argument, bytes)]
        at = self._before.rsp
        covered = os.pread(self._memory, sum(map(len, texts)), at)
        os.pwrite(self._memory, b"".join(texts), at)
        registers = _Registers.from_buffer_copy(self._before)
        for name, argument in zip(_ARGUMENTS, arguments, strict=False):
            setattr(registers, name, argument if isinstance(argument, int) else at)
            at += 0 if isinstance(argument, int) else len(argument) + 1
        registers.rax, registers.orig_rax = number, ctypes.c_ulong(-1).value
        registers.rip -= len(_SYSCALL)
        try:
            _ptrace(_SET_REGISTERS, self._tid, ctypes.byref(registers))
            _ptrace(_STEP, self._tid)
            _, status = os.waitpid(self._tid, _ANY_CHILD)
            if os.WIFSIGNALED(status):
                raise Killed(os.WTERMSIG(status))
            assert os.WSTOPSIG(status) == signal.SIGTRAP, signal.Signals(os.WSTOPSIG(status)).name
            return ctypes.c_long(self._registers().rax).value
        finally:
            with contextlib.suppress(OSError):  # it may be dead
                os.pwrite(self._memory, covered, self._before.rsp)
                _ptrace(_SET_REGISTERS, self._tid, ctypes.byref(self._before))


@contextlib.contextmanager
def stopped(tid: int) -> Iterator[Tracee]:
    """The thread, held where it waits; it goes on afterwards as if nothing had been."""
    require(platform.machine() == "x86_64", "an x86-64, whose registers this test knows")
    found: list[Tracee] = []
    wait_until(lambda: found or _stop(tid, found), f"thread {tid} to wait in a system call")
    [tracee] = found
    try:
        yield tracee
    finally:
        tracee.close()
        with contextlib.suppress(OSError):
            _ptrace(_DETACH, tid)


def _stop(tid: int, found: list[Tracee]) -> None:
    _ptrace(_SEIZE, tid)
    _ptrace(_INTERRUPT, tid)
    os.waitpid(tid, _ANY_CHILD)
    tracee = Tracee(tid)
    if tracee.waits():
        found.append(tracee)
        return
    tracee.close()
    _ptrace(_DETACH, tid)
