"""Read files that others write: never a FIFO, never through a planted link, never more than agreed.

Whatever is wrong with a file, the answer is None: that container is then unknown, and the list goes on.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import Any

from pypcp.resolver.roots import Root, open_root

ROOT = 0
"""Whose files are believed everywhere."""

MAX_STATE_BYTES = 4 << 20
MAX_LIST_BYTES = 16 << 20
MAX_ENTRIES = 20_000
_BYTES_A_VALUE = 16
"""What a value of JSON takes at least, on the average, in files that engines write."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Folder:
    """A directory from which everything is opened step by step, without following a link, for one owner.

    A file counts only if it belongs to ``owner``. Use as a context manager.
    """

    def __init__(self, descriptor: int, owner: int) -> None:
        self.owner = owner
        self._fd = descriptor

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def below(self, name: str) -> Folder | None:
        """The directory of that name in it, unless it is a link."""
        try:
            return Folder(os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=self._fd), self.owner)
        except OSError:
            return None

    def names(self) -> list[str]:
        """The entries, at most :data:`MAX_ENTRIES`; none of a directory that has just been removed."""
        try:
            with os.scandir(self._fd) as entries:
                return [entry.name for _, entry in zip(range(MAX_ENTRIES), entries, strict=False)]
        except OSError:
            return []

    def read(self, relative: str, limit: int = MAX_STATE_BYTES) -> bytes | None:
        """The bytes of a plain file below, None where there is none that may be believed."""
        *folders, name = relative.split("/")
        here, opened = self._fd, []
        try:
            for folder in folders:
                here = os.open(folder, _FLAGS | os.O_DIRECTORY, dir_fd=here)
                opened.append(here)
            here = os.open(name, _FLAGS, dir_fd=here)
            opened.append(here)
            return self._read(here, limit)
        except OSError:
            return None
        finally:
            for fd in opened:
                os.close(fd)

    def _read(self, fd: int, limit: int) -> bytes | None:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != self.owner or status.st_size > limit:
            return None
        parts = []
        while (part := os.read(fd, min(status.st_size, limit) + 1)) and (limit := limit - len(part)) >= 0:
            parts.append(part)
        return b"".join(parts) if limit >= 0 else None

    def read_json(self, relative: str, limit: int = MAX_STATE_BYTES) -> Any:
        """The value of a JSON file; None where it is missing, too large, too deep, half written or no JSON."""
        raw = self.read(relative, limit)
        return None if raw is None else parse_json(raw, limit)

    def stamp(self, relative: str) -> tuple[int, int, int] | None:
        """What changes whenever the file does: inode, time, size."""
        try:
            status = os.stat(relative, dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def open_folder(root: Root) -> Folder | None:
    """The directory, None where it is not there or not to be read."""
    try:
        return Folder(open_root(root, os.O_RDONLY), root.owner or ROOT)
    except OSError:
        return None


def parse_json(raw: bytes, limit: int) -> Any:
    """The value of a JSON text; None where there is none, or so many in one that ``limit`` bytes could not mean them.

    Empty objects take a hundred times the memory of their text, and nobody else gets to run while they are made.
    """
    if sum(map(raw.count, (b"{", b"[", b","))) > max(limit // _BYTES_A_VALUE, 1000):
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def entries(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list, whatever else stands between them."""
    if isinstance(value, list):
        yield from (entry for entry in value[:MAX_ENTRIES] if isinstance(entry, dict))


def text(value: Any, limit: int = 4095) -> str:
    """A JSON value as a text, empty where it is none or too long for anybody to ask for."""
    return value if isinstance(value, str) and len(value) <= limit and value.isprintable() else ""


def number(value: Any) -> int:
    """A JSON value as a number of a process or a time, 0 where it is none."""
    return value if type(value) is int and 0 < value < 1 << 62 else 0


def mapping(value: Any) -> dict[str, Any]:
    """A JSON value as an object, empty where it is none."""
    return value if isinstance(value, dict) else {}
