"""How a daemon stands in the system: in the background or not, as which account, with which files. See: pmcd(1)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self, TextIO

from pypcp.errors import PermissionDenied
from pypcp.ipc.account import Account
from pypcp.ipc.paths import Paths
from pypcp.pmcd.daemonize import speak_to
from pypcp.pmcd.process_files import (
    PID_FILE,
    PidFile,
    check_program_of,
    hand_over,
    make_directory,
    open_fresh,
    usual_log,
)
from pypcp.pmcd.process_title import show_as

log = logging.getLogger(__name__)


class Mode(Enum):
    """Only the foreground proper is without pid file and change of account."""

    BACKGROUND = "background"
    MANAGED = "managed"
    FOREGROUND = "foreground"


@dataclass(frozen=True, slots=True)
class Process:
    """The process of a daemon. ``log`` None: standard error. ``account``: whom it becomes, None: it stays as it is.

    Entered when it begins to be one, left when it is none any more.
    """

    mode: Mode
    paths: Paths
    log: Path | None
    account: Account | None
    words: Sequence[str]

    @classmethod
    def plan(cls, mode: Mode, paths: Paths, *, log: Path | None, username: str | None, words: Sequence[str]) -> Self:
        """What the options come to; ``words`` are what ps(1) is to show. ``BadArgument``, ``PermissionDenied``."""
        account = None if mode is Mode.FOREGROUND else _account(username, paths)
        return cls(mode, paths, log or (usual_log(paths) if mode is Mode.BACKGROUND else None), account, words)

    @property
    def _pid_file(self) -> PidFile:
        return PidFile(self.paths.run_dir / PID_FILE, self.account)

    @contextmanager
    def open_log(self) -> Iterator[TextIO]:
        """The log; in the background all other output goes there too."""
        if self.log is None:
            yield sys.stderr
            return
        self.directory(self.log.parent)
        descriptor = open_fresh(self.log, self.account)
        with open(descriptor, "w", buffering=1) as stream:
            if self.mode is Mode.BACKGROUND:
                speak_to(descriptor)
            yield stream

    def directory(self, path: Path) -> Path:
        """A directory that the daemon uses; made where it is missing."""
        return make_directory(path, self.paths, self.account)

    def private_directory(self, path: Path) -> Path:
        """A directory that nobody else uses, with what is in it."""
        self.directory(path)
        if self.account is not None:
            hand_over(path, self.account)
        return path

    def __enter__(self) -> Self:
        if self.mode is not Mode.FOREGROUND:
            show_as(Path(self.paths.settings["PCP_BINADM_DIR"], "pmcd"), self.words)
        if self.account is not None:
            check_program_of(self.account)
        return self

    def serves(self) -> None:
        """All that needed root's rights is done, agents are started, and no client has been heard yet."""
        if self.mode is Mode.FOREGROUND:
            return
        self.directory(self.paths.run_dir)
        self._pid_file.write()
        if self.account is not None:
            self.account.become()
            log.info("it is %s's from now on (uid %d)", self.account.name, self.account.uid)

    def __exit__(self, *exception: object) -> None:
        if self.mode is not Mode.FOREGROUND:
            self._pid_file.remove()


def _account(username: str | None, paths: Paths) -> Account | None:
    """Only root can become another; for all others there is nothing to become."""
    if paths.uid == 0:
        account = Account.named(username or paths.settings["PCP_USER"])
        return account if account.uid else None
    if username is not None and Account.named(username).uid != paths.uid:
        raise PermissionDenied(f"only root can run it as {username}: leave out -U")
    return None
