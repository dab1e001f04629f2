"""When the garbage collector looks through everything: seldom, and never in the middle of a busy second.

Nothing on the way of a request is a cycle, so objects go when the last reference does. What the interpreter would do
unasked, a full collection whenever the number of objects has grown by a quarter, takes a tenth of a second where long
fetch lists are held, and a client can ask for it as often as it likes.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Any, Final

EVERY_S: Final = 60.0
_YOUNG: Final = (700, 10)
_NEVER: Final = 1 << 30
_ENOUGH: Final = 50
"""Collections of younger objects after which a full one is due; an idle daemon makes none and is not woken."""


class Garbage:
    """Takes full collections over from the interpreter, from its making until :meth:`close`."""

    def __init__(self, every_s: float = EVERY_S, enough: int = _ENOUGH) -> None:
        self._every_s = every_s
        self._enough = enough
        self._loop = asyncio.get_running_loop()
        self._before = gc.get_threshold()
        self._seen = 0
        self._timer: asyncio.TimerHandle | None = None
        # What is there now stays, and need not be looked through again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_YOUNG, _NEVER)
        gc.callbacks.append(self._notice)

    def close(self) -> None:
        """Leave it to the interpreter again."""
        gc.callbacks.remove(self._notice)
        gc.set_threshold(*self._before)
        gc.unfreeze()
        if self._timer is not None:
            self._timer.cancel()

    def _notice(self, phase: str, info: dict[str, Any]) -> None:
        # Called in whichever thread allocates.
        if phase == "stop" and info["generation"] == 1:
            self._seen += 1
            if self._seen == self._enough:
                self._loop.call_soon_threadsafe(self._wait)

    def _wait(self) -> None:
        self._timer = self._loop.call_later(self._every_s, self._collect)

    def _collect(self) -> None:
        gc.collect()
        self._timer = None
        self._seen = 0
