"""The daemon: its agents, its clients, and the life of both."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pypcp.ipc.peercred import peer_credentials
from pypcp.model.labels import LabelSet, LabelType
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.agents import AgentMaker
from pypcp.pmcd.client_connection import ClientConnection
from pypcp.pmcd.clients import ClientTable
from pypcp.pmcd.config import AgentSpec
from pypcp.pmcd.options import Options
from pypcp.pmcd.plan import PlanCache
from pypcp.pmcd.router import LocalRoute, Route, Router, merged_names
from pypcp.pmcd.selfmetrics import self_agent
from pypcp.pmcd.statistics import Statistics
from pypcp.pmda.interface import AgentInterface, Client
from pypcp.pmns.tree import Tree
from pypcp.wire.label import label_set
from pypcp.wire.pdu import Feature

log = logging.getLogger(__name__)

_BACKLOG = 512


class Daemon:
    """One collector.

    ``agents`` answer in this process, ``specs`` are agents of a configuration, ``names`` is a name space read from a
    file. ``state`` is where agents in this process keep their instance numbers, ``directory`` where others are started.
    """

    def __init__(
        self,
        options: Options,
        agents: Iterable[AgentInterface] = (),
        specs: Sequence[AgentSpec] = (),
        names: Tree | None = None,
        *,
        state: Path | None = None,
        directory: Path | None = None,
    ) -> None:
        self.options = options
        self.limits = options.limits
        self.statistics = Statistics()
        self.features = Feature.LABELS | Feature.HIGHRES | Feature.DESCS
        self.clients = ClientTable()
        self.router: Router
        self.plans: PlanCache
        self._moment: object = None
        self._specs = specs
        self._static = names or Tree()
        self._own: dict[str, Route] = {each.name: LocalRoute(each) for each in (self_agent(self), *agents)}
        self._maker = AgentMaker(self, self._own, state, directory)
        self._route(list(self._own.values()))

    def _route(self, routes: Sequence[Route]) -> None:
        """Answer by these routes from now on."""
        here = [route.agent for route in routes if isinstance(route, LocalRoute)]
        self.router = Router(routes, merged_names(self._static, here))
        self.plans = PlanCache(self.router, self.limits.reply_bytes, self.limits.plan_cache_bytes)

    # Agents

    async def start_agents(self) -> None:
        """Start the configured agents, all together, and wait until each answers or has failed to."""
        routes = {route.domain: route for route in self._own.values()}
        for _, route in self._maker.routes(self._specs):
            routes[route.domain] = route
        keepers = [route for route in routes.values() if isinstance(route, AgentKeeper)]
        if keepers:
            await asyncio.wait([keeper.settled for keeper in keepers])
        self._route(list(routes.values()))

    async def stop_agents(self) -> None:
        """End the agent processes, all together."""
        keepers = [route for route in self.router.routes.values() if isinstance(route, AgentKeeper)]
        await asyncio.gather(*[keeper.stop() for keeper in keepers])

    def connected(self) -> list[Client]:
        """The clients there are now."""
        return [connection.client for connection in self.clients]

    def announce(self, changes: int) -> None:
        """Tell every client with its next fetch that something changed (a ``StateChange`` mask)."""
        for connection in self.clients:
            connection.changes |= changes

    # Clients

    def admit(self, connection: ClientConnection, sock: socket.socket) -> None:
        """Give a new client its slot, and find out what there is to know of it."""
        client = connection.client
        self.clients.enter(connection)
        if sock.family == socket.AF_UNIX:
            peer = peer_credentials(sock)
            client.pid, client.uid, client.gid = peer.pid, peer.uid, peer.gid
            connection.peer = f"unix pid {peer.pid} uid {peer.uid}"
            connection.may_store = peer.uid in (0, os.geteuid())
        else:
            address = sock.getpeername()
            connection.peer = f"{address[0]}:{address[1]}"
        log.debug("+ %s is client %d", connection.peer, client.context)

    def welcome(self, client: Client) -> None:
        """A client has said who it is: agents that want to know are told before its first request."""
        for route in self.router.routes.values():
            route.attributes_changed(client)

    def forget(self, connection: ClientConnection) -> None:
        """A client has gone."""
        if connection not in self.clients:
            return
        client = connection.client
        told = [route.end_context(client) for route in self.router.routes.values()]
        self.clients.leave(client, [future for future in told if future is not None])
        log.debug("- %s was client %d", connection.peer, client.context)

    def moment(self) -> object:
        """One object for all requests that wait together now; None for an only client: nobody shares with it."""
        if len(self.clients) < 2:
            return None
        if self._moment is None:
            self._moment = object()
            asyncio.get_running_loop().call_soon(self._pass_moment)
        return self._moment

    def _pass_moment(self) -> None:
        self._moment = None

    def context_labels(self, client: Client) -> LabelSet:
        """The labels of everything this daemon gives. See: pmLookupLabels(3)."""
        return label_set({"hostname": self.options.hostname or socket.gethostname()}, LabelType.CONTEXT)

    # Running

    async def serve(self, sockets: Sequence[socket.socket], ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve clients on listening ``sockets`` until ``stop`` is set; ``ready`` is called when they can come."""
        loop = asyncio.get_running_loop()
        servers: list[asyncio.Server] = []
        try:
            await self.start_agents()
            for sock in sockets:
                create = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
                servers.append(await create(lambda: ClientConnection(self), sock=sock, backlog=_BACKLOG))
            ready()
            await stop.wait()
        finally:
            for server in servers:
                server.close()
            for connection in self.clients:
                connection.drop("the daemon stops")
            await self.stop_agents()
