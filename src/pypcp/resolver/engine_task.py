"""One thread per engine: it reads the engine's files when something changed, and nobody ever waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from pypcp.resolver.container import Container
from pypcp.resolver.engines import Engine
from pypcp.resolver.ground_watch import Ground
from pypcp.resolver.processes import LiveProcess, hold

SETTLING_S = (0.005, 0.2, 1.5)
"""When to look after a change: at once, and again when whatever was being written is written."""
LOOK_LATER_S = 1.0
"""When to look after a change that is probably none of ours."""
TRY_AGAIN_S = 2.0
"""Where directories did not answer when the doors were closed."""
LATE_AFTER_S = 1.0
REST, LONGEST_REST_S = 9.0, 5.0
"""Nine parts of rest after each part of work: whoever changes his files all the time has a tenth of a processor."""

Key = tuple[str, str, str, int]


class Watching(Protocol):
    """Whoever hears of changes in directories."""

    @property
    def watched(self) -> set[str]:
        """The directories that are watched."""

    def watch(self, path: str) -> bool:
        """Watch a directory from now on; False where it cannot be. May wait for the file system."""


class Findings(NamedTuple):
    """What one scan found. ``live`` holds the verified processes, by :func:`key_of`; no process is two containers'."""

    containers: list[Container]
    live: dict[Key, LiveProcess]
    outgrown: bool = False
    """Whether there is state that our confinement shuts us out from."""


def key_of(container: Container) -> Key:
    """What tells containers of all engines apart."""
    return container.engine, container.space, container.ident, container.owner


class EngineTask:
    """Scans on request, settles, and hands over what it found; all that may wait for the disk is done in its thread.

    ``deliver`` is called in the thread: with findings, or with None when a fault of ours ended the thread.
    """

    def __init__(
        self,
        engine: Engine,
        ground: Ground,
        watching: Watching,
        deliver: Callable[[EngineTask, Findings | None], None],
    ) -> None:
        self.engine = engine
        self.folders: frozenset[str] = frozenset()
        """Whose changes call for :meth:`look_again`."""
        self.neighbourhood: frozenset[str] = frozenset()
        """Whose changes call for :meth:`look_later`: where directories of the engine's would appear."""
        self._ground = ground
        self._watching = watching
        self._deliver = deliver
        self._rested = 0.0
        self._wanted = threading.Condition()
        self._due: list[float] = [0.0]
        self._busy_since: float | None = None
        self._live: dict[Key, LiveProcess] = {}
        self._stopped = False

    def start(self) -> threading.Thread:
        """Begin with a scan; the thread ends with the process, or after :meth:`stop`. May be called after it failed."""
        self._due = [0.0]
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

    def look_later(self) -> None:
        """Something changed near by, where much else may go on. Returns at once."""
        with self._wanted:
            if not self._due:
                self._due = [time.monotonic() + LOOK_LATER_S]
                self._wanted.notify()

    def late(self) -> bool:
        """Whether a scan has been going on for so long that the engine's files seem to hang."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > LATE_AFTER_S

    def _run(self) -> None:
        try:
            while True:
                self._wait()
                if self._stopped:
                    return
                self._busy_since = begun = time.monotonic()
                findings = self.scan()
                self._watch()
                self._busy_since = None
                now = time.monotonic()
                self._rested = now + min(REST * (now - begun), LONGEST_REST_S)
                self._deliver(self, findings)
        finally:
            self._busy_since = None
            if not self._stopped:
                self._deliver(self, None)

    def _wait(self) -> None:
        again_s = min(self.engine.again_s, TRY_AGAIN_S) if self._ground.shut_out else self.engine.again_s
        end = time.monotonic() + again_s
        with self._wanted:
            while not self._stopped:
                now, due = time.monotonic(), max(min([*self._due, end]), self._rested)
                if due <= now:
                    break
                self._wanted.wait(due - now)
            now = time.monotonic()
            self._due = [moment for moment in self._due if moment > now]

    def _watch(self) -> None:
        """Watch what the scan asked for; what was not watched before is looked at once more."""
        self.folders = frozenset(self.engine.folders())
        self.neighbourhood = frozenset(self._ground.watched())
        fresh = [folder for folder in self.folders - self._watching.watched if self._watching.watch(folder)]
        for folder in self.neighbourhood - self._watching.watched:
            self._watching.watch(folder)
        if fresh:
            self.look_again()

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
                if process:
                    live[key] = process
                    held.add(process.pid)
                elif container.running or container.paused or container.pid:
                    container = container._replace(running=False, paused=False, pid=0)
                containers.append(container)
            outgrown = self._ground.outgrown()
        except BaseException:
            self._let_go(live)
            raise
        self._live = live
        return Findings(containers, live, outgrown)

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
