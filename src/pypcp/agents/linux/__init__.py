"""The kernel's own metrics, from /proc and /sys: domain 60, names and numbers as stock's pmdalinux(1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from pypcp.agents.linux import (
    buddyinfo,
    diskstats,
    interrupts,
    ksm,
    loadavg,
    meminfo,
    netaddr,
    netdev,
    numa,
    pressure,
    sockstat,
    softirqs,
    stat,
    swaps,
    sysctl,
    uname,
    uptime,
    utmp,
    vfs,
    vmstat,
    volumes,
    zoneinfo,
)
from pypcp.agents.linux.devices import block_devices
from pypcp.agents.linux.files import Files
from pypcp.agents.linux.processors import processors
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom

DOMAIN: Final = 60

OF_CONTAINERS: Final = (
    *("network.", "hinv.ninterface"),
    *("kernel.uname.", "pmda.uname"),
    *("filesys.", "tmpfs.", "hinv.nfilesys"),
)
"""What name spaces give each container of its own: its network, its name, its file systems."""

BY_PROCESSOR: Final[tuple[Callable[[Agent, Files, Indom], None], ...]] = (
    stat.declare,
    interrupts.declare,
    softirqs.declare,
    numa.declare,
)
"""One for each source that tells something of each processor."""

DECLARATIONS: Final[tuple[Callable[[Agent, Files], None], ...]] = (
    loadavg.declare,
    uptime.declare,
    utmp.declare,
    pressure.declare,
    sysctl.declare,
    uname.declare,
    meminfo.declare,
    vmstat.declare,
    buddyinfo.declare,
    zoneinfo.declare,
    ksm.declare,
    netdev.declare,
    netaddr.declare,
    sockstat.declare,
    swaps.declare,
    vfs.declare,
)
"""One for each other source: it declares what the source gives."""


def linux_agent(root: Path = Path("/"), state: Path | None = None) -> Agent:
    """The agent for the system whose /proc, /sys and /etc are below ``root``.

    ``state``: the directory where the ids of disks, interfaces and interrupts are remembered over restarts.
    """
    agent = Agent("linux", DOMAIN, help_="The Linux kernel: processors, memory, disks, networks.", state=state)
    files = Files(root)
    cpus = processors(agent)
    for declare_by_processor in BY_PROCESSOR:
        declare_by_processor(agent, files, cpus)
    devices = block_devices(agent, files)
    diskstats.declare(agent, files, devices)
    volumes.declare(agent, files, devices)
    for declare in DECLARATIONS:
        declare(agent, files)
    names = [name for name in agent.traverse("") if name.startswith(OF_CONTAINERS)]
    agent.of_containers = frozenset(agent.lookup_name(name) for name in names)
    return agent
