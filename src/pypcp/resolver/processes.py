"""Is that process the container's? And what does the kernel say about it now?

A pid out of a file is a claim. It is believed when the process started at the moment the runtime recorded, or when its
control group bears the container's id; from then on it is held by a pidfd, so that a number used again is never taken
for it. A user's claim counts only for a process in a user name space of that user.
"""

from __future__ import annotations

import os
import re
import select
import time

from pypcp.resolver.container import Container

CGROUP_FRESH_S = 0.05
"""The kernel walks every hierarchy to answer, which takes longer than all the rest of a look-up."""
_CGROUP_BYTES = 16384
_WHOLE_RANGE = 4294967295


class LiveProcess:
    """A verified process. Both descriptors stay with this very process, whatever becomes of its number."""

    def __init__(self, pid: int, pidfd: int, cgroup_fd: int, mark: str, proc: str = "/proc") -> None:
        self.pid = pid
        self._mark = mark
        self._proc = proc
        self.pidfd = pidfd
        self._cgroup_fd = cgroup_fd
        self._own, self._fresh_until = "", 0.0

    def alive(self) -> bool:
        """Whether it still runs, asked of the kernel; by look-ups and by the engine's own thread, at any moment."""
        poll = select.poll()  # which one thread at a time may use
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)

    def cgroup(self) -> str:
        """Its control group with a leading slash, as it is now; ``/`` for none of its own, "" when it ended."""
        try:
            raw = os.pread(self._cgroup_fd, _CGROUP_BYTES, 0)
        except OSError:
            return ""
        return cgroup_of(raw)

    def own_cgroup(self) -> str:
        """Its control group if that is the container's alone, else ""; at most 50 milliseconds old, whether it lives
        or not (ask :meth:`alive` before).

        Alone it is where it bears the container's name, or where the process that started the container is in another:
        engines may leave a container in the group of whoever called them, with all its neighbours.
        """
        now = time.monotonic()
        if now < self._fresh_until:
            return self._own
        self._own, self._fresh_until = self._read_own_cgroup(), now + CGROUP_FRESH_S
        return self._own

    def _read_own_cgroup(self) -> str:
        path = self.cgroup()
        if not path.strip("/"):
            return ""
        return path if self._is_marked(path) or self._differs_from_parent(path) else ""

    def bears_mark(self) -> bool:
        """Whether its control group is named after the container."""
        return self._is_marked(self.cgroup())

    def _is_marked(self, path: str) -> bool:
        return bool(self._mark) and any(_bears(step, self._mark) for step in path.split("/"))

    def _differs_from_parent(self, path: str) -> bool:
        try:
            above = parent(self.pid, self._proc)
            with open(f"{self._proc}/{above}/cgroup", "rb") as file:
                return above > 1 and cgroup_of(file.read(_CGROUP_BYTES)) != path
        except (OSError, ValueError, IndexError):
            return False

    def close(self) -> None:
        """Let go of it."""
        os.close(self.pidfd)
        os.close(self._cgroup_fd)


def cgroup_of(raw: bytes) -> str:
    """The control group in the text of ``/proc/PID/cgroup``: version 2, else memory; ``/`` for none."""
    found = {}
    for line in os.fsdecode(raw).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found.update(dict.fromkeys(controllers.split(","), path))
    for controller in ("", "memory", "cpuacct"):
        path = found.get(controller, "/")
        if path.strip("/") and ".." not in path.split("/"):
            return path
    return "/"


def hold(container: Container, proc: str = "/proc") -> LiveProcess | None:
    """The container's first process, verified; None where the claim is wrong, or the process gone."""
    if container.pid <= 1:
        return None
    try:
        pidfd = os.pidfd_open(container.pid)
    except (OSError, OverflowError):
        return None
    try:
        cgroup_fd = os.open(f"{proc}/{container.pid}/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.close(pidfd)
        return None
    process = LiveProcess(container.pid, pidfd, cgroup_fd, container.unit or container.ident, proc)
    if _is_first_process_of(container, process, proc) and process.alive():
        return process
    process.close()
    return None


def _is_first_process_of(container: Container, process: LiveProcess, proc: str) -> bool:
    try:
        started = start_time(container.pid, proc)
        if container.owner and not _belongs_to(container.pid, container.owner, proc):
            return False
    except (OSError, ValueError, IndexError):
        return False
    if container.start_time:
        return started == container.start_time
    return process.bears_mark()


def _bears(step: str, mark: str) -> bool:
    """Whether one step of a control group path is a container's: the id, bare or with an engine's prefix and suffix."""
    return (
        step == mark or re.fullmatch(rf"(?:[a-z-]+[-.])?{re.escape(mark)}(?:\.scope|\.service|-\d+)?", step) is not None
    )


def start_time(pid: int, proc: str = "/proc") -> int:
    """Field 22 of ``/proc/PID/stat``: clock ticks since boot."""
    return int(_stat_fields(pid, proc)[19])


def parent(pid: int, proc: str = "/proc") -> int:
    """The pid of the parent."""
    return int(_stat_fields(pid, proc)[1])


def _stat_fields(pid: int, proc: str) -> list[bytes]:
    """The fields after the command, which may hold blanks and brackets."""
    with open(f"{proc}/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def _belongs_to(pid: int, owner: int, proc: str) -> bool:
    """Whether the process lives in a user name space whose ids are ``owner``'s: a user's word goes no further."""
    with open(f"{proc}/{pid}/uid_map") as file:
        ranges = [[int(word) for word in line.split()] for line in file]
    return any(outside <= owner < outside + count for _, outside, count in ranges) and all(
        count < _WHOLE_RANGE for _, _, count in ranges
    )
