"""Wait for many descriptors at once and be called back. The smallest loop that does: epoll, a heap of timers."""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable
from typing import Final

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
HANGUP: Final = 0
"""Watch for nothing but the end of the other side, which epoll reports in any case."""

Ready = Callable[[int], None]


class Timer:
    """One call that is due later; ``cancel()`` makes it none."""

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due = due
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """It will not be called. Twice is as good as once."""
        self.action = None

    def __lt__(self, other: Timer) -> bool:
        return self.due < other.due


class Loop:
    """One thread's event loop. Callbacks get the epoll events; none may wait for anything."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}
        self._timers: list[Timer] = []
        self._running = False

    def watch(self, fd: int, events: int, ready: Ready) -> None:
        """Call ``ready(events)`` whenever ``fd`` is; a descriptor watched already gets the new events and callback."""
        if fd in self._ready:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._ready[fd] = ready

    def forget(self, fd: int) -> None:
        """No more calls for ``fd``. To be called before it is closed; unknown ones are none."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Call ``action`` once, after ``delay_s`` seconds."""
        timer = Timer(time.monotonic() + delay_s, action)
        heapq.heappush(self._timers, timer)
        return timer

    def run(self) -> None:
        """Until :meth:`stop`."""
        self._running = True
        while self._running:
            for fd, events in self._epoll.poll(self._patience()):
                ready = self._ready.get(fd)  # an earlier callback of this round may have ended it
                if ready is not None:
                    ready(events)
            self._call_due()

    def close(self) -> None:
        """Watch nothing any more, for good."""
        self._epoll.close()

    def stop(self) -> None:
        """Return from :meth:`run` after the callbacks of this round."""
        self._running = False

    def _patience(self) -> float:
        while self._timers and self._timers[0].action is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].due - time.monotonic()) + 0.001 if self._timers else -1

    def _call_due(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0].due <= now:
            action = heapq.heappop(self._timers).action
            if action is not None:
                action()
