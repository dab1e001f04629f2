"""Which pmlogger and pmie processes run here, from the files that stock's keep. See: pmlogger(1), pmie(1).

``$PCP_TMP_DIR/pmlogger/PID`` has lines: port, the host that is logged, the archive, a note; ``primary`` is a link to
one. ``$PCP_TMP_DIR/pmie/PID`` is a structure that pmie goes on writing. Both are read as they are found: bounded, never
through other links, and only those of processes that are alive.
"""

from __future__ import annotations

import itertools
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

PRIMARY: Final = "primary"
PRIMARY_INSTANCE: Final = 0
FILES_LIMIT: Final = 1000
"""So many files of a kind are looked at, at most."""
_TEXT_LIMIT: Final = 16 << 10

_PMIE: Final = struct.Struct("=4097s4097s65sxf7I")
"""Configuration, log, host; evaluations expected a second; rules, actions, true, false, unknown, actual; version."""
_PMIE_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class LoggerInstance:
    """One pmlogger. The primary one is there twice: by its pid, and as instance 0 ``primary``."""

    instance: int
    name: str
    port: int
    pmcd_host: str
    archive: str
    note: str


@dataclass(frozen=True, slots=True)
class PmieInstance:
    """One pmie; the numbers but ``expected`` (evaluations a second) and ``rules`` are counters."""

    pid: int
    config_file: str
    log_file: str
    pmcd_host: str
    expected: float
    rules: int
    actions: int
    true: int
    false: int
    unknown: int
    actual: int


def pmloggers(directory: Path) -> list[LoggerInstance]:
    """The loggers with files in ``directory``, by instance; what is no such file is passed over."""
    return sorted(_read_all(directory, _TEXT_LIMIT, _logger), key=lambda found: found.instance)


def pmies(directory: Path) -> list[PmieInstance]:
    """The inference engines with files in ``directory``, by pid; what is no such file is passed over."""
    return sorted(_read_all(directory, _PMIE.size, _pmie), key=lambda found: found.pid)


_T = TypeVar("_T")


def _read_all(directory: Path, limit: int, parse: Callable[[str, int, bytes], _T | None]) -> Iterator[_T]:
    with _opened(directory, os.O_DIRECTORY) as folder:
        if folder is None:
            return
        owners = {0, os.geteuid(), os.fstat(folder).st_uid}
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, FILES_LIMIT)]
        for name in names:
            target = _target(folder, name)
            if not (target.isascii() and target.isdecimal() and len(target) < 10 and _is_alive(int(target))):
                continue
            content = _content(folder, target, limit, owners)
            if content is not None and (found := parse(name, int(target), content)) is not None:
                yield found


def _target(folder: int, name: str) -> str:
    """The file that is meant by a name: itself, or what the link ``primary`` points at, in this same folder."""
    if name != PRIMARY:
        return name
    try:
        return os.path.basename(os.readlink(name, dir_fd=folder))
    except OSError:
        return ""


def _content(folder: int, name: str, limit: int, owners: set[int]) -> bytes | None:
    with _opened(name, os.O_NOFOLLOW | os.O_NONBLOCK, folder) as file:
        if file is None:
            return None
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in owners or found.st_size > limit:
            return None
        try:
            return os.pread(file, limit, 0)
        except OSError:
            return None


@contextmanager
def _opened(path: str | Path, flags: int, folder: int | None = None) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_alive(pid: int) -> bool:
    return pid > 0 and os.path.exists(f"/proc/{pid}")


def _logger(name: str, pid: int, content: bytes) -> LoggerInstance | None:
    port, host, archive, note = [*content.decode(errors="replace").split("\n"), "", "", ""][:4]
    if not (port.isascii() and port.isdecimal() and len(port) < 6):
        return None  # it is being written just now
    instance = PRIMARY_INSTANCE if name == PRIMARY else pid
    return LoggerInstance(instance, name, int(port), host, archive, note)


def _pmie(name: str, pid: int, content: bytes) -> PmieInstance | None:
    if len(content) != _PMIE.size:
        return None
    *texts, expected, rules, actions, true, false, unknown, actual, version = _PMIE.unpack(content)
    if version != _PMIE_VERSION:
        return None
    config_file, log_file, host = (text.partition(b"\0")[0].decode(errors="replace") for text in texts)
    return PmieInstance(pid, config_file, log_file, host, expected, rules, actions, true, false, unknown, actual)
