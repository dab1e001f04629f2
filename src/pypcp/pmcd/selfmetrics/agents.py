"""Cluster 4: the agents, as stock tells of them; and in cluster 100 how each does its work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from pypcp.model.units import COUNT, MSEC, NONE, Units
from pypcp.model.values import Semantics, Value, ValueType
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.agent_rows import AgentRow
from pypcp.pmcd.selfmetrics.permitted import by_root, within
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

_BEYOND: Final = 100
"""The cluster of what stock does not have."""
_OWN: Final = 2

Rows = Sequence[AgentRow]


def declare(agent: Agent, daemon: Daemon) -> None:
    """Declare the metrics."""
    indom = agent.indom(3, help_="Agents\nEach by its domain, with the name that the configuration gives it.")

    def refresh() -> Rows:
        rows = daemon.agents()
        indom.replace(_names(rows), [row.domain for row in rows])
        return rows

    cluster = agent.cluster(4, refresh)
    _declare_stocks(cluster, indom, daemon)
    _declare_work(cluster, indom)


def _names(rows: Rows) -> list[str]:
    """Labels; one that several agents have is made different by the domain."""
    seen: set[str] = set()
    names = []
    for row in rows:
        names.append(f"{row.label}.{row.domain}" if row.label in seen else row.label)
        seen.add(row.label)
    return names


def _declare_stocks(cluster: Cluster, indom: Indom, daemon: Daemon) -> None:
    def fence(value: int, domain: int) -> None:
        within(value, 0, 1)
        indom.name_of(domain)
        if domain != _OWN and (route := daemon.router.routes.get(domain)) is not None:
            route.fenced = bool(value)

    discrete = Semantics.DISCRETE
    cluster.metric(
        "pmcd.agent.type",
        0,
        ValueType.U32,
        lambda rows: [row.kind for row in rows],
        indom=indom,
        sem=discrete,
        help_="How the daemon reaches an agent\n0: it is part of the daemon, 2: by a socket, 4: by a pipe.",
    )
    cluster.metric(
        "pmcd.agent.status",
        1,
        ValueType.I32,
        lambda rows: [row.status for row in rows],
        indom=indom,
        sem=discrete,
        help_="Is an agent in service\n0: it is. 1: it is connected and not ready yet. Else why it is not: the low "
        "byte is 2 where it ended by itself, 4 where it could not be started, 8 where it was ended because it kept "
        "silent or broke the protocol; the next byte is its exit status, the one after the signal that ended it.",
    )
    cluster.metric(
        "pmcd.agent.fenced",
        2,
        ValueType.U32,
        lambda rows: [row.fenced for row in rows],
        indom=indom,
        store=by_root(fence),
        help_="Is an agent cut off\n1: the daemon asks it nothing, and its metrics fail with PM_ERR_PMDAFENCED, until "
        "0 is stored. Only root stores here; the daemon's own agent cannot be cut off, and trying changes nothing.",
    )
    cluster.metric(
        "pmcd.agent.name",
        3,
        ValueType.STRING,
        lambda rows: [row.label for row in rows],
        indom=indom,
        sem=discrete,
        help_="Name of an agent\nIts label in the configuration, for expressions that need it as a value.",
    )


def _declare_work(cluster: Cluster, indom: Indom) -> None:
    def work(
        name: str,
        item: int,
        read: Callable[[AgentKeeper], Value],
        help_: str,
        *,
        type_: ValueType = ValueType.U64,
        sem: Semantics = Semantics.COUNTER,
        units: Units = COUNT,
    ) -> None:
        def column(rows: Rows) -> list[Any]:
            return [read(row.route) if isinstance(row.route, AgentKeeper) else None for row in rows]

        text = f"{help_} Agents that are part of the daemon have no value."
        cluster.metric(
            f"pmcd.agent.{name}", item, type_, column, indom=indom, sem=sem, units=units, help_=text, number=_BEYOND
        )

    times: Any = {"type_": ValueType.DOUBLE, "units": MSEC}
    now: Any = {"sem": Semantics.INSTANT}
    work("requests", 0, lambda agent: agent.statistics.requests, "Requests that an agent answered\nOf any kind.")
    work(
        "latency.total",
        1,
        lambda agent: agent.statistics.total_s * 1e3,
        "Time that an agent took for its answers\nFrom request to whole reply, all added up; its rate over that of "
        "pmcd.agent.requests is the mean of the interval.",
        **times,
    )
    work(
        "latency.last",
        2,
        lambda agent: agent.statistics.last_s * 1e3,
        "Time of an agent's last answer\nFrom request to whole reply.",
        **times,
        **now,
    )
    work(
        "latency.longest",
        3,
        lambda agent: agent.statistics.longest_s * 1e3,
        "Time of an agent's slowest answer\nFrom request to whole reply, since the daemon knows the agent.",
        **times,
        **now,
    )
    work(
        "latency.mean",
        4,
        lambda agent: agent.statistics.total_s * 1e3 / max(agent.statistics.requests, 1),
        "Mean time of an agent's answers\nFrom request to whole reply, since the daemon knows the agent.",
        **times,
        **now,
    )
    work(
        "late",
        5,
        lambda agent: agent.statistics.late,
        "Fetches that went on without an agent\nIt was late, so the others' values were given and for its own the "
        "client was told to try again.",
    )
    work(
        "restarts",
        6,
        lambda agent: agent.statistics.restarts,
        "Times that an agent was started again\nBecause it had ended, or was ended for hanging or breaking the "
        "protocol.",
    )
    work(
        "queue",
        7,
        lambda agent: agent.queued,
        "Requests and notices that wait for an agent\nThe one under way does not count.",
        type_=ValueType.U32,
        **now,
    )
    work(
        "pid",
        8,
        lambda agent: agent.pid,
        "Process id of an agent\n0 where it does not run, or was not started by the daemon.",
        type_=ValueType.U32,
        sem=Semantics.DISCRETE,
        units=NONE,
    )
