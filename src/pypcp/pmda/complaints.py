"""What the log hears of the mistakes in an author's code: clients can have one made a hundred times a second."""

from __future__ import annotations

import logging
import time
from typing import Final

log = logging.getLogger(__name__)

AGAIN_S: Final = 60.0
"""How long the log hears nothing more of a mistake that goes on being made."""
_MOST: Final = 64


class Complaints:
    """Tells the log of each mistake at once, and then once in ``AGAIN_S`` seconds for as long as it is made."""

    def __init__(self) -> None:
        self._told: dict[object, tuple[float, int]] = {}
        """By the mistake: when the log heard of it last, and how often it was made since."""

    def failed(self, what: str, error: Exception) -> None:
        """``what`` raised ``error``, which is no answer; the log shows where."""
        self._tell((what, type(error), _way_of(error)), f"{what}: the agent's code failed", error, error)

    def wrong(self, what: str, said: str, error: Exception) -> None:
        """What ``what`` gave cannot be used, as is ``said``; ``error`` tells why."""
        self._tell((what, type(error)), f"{what}: {said}", error, None)

    def _tell(self, mistake: object, said: str, error: Exception, shown: Exception | None) -> None:
        at, more = self._told.pop(mistake, (-AGAIN_S, 0))
        now = time.monotonic()
        if now - at < AGAIN_S:
            self._told[mistake] = at, more + 1
            return
        if len(self._told) >= _MOST:
            del self._told[next(iter(self._told))]
        self._told[mistake] = now, 0
        again = f" ({more} times more since it was told last)" if more else ""
        log.warning("%s%s: %s", said, again, error, exc_info=shown)


def _way_of(error: Exception) -> tuple[tuple[str, int], ...]:
    """The lines that were on the way to where it was raised."""
    way = []
    at = error.__traceback__
    while at is not None:
        way.append((at.tb_frame.f_code.co_filename, at.tb_lineno))
        at = at.tb_next
    return tuple(way)
