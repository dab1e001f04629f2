"""/proc/loadavg: the load, threads that run, the latest process. See: proc(5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent

AVERAGES: Final = {1: "1 minute", 5: "5 minute", 15: "15 minute"}

LOAD_HELP: Final = """Threads that ran, were ready to, or waited for a disk: averages
Over one, five and fifteen minutes, each fading out exponentially."""


@dataclass(slots=True)
class LoadAverage:
    """The file; None where it is empty."""

    averages: list[float] | None = None
    runnable: int | None = None
    threads: int | None = None
    last_pid: int | None = None


def parse_loadavg(text: bytes) -> LoadAverage:
    """``ValueError`` unless the text is empty or has all five fields."""
    if not text:
        return LoadAverage()
    one, five, fifteen, running, last_pid = text.split()
    runnable, threads = running.split(b"/")
    return LoadAverage([float(one), float(five), float(fifteen)], int(runnable), int(threads), int(last_pid))


def declare(agent: Agent, files: Files) -> None:
    """kernel.all.load and what the kernel tells with it."""
    averages = agent.indom(2, fixed=AVERAGES, help_="The times over which the load is averaged")
    load = agent.cluster(2, files.parsed("proc/loadavg", parse_loadavg))
    load.metric("kernel.all.load", 0, ValueType.FLOAT, lambda now: now.averages, indom=averages, help_=LOAD_HELP)
    u32 = ValueType.U32
    load.metric("kernel.all.lastpid", 1, u32, lambda now: now.last_pid, help_="The process id given out last")
    load.metric("kernel.all.runnable", 2, u32, lambda now: now.runnable, help_="Threads that run or are ready to run")
    load.metric("kernel.all.nprocs", 3, u32, lambda now: now.threads, help_="Processes and threads there are now")
