"""The processors: the one instance domain that several files describe.

/proc/stat says which there are. The others may name more (a container can have a /proc/stat of its own) or none, so
their values go by the names, not by the order.
"""

from __future__ import annotations

from collections.abc import Sequence

from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom

HELP = "Processors\nThose that are online; an instance's number is the kernel's number of the processor."

LABELS = {"device_type": "cpu", "indom_name": "per cpu"}


def processors(agent: Agent) -> Indom:
    """Declare the instance domain."""
    return agent.indom(0, help_=HELP, labels=LABELS, label_instance=lambda cpu: {"cpu": int(cpu[3:])})


def online(cpus: Indom, names: Sequence[str]) -> None:
    """These (``cpu0``, ``cpu1``, ...) are online now; none means that the file does not say."""
    if names and tuple(names) != cpus.names:
        cpus.replace(names, [int(name[3:]) for name in names])
