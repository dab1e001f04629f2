"""Notice when directories of state appear, or are made anew, that our confinement does not cover yet."""

from __future__ import annotations

import os
from collections.abc import Iterable


def nearest_existing(path: str) -> str:
    """The directory itself, or the first above it that is there: where one must watch to see it appear."""
    while not os.path.isdir(path) and (above := os.path.dirname(path)) != path:
        path = above
    return path


class Ground:
    """The directories as they were when the doors were closed: those that appear later cannot be read."""

    def __init__(self, roots: Iterable[str]) -> None:
        self._sealed = {root: _identity(root) for root in roots}

    def readable(self) -> list[str]:
        """Those that exist."""
        return [root for root, identity in self._sealed.items() if identity]

    def watched(self) -> set[str]:
        """Where the appearance or replacement of any would show."""
        return {nearest_existing(os.path.dirname(root)) for root in self._sealed}

    def outgrown(self) -> bool:
        """Whether there is state now that we are shut out from."""
        return any((now := _identity(root)) and now != then for root, then in self._sealed.items())


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
