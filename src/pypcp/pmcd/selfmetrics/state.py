"""Clusters 0: what the daemon is and how it does. Its switches are in :mod:`pypcp.pmcd.selfmetrics.control`."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pypcp import __version__
from pypcp.model.units import COUNT, KBYTE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmcd.selfmetrics.permitted import by_root
from pypcp.pmcd.selfmetrics.zone import timezone, zoneinfo
from pypcp.pmda.agent import Agent
from pypcp.pmda.metrics import Cluster

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

U32, STRING = ValueType.U32, ValueType.STRING
DISCRETE, INSTANT = Semantics.DISCRETE, Semantics.INSTANT

_BUFFER_SIZES: Final = {12: "0012", 20: "0020", 1024: "1024", 2048: "2048", 4196: "4196", 8192: "8192", 8193: "8192+"}


def declare(agent: Agent, daemon: Daemon) -> None:
    """Declare the metrics."""
    cluster = agent.cluster(0)
    _declare_host(cluster, daemon)
    _declare_process(cluster, daemon)
    _declare_population(cluster, daemon)
    _declare_buffers(agent, cluster)


def _declare_host(cluster: Cluster, daemon: Daemon) -> None:
    def text(name: str, item: int, read: Callable[[], str], help_: str, sem: Semantics = DISCRETE) -> None:
        cluster.metric(name, item, STRING, lambda _: read(), sem=sem, help_=help_)

    text(
        "pmcd.timezone",
        5,
        timezone,
        "The host's time zone\nAs a value for $TZ, so that others can show times as this host would.",
    )
    text(
        "pmcd.zoneinfo",
        26,
        zoneinfo,
        "The host's time zone by name\nThe name of its tzfile(5) after a colon, as $TZ takes it "
        "(:Australia/Melbourne); empty where it cannot be told.",
    )
    text(
        "pmcd.simabi",
        6,
        platform.machine,
        "Architecture of the daemon\nThe machine's name as uname(2) gives it: for what processor programs are built.",
    )
    cluster.metric(
        "pmcd.hostname",
        21,
        STRING,
        lambda _, client: daemon.hostname_for(client),
        per_client=True,
        sem=DISCRETE,
        help_="Name of the host\nThe name under which this host's metrics are known; archives carry it. A client that "
        "looks into a container gets that container's name.",
    )
    text(
        "pmcd.services",
        16,
        lambda: _services(daemon.options.places.run),
        "PCP services that run on the host\nNames with blanks between: pmcd, and pmproxy where its pid file names a "
        "process.",
        INSTANT,
    )
    text(
        "pmcd.labels",
        25,
        lambda: _user_labels(daemon),
        "Labels that the administrator gave to all values\nA JSON object, put together from the files in the directory "
        "labels of the configuration; empty without any. Labels of host and client come on top of these.",
        INSTANT,
    )


def _declare_process(cluster: Cluster, daemon: Daemon) -> None:
    cluster.metric(
        "pmcd.datasize",
        1,
        U32,
        lambda _: _data_segment_kbytes(),
        units=KBYTE,
        help_="Memory of the daemon's data segment\nPrivate, writable memory of the process that answers clients.",
    )
    cluster.metric(
        "pmcd.version",
        7,
        STRING,
        lambda _: __version__,
        sem=DISCRETE,
        help_="Version of the daemon\nThe version of pypcp that is running.",
    )
    cluster.metric(
        "pmcd.build",
        20,
        STRING,
        lambda _: __version__.partition("+")[2] or "1",
        sem=DISCRETE,
        help_="Build of the daemon's version\nThe local part of the version, after a plus sign; 1 where it has none.",
    )
    cluster.metric(
        "pmcd.pid",
        23,
        ValueType.U64,
        lambda _: os.getpid(),
        sem=DISCRETE,
        help_="Process id of the daemon\nChanges when the daemon was started anew.",
    )
    cluster.metric(
        "pmcd.openfds",
        17,
        U32,
        lambda _: max(daemon.own_fds, daemon.channels.highest_fd),
        help_="Highest descriptor\nThe largest of its own when the daemon began, or that a peer's connection has had.",
    )
    cluster.metric(
        "pmcd.sighups",
        22,
        U32,
        lambda _: daemon.statistics.sighups,
        sem=Semantics.COUNTER,
        units=COUNT,
        help_="Reloads of the configuration\nBy SIGHUP, by a store in pmcd.control.sighup, or because a file changed.",
    )


def _declare_population(cluster: Cluster, daemon: Daemon) -> None:
    def bump(value: int, instance: int) -> None:
        daemon.statistics.seqnum += 1

    cluster.metric(
        "pmcd.numagents",
        2,
        U32,
        lambda _: daemon.answering_agents(),
        help_="Agents that answer\nAgents of the running configuration that are connected: pmcd.agent.status says why "
        "others are not.",
    )
    cluster.metric(
        "pmcd.numclients",
        3,
        U32,
        lambda _: len(daemon.clients),
        help_="Connected clients\nClients with an open connection, whoever asks included.",
    )
    cluster.metric(
        "pmcd.seqnum",
        24,
        U32,
        lambda _: daemon.statistics.seqnum,
        sem=DISCRETE,
        store=by_root(bump),
        help_="Counts changes of the agents\nOne more each time an agent was started, from 1. While it stays, no "
        "agent's counters can have begun anew. Root can store anything to make it one more.",
    )


def _declare_buffers(agent: Agent, cluster: Cluster) -> None:
    sizes = agent.indom(5, fixed=_BUFFER_SIZES, help_="Sizes of buffers\nThe pools of buffers for PDUs that pmcd has.")
    none = [0] * len(_BUFFER_SIZES)

    def buffers(name: str, item: int, help_: str) -> None:
        cluster.metric(name, item, ValueType.I32, lambda _: none, indom=sizes, units=COUNT, help_=help_)

    buffers("pmcd.buf.alloc", 18, "Buffers in use\nThis daemon pools no buffers, so none is ever in use.")
    buffers("pmcd.buf.free", 19, "Buffers kept for use\nThis daemon pools no buffers, so none is ever kept.")


def _data_segment_kbytes() -> int:
    # The sixth field of statm is the data segment in pages; it is there on every Linux since 2.6.
    pages = int(Path("/proc/self/statm").read_bytes().split()[5])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 10


def _services(run: Path | None) -> str:
    return "pmcd pmproxy" if run is not None and _runs(run / "pmproxy.pid") else "pmcd"


def _runs(pid_file: Path) -> bool:
    try:
        with pid_file.open("rb") as file:
            pid = int(file.read(32))
    except (OSError, ValueError):
        return False
    return pid > 0 and Path(f"/proc/{pid}").exists()


def _user_labels(daemon: Daemon) -> str:
    labels = daemon.labels.user_json
    return "" if labels == "{}" else labels
