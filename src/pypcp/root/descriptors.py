"""Which descriptors a process of the helper has."""

from __future__ import annotations

import fcntl
import gc
import os
import stat


def keep_descriptors(kept: set[int]) -> None:
    """Close every other descriptor. What else we inherited of objects is never touched again in this process."""
    previous = -1
    for fd in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
        if previous + 1 < fd:  # an empty range is taken for an endless one
            os.closerange(previous + 1, fd)
        previous = fd
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1):
        os.dup2(null, fd)


def open_descriptors() -> set[int]:
    """All that this process has open."""
    listed = {int(name) for name in os.listdir("/proc/self/fd")}
    return {fd for fd in listed if _is_open(fd)}  # the one that listed them is not any more


def _is_open(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True


def close_others(kept: set[int]) -> None:
    """Close every descriptor but these. First of all whatever is unreachable lets go of its own."""
    gc.collect()
    for fd in open_descriptors() - kept:
        os.close(fd)


def take_wires() -> tuple[int, int]:
    """Standard input and output for the guard alone, where nobody else writes to them by mistake."""
    requests, replies = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (0, 1))
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return requests, replies


def is_pipe(fd: int) -> bool:
    """Whether somebody speaks there."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
