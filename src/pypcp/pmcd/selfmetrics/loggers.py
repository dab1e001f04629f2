"""Cluster 3: the pmlogger processes of this host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pypcp.model.values import Semantics, ValueType
from pypcp.pmcd.map_files import LoggerInstance, pmloggers
from pypcp.pmda.agent import Agent

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

_INSTANCES = "Instances are process ids; the primary logger of the host is there once more, as primary."


def declare(agent: Agent, daemon: Daemon) -> None:
    """Declare the metrics."""
    indom = agent.indom(1, help_=f"Loggers\n{_INSTANCES}")
    directory = daemon.options.places.temporary

    def refresh() -> Sequence[LoggerInstance]:
        found = [] if directory is None else pmloggers(directory / "pmlogger")
        indom.replace([each.name for each in found], [each.instance for each in found])
        return found

    cluster = agent.cluster(3, refresh)

    def metric(name: str, item: int, type_: ValueType, read: Callable[[LoggerInstance], Any], help_: str) -> None:
        cluster.metric(
            f"pmcd.pmlogger.{name}",
            item,
            type_,
            lambda loggers: [read(each) for each in loggers],
            indom=indom,
            sem=Semantics.DISCRETE,
            help_=f"{help_} {_INSTANCES}",
        )

    metric(
        "port",
        0,
        ValueType.U32,
        lambda each: each.port,
        "Port of a logger\nThe TCP port where pmlc(1) finds it, on this host.",
    )
    metric(
        "pmcd_host",
        1,
        ValueType.STRING,
        lambda each: each.pmcd_host,
        "Host that a logger logs\nWhere its values come from; it need not be this host.",
    )
    metric(
        "archive",
        2,
        ValueType.STRING,
        lambda each: each.archive,
        "Archive of a logger\nThe path that the files of the archive have in common, on this host.",
    )
    metric(
        "host",
        3,
        ValueType.STRING,
        lambda each: daemon.hostname,
        "Host where a logger runs\nThe name of this host.",
    )
