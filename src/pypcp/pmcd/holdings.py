"""What all clients together have the daemon hold for them, and who has to go when it is too much.

Each client has limits of its own too; these are for many clients that each stay just below theirs.
"""

from __future__ import annotations

from typing import Final, Protocol

from pypcp.errors import TooBig
from pypcp.model.profile import Profile

_SMALL: Final = 256
"""Profiles up to this size are always taken: who uses much of the room keeps nobody from choosing a few instances."""


class Dropped(Protocol):
    """A connection that can be ended."""

    def drop(self, why: str) -> None:
        """Close at once."""
        ...


class Unread:
    """Replies that were sent and not read, by connection; above ``limit_bytes`` who has most of them is dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held: dict[Dropped, int] = {}
        self.total = 0

    def hold(self, connection: Dropped, size: int) -> None:
        """So many bytes wait for this connection now."""
        self.release(connection)
        self._held[connection] = size
        self.total += size
        while self.total > self._limit:
            most = max(self._held, key=self._held.__getitem__)
            self.release(most)
            most.drop("it leaves more replies unread than any other, and there are too many")

    def release(self, connection: Dropped) -> None:
        """It reads again, or is gone."""
        self.total -= self._held.pop(connection, 0)


class ProfileRoom:
    """Room for the long profiles of all clients, in instances and instance domains that they list."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.taken = 0

    def swap(self, old: Profile | None, new: Profile | None) -> None:
        """A client has ``new`` in place of ``old``; ``TooBig`` where there is no room for it, and nothing changes."""
        taken = self.taken - _size(old) + _size(new)
        if taken > max(self._limit, self.taken):
            raise TooBig(f"the profiles of all clients list {taken} instances; the limit is {self._limit}")
        self.taken = taken


def _size(profile: Profile | None) -> int:
    if profile is None or not profile.indoms:
        return 0
    size = sum([3 + len(chosen.listed) for chosen in profile.indoms.values()])
    return size if size > _SMALL else 0
