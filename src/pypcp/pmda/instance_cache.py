"""Instance ids that stay with their names, over restarts too. See: pmdaCache(3).

The file is stock's: a first line ``2 MODE MAXIMUM``, then a line ``ID STAMP [KEY] NAME`` an entry, ascending by id; the
stamp is when the entry was last known to be in use (seconds since the epoch), the key is in hex and rare. Stock
rewrites its file in place; ours is replaced as a whole, so a reader never sees half of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Final

MAX_ID: Final = 0x7FFFFFFF
_HEADER: Final = re.compile(r"(?P<version>[12]) (?P<mode>[01])(?: (?P<maximum>\d+))?")
_ENTRY: Final = re.compile(r"(?P<id>\d+) (?P<stamp>\d+) (?:\[(?P<key>[0-9a-fA-F ]*)\] )?(?P<name>.+)")


class InstanceCache:
    """Names and the ids they keep; the next id is one more than the last.

    Without a ``path`` it remembers for as long as the process lives.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._ids: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._next = 0
        self._dirty = False
        if path is not None:
            self._load(path)

    def id_for(self, name: str) -> int:
        """The id of ``name``, a new one the first time."""
        found = self._ids.get(name)
        if found is None:
            found = self._ids[name] = self._next
            self._next += 1
            self._dirty = True
        return found

    def _load(self, path: Path) -> None:
        try:
            lines = path.read_text("utf-8", "surrogateescape").splitlines()
        except FileNotFoundError:
            return
        if not lines or not _HEADER.fullmatch(lines[0].strip()):
            raise ValueError(f"{path}:1: not an instance cache; remove the file to number the instances anew")
        for number, line in enumerate(lines[1:], 2):
            entry = _ENTRY.fullmatch(line)
            if entry is None or int(entry["id"]) > MAX_ID:
                raise ValueError(f"{path}:{number}: not an entry of an instance cache: {line!r}")
            self._ids.setdefault(entry["name"], int(entry["id"]))
            if entry["key"]:
                self._keys[entry["name"]] = entry["key"]
        self._next = max(self._ids.values(), default=-1) + 1

    def save(self) -> None:
        """Write the file if a name is new. A directory that cannot be written costs the memory of restarts only."""
        if not self._dirty or self.path is None:
            return
        self._dirty = False
        with contextlib.suppress(OSError):
            self._write(self.path)

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        now = int(time.time())
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(f"2 0 {MAX_ID}\n".encode())
                for name, instance in sorted(self._ids.items(), key=lambda entry: entry[1]):
                    key = f"[{self._keys[name]}] " if name in self._keys else ""
                    file.write(f"{instance} {now} {key}{name}\n".encode("utf-8", "surrogateescape"))
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
