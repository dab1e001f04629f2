"""/proc/uptime. See: proc(5)."""

from __future__ import annotations

from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.units import SEC
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent

IDLE_HELP: Final = """Time without work since boot, over all processors
With several processors this grows faster than the uptime."""


def parse_uptime(text: bytes) -> tuple[float | None, float | None]:
    """Seconds since boot, seconds idle; ``ValueError`` unless the text is empty or has both."""
    if not text:
        return None, None
    up, idle = text.split()
    return float(up), float(idle)


def declare(agent: Agent, files: Files) -> None:
    """kernel.all.uptime, kernel.all.idletime."""
    uptime = agent.cluster(26, files.parsed("proc/uptime", parse_uptime))
    double = ValueType.DOUBLE
    uptime.metric("kernel.all.uptime", 0, double, lambda times: times[0], units=SEC, help_="Time since boot")
    uptime.metric("kernel.all.idletime", 1, double, lambda times: times[1], units=SEC, help_=IDLE_HELP)
