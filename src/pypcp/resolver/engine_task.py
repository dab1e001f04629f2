"""One thread per engine: it reads the engine's files when something changed, and nobody ever waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from pypcp.resolver.container import Container
from pypcp.resolver.engines import Engine
from pypcp.resolver.processes import LiveProcess, hold

SETTLING_S = (0.005, 0.2, 1.5)
"""When to look after a change: at once, and again when whatever was being written is written."""
FULL_SCAN_EVERY_S = 60.0
"""In case a change went unheard."""
LATE_AFTER_S = 1.0

Key = tuple[str, str, str, int]


class Findings(NamedTuple):
    """What one scan found. ``live`` holds the verified processes, by :func:`key_of`; no process is two containers'."""

    containers: list[Container]
    live: dict[Key, LiveProcess]
    folders: set[str]


def key_of(container: Container) -> Key:
    """What tells containers of all engines apart."""
    return container.engine, container.space, container.ident, container.owner


class EngineTask:
    """Scans on request, settles, and hands over what it found; ``deliver`` is called in the thread."""

    def __init__(self, engine: Engine, deliver: Callable[[EngineTask, Findings], None]) -> None:
        self.engine = engine
        self._deliver = deliver
        self._wanted = threading.Condition()
        self._due: list[float] = [0.0]
        self._busy_since: float | None = None
        self._live: dict[Key, LiveProcess] = {}
        self._stopped = False

    def start(self) -> threading.Thread:
        """Begin with a scan; the thread ends with the process, or after :meth:`stop`."""
        thread = threading.Thread(target=self._run, name=self.engine.name[:15], daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Scan no more."""
        with self._wanted:
            self._stopped = True
            self._wanted.notify()

    def look_again(self) -> None:
        """Something changed. Returns at once."""
        now = time.monotonic()
        with self._wanted:
            self._due = [now + delay_s for delay_s in SETTLING_S]
            self._wanted.notify()

    def late(self) -> bool:
        """Whether a scan has been going on for so long that the engine's files seem to hang."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > LATE_AFTER_S

    def _run(self) -> None:
        while not self._stopped:
            self._wait()
            if self._stopped:
                return
            self._busy_since = time.monotonic()
            findings = self.scan()
            self._busy_since = None
            self._deliver(self, findings)

    def _wait(self) -> None:
        end = time.monotonic() + FULL_SCAN_EVERY_S
        with self._wanted:
            while not self._stopped and (now := time.monotonic()) < (due := min([*self._due, end])):
                self._wanted.wait(due - now)
            now = time.monotonic()
            self._due = [moment for moment in self._due if moment > now]

    def scan(self) -> Findings:
        """What the engine has now, and the processes that are held for it; called in the thread."""
        containers: list[Container] = []
        live: dict[Key, LiveProcess] = {}
        held: set[int] = set()
        try:
            for container in self.engine.scan():
                key = key_of(container)
                unclaimed = container.pid not in held and key not in live
                process = self._process(container) if container.pid and unclaimed else None
                if process is None:
                    container = container._replace(running=False, paused=False, pid=0)
                else:
                    live[key] = process
                    held.add(process.pid)
                containers.append(container)
            folders = self.engine.folders()
        except BaseException:
            self._let_go(live)
            raise
        self._live = live
        return Findings(containers, live, folders)

    def _let_go(self, found: dict[Key, LiveProcess]) -> None:
        """Of a scan that came to nothing: those that an earlier one handed over are not ours any more."""
        handed_over = set(map(id, self._live.values()))
        for process in found.values():
            if id(process) not in handed_over:
                process.close()

    def _process(self, container: Container) -> LiveProcess | None:
        """The process of the last scan if it is still the one, else a newly verified one."""
        known = self._live.get(key_of(container))
        if known and known.pid == container.pid and known.alive():
            return known
        return hold(container)
