"""What the daemon tells about itself: the agent of domain 2, names and numbers as stock's. See: pmcd(1)."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pypcp import __version__
from pypcp.model.units import KBYTE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.metrics import Cluster

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

DOMAIN = 2
DISCRETE = Semantics.DISCRETE


def self_agent(daemon: Daemon) -> Agent:
    """The agent that answers for ``daemon``."""
    agent = Agent("pmcd", DOMAIN, help_="The collector itself: its clients, its agents, its work.")
    _declare_state(agent.cluster(0), daemon)
    return agent


def _declare_state(state: Cluster, daemon: Daemon) -> None:
    state.metric(
        "pmcd.datasize",
        1,
        ValueType.U32,
        lambda _: _data_segment_kbytes(),
        units=KBYTE,
        help_="Memory of the daemon's data segment\nPrivate, writable memory of the process that answers clients.",
    )
    state.metric(
        "pmcd.numagents",
        2,
        ValueType.U32,
        lambda _: len(daemon.router.routes),
        help_="Agents that answer\nAgents of the running configuration that can be asked now.",
    )
    state.metric(
        "pmcd.numclients",
        3,
        ValueType.U32,
        lambda _: len(daemon.clients),
        help_="Connected clients\nClients with an open connection, whoever asks included.",
    )
    state.metric(
        "pmcd.timezone",
        5,
        ValueType.STRING,
        lambda _: timezone(),
        sem=DISCRETE,
        help_="The host's time zone\nAs a value for $TZ, so that others can show times as this host would.",
    )
    state.metric(
        "pmcd.version",
        7,
        ValueType.STRING,
        lambda _: __version__,
        sem=DISCRETE,
        help_="Version of the daemon\nThe version of pypcp that is running.",
    )
    state.metric(
        "pmcd.hostname",
        21,
        ValueType.STRING,
        lambda _: daemon.options.hostname or socket.gethostname(),
        sem=DISCRETE,
        help_="Name of the host\nThe name under which this host's metrics are known.",
    )
    state.metric(
        "pmcd.pid",
        23,
        ValueType.U64,
        lambda _: os.getpid(),
        sem=DISCRETE,
        help_="Process id of the daemon\nChanges when the daemon was started anew.",
    )
    state.metric(
        "pmcd.seqnum",
        24,
        ValueType.U32,
        lambda _: daemon.statistics.seqnum,
        sem=DISCRETE,
        help_="Counts changes of the agents\nOne more each time an agent was started, from 1.",
    )


def _data_segment_kbytes() -> int:
    # The sixth field of statm is the data segment in pages; it is there on every Linux since 2.6.
    pages = int(Path("/proc/self/statm").read_bytes().split()[5])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 10


def timezone() -> str:
    """The host's time zone as a value of ``$TZ``: the variable itself, or name and offset of the local time."""
    if (configured := os.environ.get("TZ")) is not None:
        return configured
    local = time.localtime()
    west = -(local.tm_gmtoff or 0)
    if west == 0:
        return local.tm_zone or "UTC"
    hours, minutes = divmod(abs(west) // 60, 60)
    sign = "-" if west < 0 else ""
    return f"{local.tm_zone}{sign}{hours}" + (f":{minutes:02}" if minutes else "")
