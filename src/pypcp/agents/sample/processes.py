"""proc: instances that come and go as processes do."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from itertools import count
from typing import Final

from pypcp.agents.sample.bench import Bench
from pypcp.model.units import MSEC
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda import I32

_FIRST: Final = ("init", "/etc/bozo", "/usr/bin/bobo", "/usr/local/jester")
"""Those that never end."""
_MORE: Final = 15
_CHANCE: Final = 0.075
_HIGHEST: Final = 1000
_TOPS, _FOLDERS, _PROGRAMS = ("/opt", "/usr", "/home"), ("bin", "games", "tools"), ("clown", "juggler", "mime")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that there is not."""

    ordinal: int
    name: str
    begun: float

    @property
    def executable(self) -> str:
        """What it runs; its whole name where that has no folder."""
        return self.name.rpartition("/")[2]


class Processes:
    """The processes at present; from one fetch to the next some end and some begin."""

    def __init__(self, bench: Bench) -> None:
        self._agent = bench.agent
        self.indom = bench.indom(12, "Processes\nThe first four stay, the others come and go.")
        self.reset()

    def reset(self) -> None:
        """Only the first are there, as in the beginning; they are to be seen from the next fetch on."""
        self.running: dict[int, Process] = {}
        self._ordinals, self._pids = count(1), count(1)
        self._at = self._agent.fetches
        self.indom.replace((), ())

    def now(self) -> list[Process]:
        """Those of the fetch at hand."""
        if not self.running:
            for path in _FIRST:
                self._begin(path)
        elif self._at != self._agent.fetches:
            self._move()
        self._at = self._agent.fetches
        self.indom.replace([process.name for process in self.running.values()], self.running)
        return list(self.running.values())

    def _move(self) -> None:
        for pid in [pid for pid in self.running if pid > len(_FIRST) and random.random() < _CHANCE]:
            del self.running[pid]
        for _ in range(_MORE + len(_FIRST) - len(self.running)):
            if random.random() < _CHANCE:
                self._begin("/".join(map(random.choice, (_TOPS, _FOLDERS, _PROGRAMS))))

    def _begin(self, path: str) -> None:
        numbers = (1 + (number - 1) % _HIGHEST for number in self._pids)
        pid = next(number for number in numbers if number not in self.running)
        self.running[pid] = Process(next(self._ordinals), f"{pid:04d} {path}", time.monotonic())


def declare(bench: Bench) -> None:
    """Declare them."""
    agent, processes = bench.agent, Processes(bench)
    add, indom = bench.metrics.metric, processes.indom

    def age_ms(process: Process) -> int:
        return int((time.monotonic() - process.begun) * 1000)

    add(
        "sample.proc.ordinal",
        156,
        ValueType.U32,
        lambda _: [process.ordinal for process in processes.now()],
        indom=indom,
        help_="How many processes there had been, this one included",
    )
    add(
        "sample.proc.exec",
        157,
        ValueType.STRING,
        lambda _: [process.executable for process in processes.now()],
        indom=indom,
        help_="What each process runs",
    )
    add(
        "sample.proc.time",
        158,
        ValueType.U64,
        lambda _: [age_ms(process) for process in processes.now()],
        indom=indom,
        sem=Semantics.COUNTER,
        units=MSEC,
        help_="How long each process has been running",
    )

    @agent.metric("sample.proc.reset", item=159)
    def reset() -> I32:
        """Whatever is stored, the processes are those of the beginning again"""
        return 0

    bench.on_store(reset, lambda value: processes.reset())
