"""The container engines: one file each, all alike.

An engine knows where its state lies, reads it into :class:`~pypcp.resolver.container.Container` records, and says which
directories to watch. It runs in a thread of its own, so that one that hangs holds up nobody else.
"""

from __future__ import annotations

from typing import Protocol

from pypcp.resolver.container import Container
from pypcp.resolver.roots import Root

AGAIN_S = 60.0
"""For engines whose changes are heard; in case one was not."""
STARTING_S = 1.0
"""While something is on its way, of which nothing more will be heard."""


class Engine(Protocol):
    """What the resolver asks of every engine."""

    name: str
    owner: int
    """0 for root's engines; a user's account can make nobody but itself wait."""
    again_s: float
    """How long after a scan to look again though no change was heard, as of the last scan."""

    def roots(self) -> list[Root]:
        """Directories of state, whether they exist or not. Nothing outside of them is ever read. Waits for nothing."""

    def scan(self) -> list[Container]:
        """Every container, running or not. May wait for the disk; raises nothing that a file could cause."""

    def folders(self) -> set[str]:
        """Directories whose changes call for another scan, as of the last scan."""
