"""The account that a process runs as: doing one thing as another, and becoming it for good. See: setresuid(2)."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pypcp.errors import BadArgument, PermissionDenied

_NO_CAPABILITY: Final = {"CapPrm", "CapEff"}


@dataclass(frozen=True, slots=True)
class Account:
    """A user with its groups, as the system knows them."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def named(cls, name: str) -> Self:
        """``BadArgument`` where there is no such account."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise BadArgument(f"there is no account {name!r}: make one, or name another (-U)") from None
        return cls(name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)))

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Root has the rights of this account, and no others, within the block. Not where there are threads."""
        uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
        os.setgroups(self.groups)
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(uid)
            os.setegid(gid)
            os.setgroups(groups)

    def become(self) -> None:
        """Be this account from now on, in all threads, with no way back. ``PermissionDenied`` where that did not take;
        ``PermissionError`` for who is neither root nor this account already.
        """
        if self.uid and os.getresuid() == (self.uid,) * 3:
            return
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        self._verify()

    def _verify(self) -> None:
        if os.getresuid() != (self.uid,) * 3 or os.getresgid() != (self.gid,) * 3:
            raise PermissionDenied(f"the kernel did not make this process {self.name}'s")
        if not set(os.getgroups()) <= {self.gid, *self.groups}:
            raise PermissionDenied(f"groups of another account than {self.name} are left")
        if self.uid:
            self._verify_powerless()

    def _verify_powerless(self) -> None:
        for status in _thread_states():
            if status["Uid"].split() != [str(self.uid)] * 4 or any(int(status[name], 16) for name in _NO_CAPABILITY):
                raise PermissionDenied(f"a thread has kept what {self.name} may not")
        try:
            os.setuid(0)
        except PermissionError:
            return
        raise PermissionDenied(f"{self.name} could become root again")


def _thread_states() -> Iterator[dict[str, str]]:
    for path in Path("/proc/self/task").glob("*/status"):
        yield dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)
