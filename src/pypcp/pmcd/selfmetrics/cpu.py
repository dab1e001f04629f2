"""Cluster 7: processor time of the daemon, in all and for each PDU that it received."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Final

from pypcp.model.units import MSEC, Time, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

_PER_PDU: Final = Units(time=1, count=-1, scale_time=Time.USEC)
_SINCE: Final = object()
"""Where a client's state keeps what its last value of ``per_pdu_in`` was made of."""


def declare(agent: Agent, daemon: Daemon) -> None:
    """Declare the metrics."""
    cluster = agent.cluster(7)
    cluster.metric(
        "pmcd.cputime.total",
        0,
        ValueType.U64,
        lambda _: int(_used_s() * 1000),
        sem=Semantics.COUNTER,
        units=MSEC,
        help_="Processor time of the daemon\nUser and system time since it started, agents in its process included; "
        "agents in processes of their own are not.",
    )
    cluster.metric(
        "pmcd.cputime.per_pdu_in",
        1,
        ValueType.DOUBLE,
        lambda _, client: _since_last(daemon, client),
        units=_PER_PDU,
        per_client=True,
        help_="Processor time for each PDU received\nThe mean since the client that asks has fetched this the last "
        "time, or since the daemon started; PDUs of all clients and agents count.",
    )


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _since_last(daemon: Daemon, client: Client) -> float:
    used, received = _used_s(), sum(daemon.statistics.pdu_in)
    used_before, received_before = client.state.get(_SINCE, (0.0, 0))
    client.state[_SINCE] = used, received
    return float((used - used_before) * 1e6 / max(received - received_before, 1))
