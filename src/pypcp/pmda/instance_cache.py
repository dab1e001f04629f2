"""Instance ids that stay with their names, over restarts too. See: pmdaCache(3).

An entry is *active* (the instance exists now), *inactive* (known, but not there) or gone. Every operation costs the
same however many entries there are, those that change all entries excepted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pypcp.errors import BadArgument, GenericError, SignError, TooBig, UnknownInstance
from pypcp.pmda.instance_file import MAX_ID, Line, append_instances, read_instances, write_instances
from pypcp.pmda.instance_hash import lookup2

log = logging.getLogger(__name__)

_REHASHES: Final = 10


@dataclass(slots=True, eq=False)
class Entry:
    """An instance. ``stamp``: when the file last saw it in use (seconds since the epoch), 0 if it never has."""

    id: int
    name: str
    key: bytes | None = None
    active: bool = False
    data: Any = None
    stamp: int = 0


class InstanceCache:
    """Names, the ids they keep, and what the agent knows of each.

    Without a ``path`` it remembers for as long as the process lives; ``is_kept``: it is meant to have one. Names are
    told apart by their first word, as clients give them; with ``strings`` the whole name counts, and it may be empty.
    Ids are one more than the last, up to ``maximum``, and then the lowest that is free; with ``reuse`` always the
    lowest that is free.
    """

    def __init__(
        self, path: Path | None = None, *, strings: bool = False, maximum: int = MAX_ID, reuse: bool = False
    ) -> None:
        self.path = path
        self.is_kept = path is not None
        self.strings = strings
        self.maximum = maximum
        self.reuse = reuse
        self._by_id: dict[int, Entry] = {}
        self._by_name: dict[str, Entry] = {}
        self._by_key: dict[bytes, Entry] = {}
        self._next = 0
        self._lowest_free = 0
        self._added: list[Entry] = []
        self._changed = False
        self._activated = False
        if path is not None:
            self.open(path)

    # One entry

    def add(self, name: str, *, key: bytes | None = None, data: Any = None) -> int:
        """Find or make the entry, make it active, attach ``data``; its id.

        With a ``key`` the id follows from the key, on every host the same, and from then on ids are used again.
        ``BadArgument``: another name has this first word, or the name is none. ``UnknownInstance``: the key has another
        name, or the name another key. See: pmdaCacheStore(3), pmdaCacheStoreKey(3)
        """
        entry = self._known(name, key)
        if entry is None:
            entry = self._make(name, key)
        if not entry.active:
            entry.active = self._activated = True
        entry.stamp = 0
        entry.data = data
        return entry.id

    def hide(self, name: str) -> int:
        """Make an entry inactive; its id. ``UnknownInstance``"""
        entry = self.by_name(name)
        entry.active = False
        return entry.id

    def discard(self, name: str) -> int:
        """Forget an entry; the id it had. ``UnknownInstance``"""
        entry = self.by_name(name)
        self._forget(entry)
        return entry.id

    def __getitem__(self, instance: int) -> Entry:
        """The entry with this id, active or not; ``UnknownInstance``. See: pmdaCacheLookup(3)"""
        entry = self._by_id.get(instance)
        if entry is None:
            raise UnknownInstance(str(instance))
        return entry

    def by_name(self, name: str) -> Entry:
        """The entry with this name; ``UnknownInstance``. See: pmdaCacheLookupName(3)"""
        entry = self._by_name.get(self._handle(name))
        if entry is None or entry.name != name:
            raise UnknownInstance(repr(name))
        return entry

    def by_key(self, key: bytes) -> Entry:
        """The entry with this key; ``UnknownInstance``. See: pmdaCacheLookupKey(3)"""
        entry = self._by_key.get(key)
        if entry is None:
            raise UnknownInstance(key.hex())
        return entry

    # All entries

    def replace(self, names: Iterable[str]) -> tuple[int, ...]:
        """These are the instances now: active, in this order, and all others inactive. Their ids.

        What is attached to an entry stays. ``BadArgument`` as :meth:`add` has it.
        """
        for entry in self._by_id.values():
            entry.active = False
        known, strings = self._by_name, self.strings
        ids = []
        for name in names:
            # Ten thousand are looked up with each refresh: the rest is for those that are new, or wrong.
            found = known.get(name if strings else name.partition(" ")[0])
            if found is None or found.name != name:
                found = self._known(name, None) or self._make(name, None)
            found.active = True
            found.stamp = 0
            ids.append(found.id)
        self._activated = self._activated or bool(ids)
        return tuple(ids)

    def set_all(self, active: bool) -> int:
        """Make all entries active, or inactive; how many were not."""
        changed = [entry for entry in self._by_id.values() if entry.active is not active]
        for entry in changed:
            entry.active = active
        self._activated = self._activated or (active and bool(changed))
        return len(changed)

    def clear(self) -> int:
        """Forget all entries; how many there were."""
        entries = list(self._by_id.values())
        for entry in entries:
            self._forget(entry)
        return len(entries)

    def forget_inactive(self) -> int:
        """Forget all entries that are not active; how many."""
        inactive = [entry for entry in self._by_id.values() if not entry.active]
        for entry in inactive:
            self._forget(entry)
        return len(inactive)

    def purge(self, older_s: float, on_purge: Callable[[Entry], None] | None = None) -> int:
        """Forget what has not been in use for ``older_s`` seconds; how many. What was never saved stays.

        See: pmdaCachePurge(3), pmdaCachePurgeCallback(3)
        """
        limit = time.time() - older_s
        old = [entry for entry in self._by_id.values() if entry.stamp and not entry.active and entry.stamp < limit]
        for entry in old:
            self._forget(entry)
            if on_purge is not None:
                on_purge(entry)
        return len(old)

    def resize(self, maximum: int) -> None:
        """Set the largest id that may be given out. ``SignError``, ``TooBig`` where an entry has a larger one.

        See: pmdaCacheResize(3)
        """
        if maximum < 0:
            raise SignError(str(maximum))
        if self._by_id and max(self._by_id) > maximum:
            raise TooBig(f"there is an instance {max(self._by_id)}, above {maximum}")
        self.maximum = maximum
        self._changed = True

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Entry]:
        """All entries, ascending by id."""
        return iter([self._by_id[instance] for instance in sorted(self._by_id)])

    def active(self) -> list[Entry]:
        """The entries of the instances there are now, ascending by id."""
        return [entry for entry in self if entry.active]

    # The file

    def open(self, path: Path) -> None:
        """Remember in this file from now on, and what it remembers now. A file that is none is set aside."""
        self.path = path
        self.is_kept = True
        try:
            contents = read_instances(path)
        except FileNotFoundError:
            self._changed = True
            return
        except (OSError, ValueError) as error:
            log.error("%s; the instances are numbered anew, the file is kept as %s.bad", error, path.name)
            _set_aside(path)
            self._changed = True
            return
        self.reuse = self.reuse or contents.reuse
        self.maximum = min(self.maximum, contents.maximum)
        for line in contents.lines:
            handle = self._handle(line.name)
            if line.id in self._by_id or handle in self._by_name:
                log.warning("%s: %d %r is left out, its number or name is taken", path.name, line.id, line.name)
                self._changed = True
                continue
            self._insert(handle, Entry(line.id, line.name, line.key, stamp=line.stamp))
        self._changed = self._changed or not contents.whole
        self._next = max(self._by_id, default=-1) + 1

    def save(self, *, also_activated: bool = False, always: bool = False) -> int:
        """Write the file if an entry came or went; how many lines were written.

        ``also_activated``: also if one became active again. A directory that cannot be written costs the memory of
        restarts and nothing else; the log says so. See: SAVE, SYNC and WRITE of pmdaCacheOp(3)
        """
        if self.path is None:
            return 0
        if always or self._changed or (also_activated and self._activated):
            return self._write(self.path)
        return self._append(self.path) if self._added else 0

    def _write(self, path: Path) -> int:
        self._changed = self._activated = False
        self._added.clear()
        now = int(time.time())
        for entry in self._by_id.values():
            if entry.active or not entry.stamp:
                entry.stamp = now
        lines = [Line(entry.id, entry.stamp, entry.name, entry.key) for entry in self]
        try:
            write_instances(path, self.reuse, self.maximum, lines)
        except OSError as error:
            log.warning("instance ids of %s will not outlive this process: %s", path.name, error)
        return len(lines)

    def _append(self, path: Path) -> int:
        """Entries that go to the end of the file anyway cost no more than their lines."""
        now = int(time.time())
        lines = []
        for entry in self._added:
            entry.stamp = now
            lines.append(Line(entry.id, now, entry.name, entry.key))
        self._added.clear()
        try:
            append_instances(path, lines)
        except OSError as error:
            self._changed = True
            log.warning("instance ids of %s will not outlive this process: %s", path.name, error)
        return len(lines)

    # Names, keys and ids

    def _handle(self, name: str) -> str:
        return name if self.strings else name.partition(" ")[0]

    def _known(self, name: str, key: bytes | None) -> Entry | None:
        entry = self._by_name.get(self._handle(name))
        if key is None:
            if entry is not None and entry.name != name:
                raise BadArgument(f"{name!r} begins with the same word as {entry.name!r}")
            return entry
        keyed = self._by_key.get(key)
        if keyed is not entry or (entry is not None and entry.name != name):
            raise UnknownInstance(f"{name!r} and its key are known, but not together")
        return entry

    def _make(self, name: str, key: bytes | None) -> Entry:
        if not isinstance(name, str):
            raise BadArgument(f"{name!r} is no name of an instance: it is no text")
        if "\n" in name or "\0" in name or (not name and not self.strings):
            raise BadArgument(f"{name!r} is no name of an instance: a text without newlines and NULs is one")
        if key is not None:
            self.reuse = True
        last = self._next - 1
        entry = Entry(self._next_id() if key is None else self._id_of_key(key), name, key)
        self._insert(self._handle(name), entry)
        if entry.id > last and key is None and not self.reuse:
            self._added.append(entry)
        else:
            self._changed = True
        return entry

    def _insert(self, handle: str, entry: Entry) -> None:
        self._by_id[entry.id] = entry
        self._by_name[handle] = entry
        if entry.key is not None:
            self._by_key[entry.key] = entry

    def _forget(self, entry: Entry) -> None:
        del self._by_id[entry.id]
        del self._by_name[self._handle(entry.name)]
        if entry.key is not None:
            del self._by_key[entry.key]
        self._lowest_free = min(self._lowest_free, entry.id)
        self._changed = True

    def _next_id(self) -> int:
        if not self.reuse:
            if self._next <= self.maximum:
                self._next += 1
                return self._next - 1
            self.reuse = True
        # It only moves back when an entry goes, so finding the next one is cheap on the whole.
        while self._lowest_free in self._by_id:
            self._lowest_free += 1
        if self._lowest_free > self.maximum:
            raise GenericError(f"all instances from 0 to {self.maximum} are taken")
        return self._lowest_free

    def _id_of_key(self, key: bytes) -> int:
        hashed = 0
        for _ in range(_REHASHES):
            hashed = lookup2(key, hashed)
            found = hashed % (self.maximum + 1)
            if found not in self._by_id:
                return found
        raise GenericError(f"the numbers that follow from the key {key.hex()} are all taken")


def _set_aside(path: Path) -> None:
    try:
        path.replace(path.with_name(path.name + ".bad"))
    except OSError as error:
        log.warning("%s cannot be renamed: %s", path, error)
