"""Single numbers from /proc/sys/kernel. See: proc(5), random(4)."""

from __future__ import annotations

from typing import Final

from pypcp.agents.linux.files import Files, number
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent

NUMBERS: Final = (
    (0, "entropy.avail", "random/entropy_avail", Semantics.INSTANT, "Bits of entropy in the kernel's random numbers"),
    (1, "entropy.poolsize", "random/poolsize", Semantics.INSTANT, "Bits of entropy the kernel's pool can hold"),
    (2, "pid_max", "pid_max", Semantics.DISCRETE, "One more than the largest process id the kernel gives out"),
    (3, "nptys", "pty/nr", Semantics.INSTANT, "Pseudo-terminals in use"),
)
"""Item, name, file, semantics, help."""


def declare(agent: Agent, files: Files) -> None:
    """kernel.all.entropy, kernel.all.pid_max, kernel.all.nptys."""
    for item, name, path, sem, help_ in NUMBERS:
        cluster = agent.cluster(72, files.parsed(f"proc/sys/kernel/{path}", number))
        cluster.metric(f"kernel.all.{name}", item, ValueType.U32, lambda value: value, sem=sem, help_=help_)
