"""The files by which others know a daemon's process, and that its account can use them: pid file, log, directories."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import Final

import pypcp
from pypcp.errors import PermissionDenied
from pypcp.ipc.account import Account
from pypcp.ipc.paths import Paths

log = logging.getLogger(__name__)

PID_FILE: Final = "pmcd.pid"
_LOG_FILE: Final = "pmcd/pmcd.log"


class PidFile:
    """``pmcd.pid``: the number of the process and nothing else. See: pmcd(1), FILES."""

    def __init__(self, path: Path, account: Account | None) -> None:
        self._path = path
        self._account = account

    def write(self) -> None:
        """Say that this process is the daemon."""
        descriptor = open_fresh(self._path, self._account)
        try:
            os.fchmod(descriptor, 0o444)
            os.write(descriptor, str(os.getpid()).encode())
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Say that it is no more; what another process wrote there stays."""
        try:
            if self._path.read_text() == str(os.getpid()):
                self._path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("%s stays behind: %s", self._path, error.strerror)


def usual_log(paths: Paths) -> Path:
    """Where a daemon writes its log unless it is told: for root, where stock's scripts look for it."""
    return (Path(paths.settings["PCP_LOG_DIR"]) if paths.uid == 0 else paths.log_dir) / _LOG_FILE


def open_fresh(path: Path, account: Account | None = None) -> int:
    """Open a new file for writing, in place of one that is there; a device or pipe is opened as it is.

    Root opens it with the rights of ``account`` where these are enough: a link in a directory of that account would
    else lead root's pen to any file. Elsewhere no link is followed.
    """
    if account is None:
        return _open_fresh(path, follow=True)
    with contextlib.suppress(PermissionError), account.acting():
        return _open_fresh(path, follow=False)
    return _open_fresh(path, follow=False)


def _open_fresh(path: Path, *, follow: bool) -> int:
    with contextlib.suppress(FileNotFoundError):
        kind = path.lstat().st_mode
        if stat.S_ISREG(kind) or (stat.S_ISLNK(kind) and not follow):
            path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOCTTY
    return os.open(path, flags | (0 if follow else os.O_NOFOLLOW), 0o644)


def make_directory(directory: Path, paths: Paths, account: Account | None) -> Path:
    """A directory that the daemon can use: one that is missing is made, and is the account's."""
    if account is None:
        return paths.make(directory)
    with contextlib.suppress(PermissionError), account.acting():
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        return directory
    directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o755)
        os.chown(directory, account.uid, account.gid, follow_symlinks=False)
    return directory


def hand_over(directory: Path, account: Account) -> None:
    """Give a directory that was root's, with its files, to the account: they are nobody else's business."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(opened).st_uid == 0:  # and so nobody else could have put a link to another place there
            for name in os.listdir(opened):
                os.chown(name, account.uid, account.gid, dir_fd=opened, follow_symlinks=False)
            os.fchown(opened, account.uid, account.gid)
    finally:
        os.close(opened)


def check_program_of(account: Account) -> None:
    """Modules are read, and agents started, long after root's rights are gone. ``PermissionDenied`` says what to do."""
    for path in (os.__file__, pypcp.__file__):
        try:
            with account.acting(), open(path, "rb"):
                pass
        except PermissionError:
            raise PermissionDenied(
                f"{account.name} cannot read {path}: install pypcp where that account can, or name another (-U)"
            ) from None
