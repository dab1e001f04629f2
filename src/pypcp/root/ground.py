"""Is the ground we stand on root's own? Checked before anything is done with root's power.

A file that somebody else may change is somebody else's program. So the interpreter, the package, every directory that
modules come from, the policy and each command must belong to root and be writable by nobody else, and so must every
directory on the way to them. This module imports nothing but what the interpreter has built in or loads anyway.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator

_MAX_LINKS = 40


class UntrustedGround(Exception):
    """Somebody else could change what root is about to use. The text names the path and what is wrong with it."""


def check(path: str, owner: int = 0) -> str:
    """The path with every link resolved, after each step on the way was seen to be ``owner``'s (or root's) alone.

    A directory that others may write to passes where it is sticky, as ``/tmp`` is: they cannot replace what is ours.
    """
    if not path.startswith("/"):
        raise UntrustedGround(f"{path!r} is not an absolute path")
    here, ahead, links = "/", _steps(path), 0
    _check_step(here, os.lstat(here), owner)
    while ahead:
        step = ahead.pop()
        if step == "..":
            here = os.path.dirname(here)
            continue
        there = os.path.join(here, step)
        status = _lstat(there)
        _check_step(there, status, owner)
        if not stat.S_ISLNK(status.st_mode):
            here = there
            continue
        links += 1
        if links > _MAX_LINKS:
            raise UntrustedGround(f"{path} has too many symbolic links")
        target = os.readlink(there)
        here = "/" if target.startswith("/") else here
        ahead += _steps(target)
    return here


def _steps(path: str) -> list[str]:
    return [step for step in reversed(path.split("/")) if step not in ("", ".")]


def _lstat(path: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except OSError as error:
        raise UntrustedGround(f"{path}: {error.strerror}") from None


def _check_step(path: str, status: os.stat_result, owner: int) -> None:
    if status.st_uid not in (0, owner):
        raise UntrustedGround(f"{path} belongs to uid {status.st_uid}, not to root")
    if stat.S_ISLNK(status.st_mode):
        return
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    foreign = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid != 0 and owner == 0)
    if foreign and not sticky:
        raise UntrustedGround(f"{path} is writable by others than root (mode {stat.S_IMODE(status.st_mode):o})")


def check_all(paths: Iterable[str], owner: int = 0) -> None:
    """Check every path, and say about all that fail at once."""
    faults = []
    for path in paths:
        try:
            check(path, owner)
        except UntrustedGround as fault:
            faults.append(str(fault))
    if faults:
        raise UntrustedGround("\n".join(dict.fromkeys(faults)))


def own_ground() -> Iterator[str]:
    """What this process consists of: interpreter, module directories, modules loaded so far, the whole package."""
    yield os.path.realpath(sys.executable)
    yield sys.executable
    yield from (entry for entry in sys.path if os.path.exists(entry))
    for module in list(sys.modules.values()):
        source = getattr(module, "__file__", None)
        cached = getattr(module, "__cached__", None)
        yield from (path for path in (source, cached) if path and os.path.exists(path))
    yield from package_files(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def package_files(top: str) -> Iterator[str]:
    """Every directory and every Python file below ``top``."""
    for folder, _, files in os.walk(top):
        yield folder
        yield from (os.path.join(folder, name) for name in files if name.endswith((".py", ".pyc", ".so", ".pth")))
