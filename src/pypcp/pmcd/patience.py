"""How long something is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_PROGRESS_BYTES: Final = 64 << 10
"""Who reads this much of his replies within the time for it is given the same time again."""


class Patience:
    """The end of whatever is ``awaited`` of a peer. It does not move while it is the same wait."""

    def __init__(self) -> None:
        self.awaited = ""
        self._timer: asyncio.TimerHandle | None = None

    def wait(
        self, awaited: str, seconds: float, give_up: Callable[[str], None], unread: Callable[[], int] | None = None
    ) -> None:
        """Something is awaited from now on; at the end ``give_up`` is told what did not come within what time.

        ``unread``: how many bytes the peer has yet to read, which may be slow.
        """
        if awaited != self.awaited:
            self.stop()
            self.awaited = awaited
            self._start(seconds, give_up, unread)

    def stop(self) -> None:
        """It came; nothing is awaited."""
        self.awaited = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, seconds: float, give_up: Callable[[str], None], unread: Callable[[], int] | None) -> None:
        before = unread() if unread is not None else 0

        def end() -> None:
            if unread is not None and before - unread() >= _PROGRESS_BYTES:
                self._start(seconds, give_up, unread)  # a long reply over a slow line
            else:
                give_up(f"{self.awaited} within {seconds:g} s")

        self._timer = asyncio.get_running_loop().call_later(seconds, end)
