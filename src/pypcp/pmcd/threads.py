"""Calls that may hang, each in a thread of its own that nobody has to wait for.

asyncio's threads will not do: they are few, and both the loop and the interpreter end only after the last of them. One
file on a disk that is gone would keep the daemon from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> asyncio.Future[T]:
    """What ``call`` gives or raises. Giving up the future leaves the thread to itself; it ends with the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle: Callable[[], None] = partial(future.set_result, call(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            settle = partial(future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(lambda: None if future.done() else settle())

    threading.Thread(target=run, daemon=True, name="pmcd").start()
    return future


class LimitedThreads:
    """At most ``at_once`` calls of one kind: strangers who ask for many wait for each other, and for nobody else."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def call(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What the call gives or raises, when it is its turn.

        Who goes away gives up his turn while he waits for it, but no thread: that one counts until it has done.
        """
        await self._free.acquire()
        working = in_thread(call, *arguments, **named)
        working.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(working)
