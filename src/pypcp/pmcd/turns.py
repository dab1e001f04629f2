"""Turns: what takes long is done in slices, and in each round of the event loop one slice of all that wait is done.

So whoever asks for much waits for others who ask for much, and a short request waits for one slice at most.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_LONG_AT_ONCE: Final = 8
_HUGE: Final = 4096
_SLICE_S: Final = 0.001


class Turns:
    """Who waits for a turn, first come first served.

    What long work holds while it waits is memory, so only so much of it is under way: see :meth:`room_for`.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._long = asyncio.Semaphore(_LONG_AT_ONCE)
        self._huge = asyncio.Semaphore(1)

    def room_for(self, metrics: int) -> asyncio.Semaphore:
        """What a fetch of so many metrics holds while it is worked on.

        Those of a whole name space do not wait for those that no honest client has a use for.
        """
        return self._huge if metrics > _HUGE else self._long

    def ask(self, slice_: Callable[[], None]) -> None:
        """Have ``slice_`` called when its turn comes, in a later round of the loop."""
        self._waiting.append(slice_)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        slice_ = self._waiting[0]
        try:
            slice_()
        finally:
            self._waiting.popleft()
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._next)

    async def share(self, began: float) -> float:
        """Wait for a turn, where the slice that ``began`` then was as long as one shall be; when the next one began.

        By ``time.perf_counter``. A round of the loop costs as much as a good part of a slice: fewer are better.
        """
        if time.perf_counter() - began < _SLICE_S:
            return began
        await self.turn()
        return time.perf_counter()

    async def turn(self) -> None:
        """Wait for a turn; what follows, up to the next wait, is the slice."""
        come = asyncio.get_running_loop().create_future()
        self.ask(lambda: None if come.done() else come.set_result(None))
        await come
