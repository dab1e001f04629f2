"""Cluster 6: who is connected."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pypcp.errors import BadStore
from pypcp.model.ids import IN_NULL
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

_WHOAMI_LIMIT: Final = 1024


class _Told(NamedTuple):
    """What there is to tell of clients, in the order of their numbers; a list for each metric, of nobody who may go."""

    whoami: list[str]
    since: list[float]
    containers: list[str]


class _Clients:
    """The connections there are, and what a client may say of itself."""

    def __init__(self, agent: Agent, daemon: Daemon) -> None:
        self._daemon = daemon
        self._generation = -1
        self.indom = agent.indom(6, help_="Clients\nConnections, numbered from 0 as they came.")

    def refresh(self) -> _Told:
        """The snapshot of the cluster."""
        clients = self._daemon.clients
        connections = list(clients)
        if clients.generation != self._generation:
            self._generation = clients.generation
            numbers = [connection.number for connection in connections]
            self.indom.replace(map(str, numbers), numbers)
        return _Told(
            [connection.whoami for connection in connections],
            [connection.since for connection in connections],
            [connection.client.container or "" for connection in connections],
        )

    # Libraries name no instance to speak of their own connection (__pmSetClientId). pmstore names all where it is told
    # none: those of other clients are passed over, as stock does.

    def store_whoami(self, value: str, instance: int, client: Client) -> None:
        if len(value) > _WHOAMI_LIMIT:
            raise BadStore(f"{len(value)} characters; the limit is {_WHOAMI_LIMIT}")
        connection = self._daemon.clients.of(client)
        if instance in (IN_NULL, connection.number):
            connection.whoami = value

    def store_container(self, value: str, instance: int, client: Client) -> None:
        if instance in (IN_NULL, self._daemon.clients.of(client).number):
            self._daemon.change_container(client, value)


def declare(agent: Agent, daemon: Daemon) -> None:
    """Declare the metrics."""
    clients = _Clients(agent, daemon)
    cluster = agent.cluster(6, clients.refresh)
    cluster.metric(
        "pmcd.client.whoami",
        0,
        ValueType.STRING,
        lambda told: told.whoami,
        indom=clients.indom,
        sem=Semantics.DISCRETE,
        store=clients.store_whoami,
        help_="What a client says of itself\nEmpty until the client stores something here, as loggers do to be told "
        f"apart; it can do so for itself only, with at most {_WHOAMI_LIMIT} characters.",
    )
    cluster.metric(
        "pmcd.client.start_date",
        1,
        ValueType.STRING,
        lambda told: [time.ctime(since) for since in told.since],
        indom=clients.indom,
        sem=Semantics.DISCRETE,
        help_="When a client connected\nDate and time of the host, in the form of ctime(3).",
    )
    cluster.metric(
        "pmcd.client.container",
        2,
        ValueType.STRING,
        lambda told: told.containers,
        indom=clients.indom,
        store=clients.store_container,
        help_="Container that a client looks into\nEmpty for the host itself. Named by the client when it connects, or "
        "later by storing here, for itself only; letters, digits, dot, hyphen and underscore make a name.",
    )
