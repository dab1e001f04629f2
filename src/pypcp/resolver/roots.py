"""Directories of state, opened so that nobody can put something else in the place of one. See: openat2(2).

The path of an engine of root's is root's to choose, links and all. What lies beneath a user's home is that user's to
change at any moment: there no link is followed, not even one on the way, and what is found has to be his own.
"""

from __future__ import annotations

import ctypes
import os
from typing import NamedTuple

_OPENAT2 = 437
_NO_MAGIC_LINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_FLAGS = os.O_DIRECTORY | os.O_CLOEXEC

libc = ctypes.CDLL(None, use_errno=True)


class Root(NamedTuple):
    """A directory that an engine reads from."""

    path: str
    owner: int = 0
    """Whose files in there count: root's, or those of one user."""
    home: str = ""
    """The directory of that user's own which ``path`` is in; "" where the path is root's choice."""


Identity = tuple[int, int]


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_root(root: Root, access: int = os.O_PATH) -> int:
    """A descriptor of the directory; ``OSError`` where it is not there, or not to be used."""
    if not root.home:
        return os.open(root.path, access | _FLAGS)
    home = os.open(root.home, os.O_PATH | _FLAGS)
    try:
        _check_owner(home, root)
        found = _open_beneath(home, os.path.relpath(root.path, root.home), access)
    finally:
        os.close(home)
    try:
        _check_owner(found, root)
    except OSError:
        os.close(found)
        raise
    return found


def identity(descriptor: int) -> Identity:
    """What tells a directory from any that takes its place."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _check_owner(descriptor: int, root: Root) -> None:
    if os.fstat(descriptor).st_uid != root.owner:
        raise PermissionError(1, f"does not belong to uid {root.owner}", root.path)


def _open_beneath(folder: int, relative: str, access: int) -> int:
    how = _How(access | _FLAGS, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGIC_LINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    found = int(libc.syscall(_OPENAT2, folder, os.fsencode(relative), ctypes.byref(how), size))
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), relative)
    return found
