"""Ready and not ready: an agent that says so is not asked before it takes that back. See: pmdaSendError(3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Readiness:
    """Whether an agent is to be asked now; any thread may change and ask it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons = 0
        self._listeners: list[Callable[[], None]] = []

    @property
    def ready(self) -> bool:
        """Is there nothing left to wait for?"""
        return self._reasons == 0

    @contextmanager
    def not_ready(self) -> Iterator[None]:
        """Not ready within the ``with`` block; several blocks may be open at once, the last one ends it."""
        with self._lock:
            self._reasons += 1
        try:
            yield
        finally:
            with self._lock:
                self._reasons -= 1
                listeners = [] if self._reasons else list(self._listeners)
            for tell in listeners:
                tell()

    def on_ready(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called whenever the agent has become ready, in the thread that made it so."""
        self._listeners.append(tell)
