"""Sources that are read in the background: whatever they take, requests never wait for them.

A source that is a coroutine runs in one event loop for all of them, in a thread of its own; a plain function has a
thread to itself, so one that blocks holds up nobody else. What was read is handed over and taken by the thread that
answers requests, so a snapshot and the instances that follow from it change together.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pypcp.errors import PcpError, TryAgain
from pypcp.pmda.metrics import Cluster, Metric, failure_of, log_failure
from pypcp.pmda.readiness import Readiness

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger(__name__)

_KEEP_PERIODS: Final = 3
_STOP_LIMIT_S: Final = 2.0


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
        self.every = every
        self.keep = _KEEP_PERIODS * every if keep is None else keep
        self.timeout = self.keep if timeout is None else timeout
        self.read = read
        self.is_async = inspect.iscoroutinefunction(read)
        self.failed: PcpError | None = None
        self._delivered: _Delivery | None = None
        self._taken: _Delivery | None = None

    def refresh(self, moment: object = None) -> None:
        """Take what the background has delivered, if it is new; judge whether it is still good."""
        delivered = self._delivered
        if delivered is None:
            self.failure = self.failed or TryAgain(f"cluster {self.domain}.{self.number} has not been read yet")
        elif time.monotonic() - delivered.at > self.keep:
            self.failure = self.failed or TryAgain(f"cluster {self.domain}.{self.number}: the last values are too old")
        elif delivered is not self._taken or self.failure is not None:
            self._taken = delivered
            try:
                self._take(delivered.snapshot)
            except Exception as error:  # noqa: BLE001 - the author's code: it costs these metrics only
                self._fail(error)

    def read_now(self) -> None:
        """Read once, here, however long it takes."""
        if self.is_async:
            _run_to_end(self.read_async())
            return
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
            async with asyncio.timeout(self.timeout):
                snapshot = await self.read()
        except Exception as error:  # noqa: BLE001 - the author's code
            self._note(error)
        else:
            self._deliver(snapshot)

    def _deliver(self, snapshot: Any) -> None:
        self.failed = None
        self._delivered = _Delivery(snapshot, time.monotonic())

    def _note(self, error: Exception) -> None:
        if self.failed is None:
            log_failure(error, f"cluster {self.domain}.{self.number} in the background")
        self.failed = failure_of(error)


class Background:
    """The threads of an agent's background sources, from :meth:`start` to :meth:`stop`."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, clusters: Iterable[BackgroundCluster]) -> None:
        """Begin reading."""
        self._stopping.clear()
        coroutines = []
        for cluster in clusters:
            if cluster.is_async:
                coroutines.append(_repeat(cluster))
            else:
                self._in_thread(lambda cluster=cluster: self._repeat_here(cluster))  # type: ignore[misc]
        if coroutines:
            import asyncio

            self._loop = asyncio.new_event_loop()
            self._in_thread(lambda: self._run_loop(coroutines))

    def run_before_ready(self, function: Callable[[], Any], readiness: Readiness) -> None:
        """Have a function or coroutine function run once, in a thread of its own; until then the agent is not ready."""
        begun = threading.Event()

        def run() -> None:
            with readiness.not_ready():
                begun.set()
                try:
                    _run_to_end(function()) if inspect.iscoroutinefunction(function) else function()
                except Exception as error:
                    log.exception("the agent's startup failed: %s", error)

        self._in_thread(run)
        begun.wait()

    def stop(self) -> None:
        """Stop reading. A function that blocks just now is left behind: its thread ends with the process."""
        self._stopping.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
        deadline = time.monotonic() + _STOP_LIMIT_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads.clear()
        self._loop = None

    def _in_thread(self, target: Callable[[], Any]) -> None:
        thread = threading.Thread(target=target, daemon=True, name="agent-background")
        self._threads.append(thread)
        thread.start()

    def _repeat_here(self, cluster: BackgroundCluster) -> None:
        begun = time.monotonic()
        while not self._stopping.is_set():
            cluster.read_now()
            self._stopping.wait(_pause(begun, cluster.every))

    def _run_loop(self, coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
        import asyncio

        loop = self._loop
        assert loop is not None
        asyncio.set_event_loop(loop)
        tasks = [loop.create_task(each) for each in coroutines]
        try:
            loop.run_forever()
        finally:
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


async def _repeat(cluster: BackgroundCluster) -> None:
    import asyncio

    begun = time.monotonic()
    while True:
        await cluster.read_async()
        await asyncio.sleep(_pause(begun, cluster.every))


def _run_to_end(coroutine: Coroutine[Any, Any, None]) -> None:
    # Most agents have nothing asynchronous, and asyncio is a third of what they would import.
    import asyncio

    asyncio.run(coroutine)


def _pause(begun: float, every: float) -> float:
    """Seconds to the next full period: the rhythm stays, however long a reading takes."""
    return every - (time.monotonic() - begun) % every
