"""The daemon: its agents, its clients, and the life of both."""

from __future__ import annotations

import asyncio
import heapq
import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence

from pypcp.ipc.peercred import peer_credentials
from pypcp.model.labels import LabelSet, LabelType
from pypcp.pmcd.client_connection import ClientConnection
from pypcp.pmcd.options import Options
from pypcp.pmcd.plan import PlanCache
from pypcp.pmcd.router import Route, Router, merged_names
from pypcp.pmcd.selfmetrics import self_agent
from pypcp.pmcd.statistics import Statistics
from pypcp.pmda.interface import AgentInterface, Client
from pypcp.pmns.tree import Tree
from pypcp.wire.label import label_set
from pypcp.wire.pdu import Feature

log = logging.getLogger(__name__)

_BACKLOG = 512


class Daemon:
    """One collector. ``agents`` answer in this process; ``names`` is a name space read from a file, if any."""

    def __init__(self, options: Options, agents: Iterable[AgentInterface], names: Tree | None = None) -> None:
        self.options = options
        self.limits = options.limits
        self.statistics = Statistics()
        self.features = Feature.LABELS | Feature.HIGHRES | Feature.DESCS
        self.clients: dict[int, ClientConnection] = {}
        self._free_slots: list[int] = []
        self._moment: object = None
        self.router: Router
        self.plans: PlanCache
        local: list[AgentInterface] = [self_agent(self), *agents]
        self.route([Route(agent) for agent in local], merged_names(names or Tree(), local))

    def route(self, routes: Sequence[Route], names: Tree) -> None:
        """Answer by these routes and names from now on."""
        self.router = Router(routes, names)
        self.plans = PlanCache(self.router, self.limits.reply_bytes, self.limits.plan_cache_bytes)

    # Clients

    def admit(self, connection: ClientConnection, sock: socket.socket) -> None:
        """Give a new client its slot, and what is known of it."""
        client = connection.client
        client.context = heapq.heappop(self._free_slots) if self._free_slots else len(self.clients)
        self.clients[client.context] = connection
        if sock.family == socket.AF_UNIX:
            peer = peer_credentials(sock)
            client.pid, client.uid, client.gid = peer.pid, peer.uid, peer.gid
            connection.peer = f"unix pid {peer.pid} uid {peer.uid}"
            connection.may_store = peer.uid in (0, os.geteuid())
        else:
            address = sock.getpeername()
            connection.peer = f"{address[0]}:{address[1]}"
        log.debug("+ %s is client %d", connection.peer, client.context)

    def forget(self, connection: ClientConnection) -> None:
        """A client has gone: its slot may be used again once every agent knows."""
        slot = connection.client.context
        if self.clients.get(slot) is not connection:
            return
        for route in self.router.routes.values():
            route.agent.end_context(connection.client)
        del self.clients[slot]
        heapq.heappush(self._free_slots, slot)
        log.debug("- %s was client %d", connection.peer, slot)

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
            for sock in sockets:
                if sock.family == socket.AF_UNIX:
                    server = await loop.create_unix_server(lambda: ClientConnection(self), sock=sock, backlog=_BACKLOG)
                else:
                    server = await loop.create_server(lambda: ClientConnection(self), sock=sock, backlog=_BACKLOG)
                servers.append(server)
            ready()
            await stop.wait()
        finally:
            for server in servers:
                server.close()
            for connection in list(self.clients.values()):
                connection.drop("the daemon stops")
            await asyncio.sleep(0)
