"""Hear about changes in directories. See: inotify(7)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator, KeysView

_CREATE, _DELETE, _MOVED, _CLOSE_WRITE, _SELF = 0x100, 0x200, 0x40 | 0x80, 0x8, 0x400 | 0x800
_ONLY_DIRECTORY, _IGNORED, _OVERFLOW = 0x01000000, 0x8000, 0x4000
_CHANGES = _CREATE | _DELETE | _MOVED | _CLOSE_WRITE | _SELF | _ONLY_DIRECTORY
_EVENT = struct.Struct("=iIII")
_READ_BYTES = 65536


class Inotify:
    """One queue; directories are watched by path and reported by path."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._paths: dict[int, str] = {}
        self._watches: dict[str, int] = {}

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._fd

    def watch(self, path: str) -> bool:
        """Watch a directory; False where there is none, or no more watches."""
        watch = int(self._libc.inotify_add_watch(self._fd, os.fsencode(path), _CHANGES))
        if watch >= 0:
            self._paths[watch], self._watches[path] = path, watch
        return watch >= 0

    def forget(self, path: str) -> None:
        """Watch it no longer."""
        watch = self._watches.pop(path, -1)
        if self._paths.get(watch) == path:
            del self._paths[watch]
            self._libc.inotify_rm_watch(self._fd, watch)

    @property
    def watched(self) -> KeysView[str]:
        """The directories under watch, at any moment."""
        return self._watches.keys()

    def changed(self) -> set[str] | None:
        """The directories in which something changed; None when some changes went unheard and all must be looked at."""
        found: set[str] = set()
        complete = True
        while True:
            try:
                raw = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return found if complete else None
            for watch, mask in _events(raw):
                complete = complete and not mask & _OVERFLOW
                path = self._paths.get(watch)
                if path is None:
                    continue
                found.add(path)
                if mask & _IGNORED:
                    del self._paths[watch]
                    self._watches.pop(path, None)


def _events(raw: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at + _EVENT.size <= len(raw):
        watch, mask, _, length = _EVENT.unpack_from(raw, at)
        yield watch, mask
        at += _EVENT.size + length
