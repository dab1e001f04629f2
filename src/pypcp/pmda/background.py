"""Sources that are read in the background: whatever they take, requests never wait for them.

What was read is handed over and taken by the thread that answers requests, so a snapshot and the instances that follow
from it change together. When they are read, and in which thread, is said in :mod:`pypcp.pmda.lifetime`.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pypcp.errors import PcpError, TryAgain
from pypcp.pmda.metrics import Cluster, Metric, failure_of

_KEEP_PERIODS: Final = 3


class _Delivery(NamedTuple):
    """A snapshot and when it was there (monotonic seconds)."""

    snapshot: Any
    at: float


class BackgroundCluster(Cluster):
    """Metrics of a source that is read every ``every`` seconds.

    The last good snapshot answers for ``keep`` seconds (three periods if not said); after that, and before the first,
    the metrics say why there is none, or "try again". ``timeout`` ends a coroutine that takes longer (``keep`` if not
    said).
    """

    def __init__(
        self,
        domain: int,
        number: int,
        read: Callable[[], Any],
        register: Callable[[Metric], None],
        *,
        every: float,
        timeout: float | None = None,
        keep: float | None = None,
    ) -> None:
        super().__init__(domain, number, read, register)
        for option, seconds in (("every", every), ("timeout", timeout), ("keep", keep)):
            if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
                raise ValueError(f"{option}={seconds!r}: a number of seconds above 0 is needed")
        self.every = every
        self.keep = _KEEP_PERIODS * every if keep is None else keep
        self.timeout = self.keep if timeout is None else timeout
        self.read = read
        self.is_async = inspect.iscoroutinefunction(read)
        self.failed: PcpError | None = None
        self.was_read = threading.Event()
        """Set once it has been read, or could not be."""
        self._delivered: _Delivery | None = None
        self._taken: _Delivery | None = None

    def refresh(self, moment: object = None) -> None:
        """Take what the background has delivered, if it is new; judge whether it is still good."""
        delivered = self._delivered
        if delivered is None:
            self.failure = self.failed or TryAgain(f"{self} has not been read yet")
        elif time.monotonic() - delivered.at > self.keep:
            self.failure = self.failed or TryAgain(f"{self}: the last values are too old")
        elif delivered is not self._taken or self.failure is not None:
            self._taken = delivered
            self._take(delivered.snapshot)

    def read_now(self) -> None:
        """Read once, here, however long it takes, what is no coroutine."""
        try:
            snapshot = self.read()
        except Exception as error:  # noqa: BLE001 - the author's code
            self._note(error)
        else:
            self._deliver(snapshot)

    async def read_async(self) -> None:
        """Read once, in the running loop."""
        import asyncio

        try:
            async with asyncio.timeout(self.timeout) as limit:
                snapshot = await self.read()
        except TimeoutError as error:
            # How asyncio ended it tells the author nothing; that it was our limit does.
            self._note(TimeoutError(f"it took longer than {self.timeout:g} s") if limit.expired() else error)
        except Exception as error:  # noqa: BLE001 - the author's code
            self._note(error)
        else:
            self._deliver(snapshot)

    def _deliver(self, snapshot: Any) -> None:
        self.failed = None
        self._delivered = _Delivery(snapshot, time.monotonic())
        self.was_read.set()

    def _note(self, error: Exception) -> None:
        self.is_broken = not isinstance(error, PcpError)
        if self.is_broken:
            self.complaints.failed(f"{self} in the background", error)
        self.failed = failure_of(error)
        self.was_read.set()
