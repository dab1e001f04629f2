"""/proc/sys/fs and /proc/locks: files, inodes, directory entries and locks in use. See: proc(5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent

U32: Final = ValueType.U32

TABLES: Final = (
    ("file-nr", "files", 0, ("count", "free", "max"), "Open files"),
    ("inode-state", "inodes", 3, ("count", "free"), "Inodes in memory"),
    ("dentry-state", "dentry", 5, ("count", "free"), "Directory entries in memory"),
    ("aio-nr", "aio", 7, ("count",), "Asynchronous requests"),
    ("aio-max-nr", "aio", 8, ("max",), "Asynchronous requests"),
)
"""File, part of the name, first item, names of the file's first columns, what they count."""

COLUMNS: Final = {"count": "how many there are", "free": "how many of them are free", "max": "how many there may be"}

LOCKS: Final = (
    ("posix", 0, "Locks of byte ranges (fcntl(2))"),
    ("flock", 3, "Locks of whole files (flock(2))"),
    ("lease", 6, "Leases (fcntl(2))"),
)
"""Kind, first item, help."""

KINDS: Final = {"ofdlck": "posix"}
"""The kernel's word for a lock of a byte range that belongs to an open file and not to a process."""

Locks = Counter[tuple[str, str]]
"""How many there are by kind and mode: ``posix`` and ``read``."""


def parse_numbers(text: bytes) -> list[int]:
    """All numbers of the file."""
    return [int(word) for word in text.split()]


def parse_locks(text: bytes) -> Locks:
    """``ValueError`` for a line that breaks off; locks that are waited for (marked with an arrow) do not count."""
    locks: Locks = Counter()
    for line in text.splitlines():
        _, kind, _, mode, *_ = line.decode("ascii").split(None, 4)
        if kind != "->":
            locks[KINDS.get(kind.lower(), kind.lower()), mode.lower()] += 1
    return locks


def declare(agent: Agent, files: Files) -> None:
    """vfs.files, vfs.inodes, vfs.dentry, vfs.aio and vfs.locks."""
    for file, part, first, names, what in TABLES:
        cluster = agent.cluster(27, files.parsed(f"proc/sys/fs/{file}", parse_numbers))
        for column, name in enumerate(names):
            help_ = f"{what}: {COLUMNS[name]}"
            cluster.metric(f"vfs.{part}.{name}", first + column, ValueType.I32, _column(column), help_=help_)
    locks = agent.cluster(75, files.parsed("proc/locks", parse_locks))
    for kind, first, what in LOCKS:
        locks.metric(f"vfs.locks.{kind}.read", first, U32, _held(kind, "read"), help_=f"{what}, to read")
        locks.metric(f"vfs.locks.{kind}.write", first + 1, U32, _held(kind, "write"), help_=f"{what}, to write")
        both = f"{what}, to read or to write"
        locks.metric(f"vfs.locks.{kind}.count", first + 2, U32, _held(kind, "read", "write"), help_=both)


def _column(number: int) -> Callable[[list[int]], int | None]:
    return lambda numbers: numbers[number] if number < len(numbers) else None


def _held(kind: str, *modes: str) -> Callable[[Locks], int]:
    return lambda locks: sum([locks[kind, mode] for mode in modes])
