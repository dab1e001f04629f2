"""What an agent answered when whoever asked had given up: it is there for whoever asks the same next."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from pypcp.model.profile import Profile
from pypcp.pmda.segments import Fetched

LATE_S: Final = 30.0
"""No answer is kept for longer."""
_KEPT: Final = 64
_KEPT_BYTES: Final = 32 << 20

Asked = tuple[tuple[int, ...], Profile, int]
"""What a fetch asked: metrics, profile, client slot. A late answer is for the same question only."""


class _Late(NamedTuple):
    at: float
    fetched: Fetched
    size_bytes: int


class LateAnswers:
    """One agent's; where they become too many or too large the oldest go."""

    def __init__(self) -> None:
        self._answers: dict[Asked, _Late] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, asked: Asked, fetched: Fetched, size_bytes: int) -> None:
        """Keep an answer of that size, instead of an earlier one to the same question."""
        self.take(asked)
        if size_bytes > _KEPT_BYTES:
            return
        while len(self._answers) >= _KEPT or self.held_bytes + size_bytes > _KEPT_BYTES:
            self.take(next(iter(self._answers)))
        self._answers[asked] = _Late(time.monotonic(), fetched, size_bytes)
        self.held_bytes += size_bytes
        if self._timer is None:
            self._look_again_in(LATE_S)

    def take(self, asked: Asked) -> Fetched | None:
        """The answer to that question, if there is one; it is kept no more."""
        late = self._answers.pop(asked, None)
        if late is None:
            return None
        self.held_bytes -= late.size_bytes
        return late.fetched if time.monotonic() - late.at < LATE_S else None

    def forget(self, slot: int) -> None:
        """What a client was to be told means nothing any more: it has gone, or looks elsewhere."""
        for asked in [each for each in self._answers if each[2] == slot]:
            self.take(asked)

    def clear(self) -> None:
        """The agent has ended."""
        self._answers.clear()
        self.held_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._drop_old)

    def _drop_old(self) -> None:
        self._timer = None
        end = time.monotonic() - LATE_S
        for asked in [each for each, late in self._answers.items() if late.at <= end]:
            self.take(asked)
        if self._answers:
            self._look_again_in(next(iter(self._answers.values())).at - end)
