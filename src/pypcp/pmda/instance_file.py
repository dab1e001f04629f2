"""The file in which instances and their ids are kept: stock's format, a line an entry. See: pmdaCache(3).

The first line is ``2 MODE MAXIMUM`` (``1 MODE`` in old files); MODE 1 means that numbers are used again. Then
``ID STAMP [KEY] NAME`` an entry, ascending by id; the stamp is when the entry was last known to be in use (seconds
since the epoch), the key is in hex and only there if there is one. Stock rewrites its file in place; ours is replaced
as a whole, so a reader never sees half of it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MAX_ID: Final = 0x7FFFFFFF
_HEADER: Final = re.compile(r"(?P<version>[12]) (?P<mode>[01])(?: (?P<maximum>\d+))?")
_ENTRY: Final = re.compile(r"(?P<id>\d+) (?P<stamp>\d+) (?:\[(?P<key>[0-9a-fA-F ]*)\] )?(?P<name>.*)")


@dataclass(frozen=True, slots=True)
class Line:
    """One entry."""

    id: int
    stamp: int
    name: str
    key: bytes | None = None


@dataclass(slots=True)
class Contents:
    """A whole file."""

    reuse: bool = False
    maximum: int = MAX_ID
    lines: list[Line] = field(default_factory=list)
    whole: bool = True
    """Does it end where a line ends?"""


def read_instances(path: Path) -> Contents:
    """``FileNotFoundError``; ``ValueError`` names the line that is none of this format."""
    text = path.read_text("utf-8", "surrogateescape").split("\n")
    header = _HEADER.fullmatch(text[0].strip())
    if header is None:
        raise ValueError(f"{path}:1: not an instance cache: {text[0]!r:.80}")
    contents = Contents(header["mode"] == "1", int(header["maximum"] or MAX_ID), whole=text[-1] == "")
    # What follows the last newline is nothing, or a line that was never finished.
    for number, line in enumerate(text[1:-1], 2):
        entry = _ENTRY.fullmatch(line)
        if entry is None or int(entry["id"]) > MAX_ID:
            raise ValueError(f"{path}:{number}: not an entry of an instance cache: {line!r:.80}")
        key = None if entry["key"] is None else bytes.fromhex(entry["key"])
        contents.lines.append(Line(int(entry["id"]), int(entry["stamp"]), entry["name"], key))
    return contents


def write_instances(path: Path, reuse: bool, maximum: int, lines: Iterable[Line]) -> None:
    """Replace the file; ``OSError`` leaves the one there was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with new.open("wb") as file:
            file.write(f"2 {int(reuse)} {maximum}\n".encode())
            file.write(_encoded(lines))
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def append_instances(path: Path, lines: Iterable[Line]) -> None:
    """Put lines at the end of a file, in one piece; their ids must be above all that are there. ``OSError``"""
    encoded = _encoded(lines)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor).st_size
        if (written := os.write(descriptor, encoded)) < len(encoded):
            # A disk that is full takes a part; half a line would be read as another entry.
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, f"{written} of {len(encoded)} bytes could be written", str(path))
    finally:
        os.close(descriptor)


def _encoded(lines: Iterable[Line]) -> bytes:
    parts = []
    for line in lines:
        key = "" if line.key is None else f"[{line.key.hex()}] "
        parts.append(f"{line.id} {line.stamp} {key}{line.name}\n")
    return "".join(parts).encode("utf-8", "surrogateescape")
