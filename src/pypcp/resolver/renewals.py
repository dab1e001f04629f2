"""How soon a resolver may ask for its successor: at once the first time, later and later while that goes on.

Each successor costs whoever asks a moment. A user who makes his directories anew all the time gets one a minute.
"""

from __future__ import annotations

import time

FIRST_S = 2.0
LONGEST_S, LONGEST_FOR_USERS_S = 10.0, 60.0
QUIET_AFTER_S = 600.0
_MOST = 10


class Renewals:
    """One resolver's life. ``memory`` is one byte that outlives it: how often its predecessors asked in a row."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._born = time.monotonic()

    def wait_s(self, owner: int) -> float:
        """How long from now a directory of root's (0), or of a user's, has to wait."""
        longest_s = LONGEST_FOR_USERS_S if owner else LONGEST_S
        return max(0.05, min(FIRST_S * (1 << self._memory[0]), longest_s) - self._age_s())

    def count(self) -> None:
        """The successor is being asked for."""
        row = 0 if self._age_s() > QUIET_AFTER_S else self._memory[0]
        self._memory[0] = min(row + 1, _MOST)

    def _age_s(self) -> float:
        return time.monotonic() - self._born
