"""What an agent does besides answering, from its start to its stop: startup, reading in the background, shutdown."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from pypcp.pmda.background import BackgroundCluster
from pypcp.pmda.loop_thread import LoopThread
from pypcp.pmda.readiness import Readiness

log = logging.getLogger(__name__)

SHUTDOWN_LIMIT_S: Final = 2.0
_STOP_LIMIT_S: Final = 2.0

Hook = Callable[[], Any]
"""A function, or a coroutine function."""


class Lifetime:
    """The threads of an agent: all that is asynchronous shares one event loop, a function that reads has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._loop = LoopThread()
        self._started = threading.Event()

    def start(self, startup: Sequence[Hook], clusters: Iterable[BackgroundCluster], readiness: Readiness) -> None:
        """Run ``startup`` in order to its end, then begin reading. Until then the agent is not ready.

        Returns at once. What fails is in the log, and keeps neither the rest from running nor the agent from answering.
        """
        self._stopping.clear()
        self._started.clear()
        if not startup:
            self._begin(clusters)
            return
        waiting = threading.Event()

        def run() -> None:
            with readiness.not_ready():
                waiting.set()
                for function in startup:
                    self._run_logged(function)
            self._begin(clusters)

        self._in_thread(run)
        waiting.wait()

    def wait_until_read(self, clusters: Iterable[BackgroundCluster], limit_s: float) -> None:
        """Wait until the startup has ended and each source has been read once, well or not, but no longer."""
        deadline = time.monotonic() + limit_s
        self._started.wait(limit_s)
        for cluster in clusters:
            cluster.was_read.wait(max(0.0, deadline - time.monotonic()))

    def _run_logged(self, function: Hook) -> None:
        if self._stopping.is_set():
            return
        try:
            self.run(function)
        except Exception as error:
            if not self._stopping.is_set():
                log.exception("the agent's startup failed: %s", error)

    def run(self, function: Hook, limit_s: float | None = None) -> None:
        """Call it here, or have the loop run it to its end within the limit. What it raises is raised."""
        if inspect.iscoroutinefunction(function):
            self._loop.submit(function()).result(limit_s)
        else:
            function()

    def read(self, clusters: Iterable[BackgroundCluster]) -> None:
        """Read each source once, however long it takes."""
        for cluster in clusters:
            if cluster.is_async:
                self._loop.submit(cluster.read_async()).result()
            else:
                cluster.read_now()

    def stop_reading(self) -> None:
        """End startup and reading. A function that blocks just now is left behind: its thread ends with the process."""
        with self._lock:
            self._stopping.set()
            threads, self._threads = self._threads, []
        deadline = time.monotonic() + _STOP_LIMIT_S
        try:
            self._loop.cancel_all(_STOP_LIMIT_S)
        except TimeoutError:
            log.warning("a coroutine of the agent does not end")
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def end(self) -> None:
        """End the loop, after all that had to be run in it."""
        self._loop.stop(_STOP_LIMIT_S)
        self._loop = LoopThread()

    def _begin(self, clusters: Iterable[BackgroundCluster]) -> None:
        self._started.set()
        for cluster in clusters:
            if cluster.is_async:
                self._begin_async(cluster)
            else:
                self._in_thread(lambda cluster=cluster: self._repeat(cluster))  # type: ignore[misc]

    def _begin_async(self, cluster: BackgroundCluster) -> None:
        with self._lock:
            if not self._stopping.is_set():
                self._loop.submit(_repeat_async(cluster))

    def _in_thread(self, target: Hook) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            thread = threading.Thread(target=target, daemon=True, name="agent-background")
            self._threads.append(thread)
            thread.start()

    def _repeat(self, cluster: BackgroundCluster) -> None:
        begun = time.monotonic()
        while not self._stopping.is_set():
            cluster.read_now()
            self._stopping.wait(_pause(begun, cluster.every))


async def _repeat_async(cluster: BackgroundCluster) -> None:
    import asyncio

    begun = time.monotonic()
    while True:
        await cluster.read_async()
        await asyncio.sleep(_pause(begun, cluster.every))


def _pause(begun: float, every: float) -> float:
    """Seconds to the next full period: the rhythm stays, however long a reading takes."""
    return every - (time.monotonic() - begun) % every
