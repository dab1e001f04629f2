"""The files that the kernel answers in: kept open, or read once, below one root.

A file that a kernel does not have reads as empty, so that its metrics have no values: what stock answers too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

Parsed = TypeVar("Parsed")

FIRST_SIZE: Final = 4096
"""Bytes asked for by the first read; the kernel hands out most files a page at a time."""

AT_ONCE: Final = (
    "sys/",
    "proc/sys/",
    "proc/pressure/",
    "proc/loadavg",
    "proc/meminfo",
    "proc/softirqs",
    "proc/stat",
    "proc/uptime",
)
"""What the kernel writes in one go, into a page or into a buffer of the right size: a read that asks for more than it
gets has got all. Other files come in records, as many as fit a page, so that only reading on finds their end."""

LARGEST: Final = 64 << 20
"""No file of the kernel comes near this; what does is none of them."""


KEPT_OPEN: Final = 32
"""Up to so many devices have their files kept open: some hosts have thousands."""


class Source:
    """A file that is read again and again: it stays open, and each read starts at its beginning.

    ``at_once``: a read that asks for more than it gets has got all.
    """

    __slots__ = ("_at_once", "_descriptor", "_size", "path")

    def __init__(self, path: str, *, at_once: bool = False) -> None:
        self.path = path
        self._at_once = at_once
        self._descriptor = -1
        self._size = FIRST_SIZE

    def read(self) -> bytes:
        """All of the file as it is now; empty where there is none, and where the kernel has no answer now.

        ``OSError`` when it cannot be read.
        """
        if self._descriptor >= 0:
            try:
                return self._read_open()
            except OSError:  # what stood behind the open file is gone; there may be a new one of that name
                self.close()
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        return self._read_open()

    def _read_open(self) -> bytes:
        try:
            first = os.pread(self._descriptor, self._size, 0)
        except OSError as error:
            if error.errno == errno.EINVAL:  # as for the speed of an interface that is down
                return b""
            raise
        if not first or (self._at_once and len(first) < self._size):
            return first
        more = os.pread(self._descriptor, self._size, len(first))
        return self._read_rest(first + more) if more else first

    def _read_rest(self, data: bytes) -> bytes:
        chunks = [data]
        length = len(data)
        while more := os.pread(self._descriptor, self._size, length):
            chunks.append(more)
            length += len(more)
            if length > LARGEST:
                raise ValueError(f"{self.path} has more than {LARGEST} bytes; it is no file of the kernel")
        self._size = max(self._size, length + FIRST_SIZE)
        return b"".join(chunks)

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


class EachOf:
    """The same file of each of several devices. Where these are few the files stay open, which is ten times faster."""

    def __init__(self, open_: Callable[[str], Source]) -> None:
        self._open = open_
        self._names: tuple[str, ...] = ()
        self._sources: list[Source] = []

    def read(self, names: Sequence[str]) -> list[bytes]:
        """Their texts in the order of ``names``; empty where there is none, and where the kernel has no answer now."""
        if tuple(names) != self._names:
            self._names = tuple(names)
            self._sources = [self._open(name) for name in names]
        return [self._text(source) for source in self._sources]

    def _text(self, source: Source) -> bytes:
        try:
            return source.read()
        except OSError:
            return b""
        finally:
            if len(self._sources) > KEPT_OPEN:
                source.close()


class Files:
    """The file system below ``root``; paths are relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = f"{root}/".replace("//", "/")

    def open(self, path: str) -> Source:
        """A file to be read at every fetch."""
        return Source(self._prefix + path, at_once=path.startswith(AT_ONCE))

    def of_each(self, path_of: Callable[[str], str]) -> EachOf:
        """A file of each of several devices, to be read at every fetch: ``path_of`` tells it from the device's name."""
        return EachOf(lambda name: self.open(path_of(name)))

    def parsed(self, path: str, parse: Callable[[bytes], Parsed]) -> Callable[[], Parsed]:
        """The refresh of a cluster: ``parse`` on the text of the file as it is then, or what it gave for the same text.

        ``ValueError`` for a text that breaks off: all that the kernel writes ends with a line.
        """
        source = self.open(path)
        known: list[tuple[bytes, Parsed]] = []

        def read() -> Parsed:
            text = source.read()
            if known and known[0][0] == text:  # a tenth of a microsecond, and many files seldom change
                return known[0][1]
            if text and not text.endswith(b"\n"):
                raise ValueError(f"{source.path} breaks off")
            known[:] = [(text, parse(text))]
            return known[0][1]

        return read

    def read_once(self, path: str) -> bytes:
        """A small file (up to a page), opened for this one read, without the white space around it.

        Empty where there is none, and where the kernel has no answer now.
        """
        try:
            descriptor = os.open(self._prefix + path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.read(descriptor, FIRST_SIZE).strip()
        except OSError:
            return b""
        finally:
            os.close(descriptor)

    def exists(self, path: str) -> bool:
        """Is there such a file or directory?"""
        return os.path.exists(self._prefix + path)

    def list_directory(self, path: str) -> list[str]:
        """The names in a directory, sorted; none where there is no such directory."""
        try:
            return sorted(os.listdir(self._prefix + path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def links(self, path: str) -> dict[str, str]:
        """The symbolic links in a directory by their names, and what each says; none where there is no directory."""
        found = {}
        for name in self.list_directory(path):
            try:
                found[name] = os.readlink(f"{self._prefix}{path}/{name}")
            except OSError:  # it is something else, or gone by now
                continue
        return found


def number(text: bytes) -> int | None:
    """The value of a file that holds one number; None for an empty one."""
    return int(text) if text else None
