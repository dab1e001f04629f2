"""Find processes of root's on the host by their command line: for engines that leave nothing better."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pypcp.resolver.roots import Root
from pypcp.resolver.untrusted_files import open_folder

_COMMAND_BYTES = 4096


def host_processes(marker: bytes, proc: str = "/proc") -> Iterator[tuple[int, bytes]]:
    """(pid, command line) of root's processes outside of any container whose command line holds ``marker``.

    A process inside of a container can call itself anything, but not leave its pid name space.
    """
    folder = open_folder(Root(proc))
    if folder is None:
        return
    with folder:
        pids = [int(name) for name in folder.names() if name.isdigit()]
    for pid in pids:
        command = _read(f"{proc}/{pid}/cmdline")
        if marker in command and _status(pid, proc).get(b"Uid", b"").split()[:1] == [b"0"] and _depth(pid, proc) == 1:
            yield pid, command


def children(pid: int, proc: str = "/proc") -> list[int]:
    """The children of a process."""
    return [int(word) for word in _read(f"{proc}/{pid}/task/{pid}/children").split()]


def first_in_own_space(pid: int, proc: str = "/proc") -> bool:
    """Whether it is process 1 of a pid name space right below the host's."""
    ids = _status(pid, proc).get(b"NSpid", b"").split()
    return len(ids) == 2 and ids[1] == b"1"


def _depth(pid: int, proc: str) -> int:
    return len(_status(pid, proc).get(b"NSpid", b"").split())


def _status(pid: int, proc: str) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in _read(f"{proc}/{pid}/status").splitlines())
    return {key: value.strip() for key, _, value in lines}


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, _COMMAND_BYTES)
    except OSError:
        return b""
    finally:
        os.close(fd)
