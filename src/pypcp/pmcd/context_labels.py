"""Labels of everything that the daemon gives: the administrator's files, the host, the client.

Files are in stock's places: JSON objects in ``labels/`` in the order of their names, then in ``labels/optional/``; a
later file overrides. The host's own labels override them all. See: pmcd(1), pmLookupLabels(3).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pypcp.ipc.configuration import ConfigurationError, parse_settings, read_text
from pypcp.model.ids import IN_NULL
from pypcp.model.labels import Label, LabelSet, LabelType
from pypcp.wire.label import JSON_LIMIT, LABEL_LIMIT, label_set

log = logging.getLogger(__name__)

CHECK_S: Final = 1.0
"""Files are looked at again at most so often; a look is one ``stat`` a file."""

_FILES: Final = LabelType.CONTEXT | LabelType.COMPOUND
_OPTIONAL: Final = LabelType.CONTEXT | LabelType.OPTIONAL
_RESERVED_LABELS: Final = 16
_RESERVED_BYTES: Final = 4096
"""Room for the labels of the host and the client, beside those of files."""
_CACHE_SIZE: Final = 1000
_MACHINE_ID: Final = Path("/etc/machine-id")
_DOMAIN: Final = Path("/proc/sys/kernel/domainname")

_Labels = dict[bytes, tuple[bytes, LabelType]]
"""Name to value as JSON text, and flags."""


class ContextLabels:
    """The labels of the level CONTEXT, prepared once for as long as nothing changes.

    ``directory`` is the folder ``labels``, ``settings`` the file ``labels.conf``; None where there is none. ``now``
    gives seconds that only grow.
    """

    def __init__(
        self, directory: Path | None, settings: Path | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._places = [] if directory is None else [(directory, _FILES), (directory / "optional", _FILES | _OPTIONAL)]
        self._settings = settings
        self._now = now
        self._looked = now()
        self._signature = self._look()
        self._user = self._read_user()
        self._cache: dict[object, LabelSet] = {}

    @property
    def user_json(self) -> str:
        """The labels of files alone, as JSON: the value of ``pmcd.labels``. Without any it is empty, as in stock."""
        return _assembled(self._user).json.decode() if self._user else ""

    def of(
        self, hostname: str, *, uid: int | None = None, gid: int | None = None, container: str | None = None
    ) -> LabelSet:
        """The labels for a client: with its account if that is known, and the container that it looks into."""
        key = (hostname, uid, gid, container)
        if (found := self._cache.get(key)) is None:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            client = {"groupid": gid, "userid": uid}
            found = self._cache[key] = _assembled(
                self._user
                | self._host(hostname, container)
                | _indexed(
                    label_set({name: number for name, number in client.items() if number is not None}, _OPTIONAL)
                )
            )
        return found

    def refresh(self, *, at_once: bool = False) -> bool:
        """Look at the files again, ``at_once`` or if it is time to; have they changed?

        Then clients are to be told (LABEL_CHANGE).
        """
        if not at_once and self._now() - self._looked < CHECK_S:
            return False
        self._looked = self._now()
        if (signature := self._look()) == self._signature:
            return False
        self._signature, self._user = signature, self._read_user()
        self._cache.clear()
        log.debug("the files give %d labels", len(self._user))
        return True

    def _host(self, hostname: str, container: str | None) -> _Labels:
        labels: dict[str, Any] = {"domainname": _domain(), "hostname": hostname}
        if machine := _first_line(_MACHINE_ID):
            if _wants_hash(self._settings):
                labels["machineid_sha256"] = hashlib.sha256(machine.encode()).hexdigest()
            else:
                labels["machineid"] = machine
        if container is not None:
            labels["container"] = container
        return _indexed(label_set(labels, LabelType.CONTEXT))

    def _files(self) -> Iterator[tuple[Path, LabelType]]:
        for directory, flags in self._places:
            try:
                names = sorted(os.listdir(directory))
            except OSError:
                continue
            yield from ((directory / name, flags) for name in names if not name.startswith("."))

    def _look(self) -> object:
        """What changes when a file comes, goes or is written."""
        paths = [path for path, _ in self._files()]
        return [(path, _identity(path)) for path in (*paths, self._settings, _MACHINE_ID) if path is not None]

    def _read_user(self) -> _Labels:
        labels: _Labels = {}
        for path, flags in self._files():
            try:
                if not stat.S_ISREG(path.stat().st_mode):
                    continue
                merged = labels | _indexed(label_set(_object(path), flags))
                _check_size(merged)
            except (OSError, ValueError, TypeError, RecursionError, ConfigurationError) as error:
                log.warning("no labels from %s: %s; correct the file", path, error)
            else:
                labels = merged
        return labels


def _object(path: Path) -> Mapping[str, Any]:
    found = json.loads(read_text(path))
    if not isinstance(found, dict):
        raise TypeError(f'it holds a {type(found).__name__}, not an object {{"name": value}}')
    return found


def _identity(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _indexed(labels: LabelSet) -> _Labels:
    text = labels.json
    return {
        text[label.name : label.name + label.name_length]: (
            text[label.value : label.value + label.value_length],
            label.flags,
        )
        for label in labels.labels
    }


def _check_size(labels: _Labels) -> None:
    size = sum(len(name) + len(value) + 4 for name, (value, _) in labels.items())
    if len(labels) >= LABEL_LIMIT - _RESERVED_LABELS or size >= JSON_LIMIT - _RESERVED_BYTES:
        raise ValueError(
            f"it makes {len(labels)} labels of {size} bytes altogether; "
            f"the limits are {LABEL_LIMIT - _RESERVED_LABELS} and {JSON_LIMIT - _RESERVED_BYTES}"
        )


def _assembled(labels: _Labels) -> LabelSet:
    """One set of labels with flags of their own."""
    text = bytearray(b"{")
    index: list[Label] = []
    for name, (value, flags) in sorted(labels.items()):
        text += b',"' if index else b'"'
        start = len(text)
        text += name + b'":'
        index.append(Label(start, len(name), flags, len(text), len(value)))
        text += value
    return LabelSet(IN_NULL, bytes(text + b"}"), index)


def _wants_hash(settings: Path | None) -> bool:
    """Is the machine's identifier to be hidden? A file that cannot be understood hides it."""
    if settings is None:
        return False
    try:
        sections = parse_settings(read_text(settings), str(settings))
    except FileNotFoundError:
        return False
    except (OSError, ConfigurationError) as error:
        log.warning("%s; the machine's identifier is hashed", error)
        return True
    value = next((found["machineid_hash"].value for found in sections.values() if "machineid_hash" in found), "none")
    if value not in ("none", "sha256"):
        log.warning("%s: machineid_hash = %s is neither none nor sha256; the identifier is hashed", settings, value)
    return value != "none"


def _domain() -> str:
    name = _first_line(_DOMAIN)
    return "localdomain" if name in ("", "(none)") else name


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
