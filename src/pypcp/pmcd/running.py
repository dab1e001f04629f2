"""From options to a running daemon: the event loop, the signals, the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from typing import Final

from pypcp.errors import BadArgument
from pypcp.ipc.listeners import Listeners
from pypcp.ipc.notify import Notifier
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.descriptors import raise_limit
from pypcp.pmcd.garbage import Garbage

log = logging.getLogger(__name__)

LOOPS: Final = ("auto", "asyncio", "uvloop")


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop by name; ``auto`` is uvloop where it is installed. ``BadArgument`` for uvloop where it is not."""
    if name != "asyncio":
        try:
            import uvloop
        except ImportError:
            if name == "uvloop":
                raise BadArgument("uvloop is not installed; pip install 'pypcp[fast]', or use --loop asyncio") from None
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


def run(daemon: Daemon, listeners: Listeners, loop: str, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is called when clients can come.

    SIGHUP reloads; systemd is told of the start, the end, and, where it watches, that the loop turns. See: pmcd(1)
    """
    raise_limit()
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(_serve(daemon, listeners, ready))


async def _serve(daemon: Daemon, listeners: Listeners, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    running = asyncio.get_running_loop()

    def caught(number: signal.Signals) -> None:
        log.info("pmcd caught %s", number.name)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, caught, number)
    running.add_signal_handler(signal.SIGHUP, daemon.reloads.tell)
    notifier = Notifier()

    def tell() -> None:
        tidy.callback(Garbage().close)
        ready()
        notifier.ready()

    watched = running.create_task(_show_life(notifier))
    with listeners, contextlib.ExitStack() as tidy:
        try:
            await daemon.serve(listeners.sockets, tell, stop)
        finally:
            watched.cancel()
            notifier.stopping()
            log.info("pmcd Shutdown")


async def _show_life(notifier: Notifier) -> None:
    """Tell a watchdog, if there is one, twice as often as it wants to hear."""
    while interval_s := notifier.watchdog_interval_s:
        notifier.watchdog()
        await asyncio.sleep(interval_s / 2)
