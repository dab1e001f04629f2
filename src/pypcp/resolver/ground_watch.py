"""Notice when directories of state appear, or are made anew, that our confinement does not cover yet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from pypcp.resolver.roots import Identity, Root, identity, open_root


def nearest_existing(path: str) -> str:
    """The directory itself, or the first above it that is there: where one must watch to see it appear."""
    while not os.path.isdir(path) and (above := os.path.dirname(path)) != path:
        path = above
    return path


class Ground:
    """One engine's directories as they were when the doors were closed: those that appear later cannot be read.

    Each call may wait for the disk, and belongs into the engine's thread.
    """

    def __init__(self, roots: Iterable[Root], sealed: Mapping[Root, Identity], *, shut_out: bool = False) -> None:
        self._sealed = {root: sealed.get(root) for root in roots}
        self.shut_out = shut_out
        """Whether some of them did not answer then: when they do again is not heard, it has to be tried."""

    def watched(self) -> set[str]:
        """Where the appearance or replacement of any would show."""
        return {nearest_existing(os.path.dirname(root.path)) for root in self._sealed}

    def outgrown(self) -> bool:
        """Whether there is state now that we are shut out from."""
        return any((now := _identity(root)) and now != then for root, then in self._sealed.items())


def _identity(root: Root) -> Identity | None:
    try:
        descriptor = open_root(root)
    except OSError:
        return None
    try:
        return identity(descriptor)
    except OSError:  # its file system died
        return None
    finally:
        os.close(descriptor)
