"""One event loop for all that is asynchronous in an agent, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class LoopThread:
    """The loop begins with the first coroutine, and ends for good with :meth:`stop`.

    What runs in it may keep connections and tasks there from one coroutine to the next.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it; whoever waits for it does so in another thread. ``RuntimeError`` after :meth:`stop`."""
        # Most agents have nothing asynchronous, and asyncio is a third of what they would import.
        import asyncio

        with self._lock:
            if self._stopped:
                coroutine.close()
                raise RuntimeError("the agent has been stopped")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), daemon=True, name="agent-background-loop"
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def cancel_all(self, limit_s: float) -> None:
        """End all that runs, and wait for that; ``TimeoutError`` where something will not end."""
        if self._loop is not None:
            self.submit(_cancel_others()).result(limit_s)

    def stop(self, limit_s: float) -> None:
        """End the loop. A coroutine that blocks it is left behind: its thread ends with the process."""
        with self._lock:
            self._stopped = True
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(limit_s)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    import asyncio

    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_cancel_others())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _cancel_others() -> None:
    import asyncio

    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
