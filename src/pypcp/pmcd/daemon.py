"""The daemon: its agents, its clients, and the life of both."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from pypcp.errors import BadStore, OsError, PermissionDenied
from pypcp.ipc.peercred import peer_credentials
from pypcp.model.labels import LabelSet
from pypcp.pmcd.acceptor import Acceptor
from pypcp.pmcd.access import AccessRules
from pypcp.pmcd.agent_rows import AgentRow, agent_rows
from pypcp.pmcd.agent_set import AgentSet
from pypcp.pmcd.agents import AgentMaker
from pypcp.pmcd.client_connection import ClientConnection
from pypcp.pmcd.clients import ClientTable
from pypcp.pmcd.container_names import ContainerNames
from pypcp.pmcd.context_labels import ContextLabels
from pypcp.pmcd.gate import Gate
from pypcp.pmcd.greeting import CONTAINER_NAME
from pypcp.pmcd.holdings import ProfileRoom, Unread
from pypcp.pmcd.host_name import HostName
from pypcp.pmcd.logfile import ClientRow, block, connected
from pypcp.pmcd.options import Options
from pypcp.pmcd.plan import PlanCache
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.reload import Reloads
from pypcp.pmcd.router import LocalRoute, Route, Router, merged_names
from pypcp.pmcd.security import Security
from pypcp.pmcd.selfmetrics import self_agent
from pypcp.pmcd.sources import Sources
from pypcp.pmcd.statistics import Statistics
from pypcp.pmcd.threads import in_thread
from pypcp.pmcd.trace import EventTrace
from pypcp.pmcd.trace import log as trace_log
from pypcp.pmcd.turns import Turns
from pypcp.pmda.interface import AgentInterface, Client
from pypcp.pmns.tree import Tree
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import Feature, StateChange
from pypcp.wire.versions import IpcTable

log = logging.getLogger(__name__)

_FEATURES = Feature.CONTAINER | Feature.LABELS | Feature.HIGHRES | Feature.DESCS


def _is_own(fd: int) -> bool:
    """Whether Python opened it: what was inherited goes on to children, and can have any number."""
    try:
        return not os.get_inheritable(fd)
    except OSError:  # by which it was listed: the first that a client can have
        return True


def _peer_of(sock: socket.socket) -> tuple[str, int]:
    try:
        address, port = sock.getpeername()[:2]
    except OSError as error:  # it is gone already
        raise OsError(-(error.errno or errno.ENOTCONN), f"a client that is gone: {error}") from error
    return address, port


class Daemon:
    """One collector.

    ``agents`` answer in this process; ``sources`` are the files that name the others, the name space and who may do
    what. ``state`` is where agents in this process keep their instance numbers, ``directory`` where others are started.
    ``helper`` starts those that need privilege.
    ``OSError``, ``ConfigurationError``, ``PmnsError``: the files are not to be used.
    """

    def __init__(
        self,
        options: Options,
        agents: Iterable[AgentInterface] = (),
        sources: Sources | None = None,
        *,
        security: Security | None = None,
        state: Path | None = None,
        directory: Path | None = None,
        helper: Helper | None = None,
    ) -> None:
        self.options = options
        self.sources = sources if sources is not None else Sources()
        self.limits = options.limits
        self.statistics = Statistics()
        self.trace = EventTrace()
        self.host_name = HostName(options.hostname)
        self.labels = ContextLabels(options.places.labels, options.places.label_settings)
        self.listening: Sequence[socket.socket] = ()
        self.security = security if security is not None else Security()
        self.clients = ClientTable()
        self.running = False
        self.containers = ContainerNames(helper)
        self._answering: int | None = None
        self.reloaded: Callable[[], None] = lambda: None
        self.router = Router((), Tree())
        self.plans = self._new_plans()
        self._moment: object = None
        self.channels = IpcTable()
        self.own_fds = 0
        """The highest descriptor of the daemon's own when the first client could come."""
        self.unread = Unread(self.limits.unread_bytes)
        self.profiles = ProfileRoom(self.limits.profile_instances)
        self.turns = Turns()
        self.reloads = Reloads(self.sources, lambda: self.agent_set.own_names(), self._obey, self.statistics)
        self.gate = Gate(
            self.reloads.said.rules,
            restricted=self.sources.configuration is None,
            needs_credentials=self.security.credentials_required,
        )
        here = (self_agent(self), *agents)
        own = {each.name: LocalRoute(each, self.announce, self.containers.of) for each in here}
        self.agent_set = AgentSet(own, AgentMaker(self, own, state, directory, helper, self.containers.of), helper)
        self._answer_by(self.agent_set.routes, merged_names(self.reloads.said.names, self.agent_set.names()))

    async def _route(self) -> None:
        """Answer by the routes there are now, in a name space that is put together beside the clients."""
        routes, names = self.agent_set.routes, self.agent_set.names()
        self._answer_by(routes, await in_thread(merged_names, self.reloads.said.names, names))

    def _answer_by(self, routes: Iterable[Route], names: Tree) -> None:
        """What was worked out from other routes and names is forgotten."""
        self._answering = None
        self.router = Router(routes, names)
        self._forget_plans()

    def _forget_plans(self) -> None:
        self.plans.clear()
        self.plans = self._new_plans()

    def _new_plans(self) -> PlanCache:
        return PlanCache(self.router, self.limits.reply_bytes, self.limits.plan_cache_bytes)

    # Agents

    async def _have_agents(self, *, names_changed: bool = False) -> None:
        """Have the agents that the configuration names, and no others.

        Where all are those that there were, and their names are, requests go the way they went.
        """
        change = await self.agent_set.change(self.reloads.said.configuration.agents)
        if change.routes or names_changed:
            await self._route()
        if self.running:
            self.announce(change.told)

    async def reload(self) -> None:
        """See :meth:`Reloads.reload`."""
        await self.reloads.reload()

    async def _obey(self, names_changed: bool) -> None:
        """Do what the files say now."""
        self._change_gate(self.reloads.said.rules)
        if self.labels.refresh(at_once=True):
            self.announce(StateChange.LABEL_CHANGE)
        await self._have_agents(names_changed=names_changed)
        self.reloaded()

    def _change_gate(self, rules: AccessRules) -> None:
        self._forget_plans()  # and with them that clients may have what they are for
        by_client = {connection.client: connection for connection in self.clients}
        there = [(connection.entered, client) for client, connection in by_client.items()]
        for client in self.gate.change(rules, there):
            by_client[client].say(Error(PermissionDenied.code))
            by_client[client].close()

    def connected(self) -> list[Client]:
        """The clients there are now."""
        return [connection.client for connection in self.clients]

    def announce(self, changes: int) -> None:
        """Tell every client with its next fetch that something changed (a ``StateChange`` mask)."""
        self._answering = None
        log.debug("clients are told of changes: %#x", changes)
        for connection in self.clients:
            connection.changes |= changes

    def answering_agents(self) -> int:
        """How many agents are connected; counted anew after each change, which is announced."""
        if self._answering is None:
            self._answering = sum([each.answers for each in self.agents()])
        return self._answering

    def agents(self) -> list[AgentRow]:
        """All agents by domain: those that answer, and those that are configured and do not."""
        return agent_rows(self.router.routes, self.reloads.said.configuration.agents)

    # Clients

    def admit(self, connection: ClientConnection, sock: socket.socket) -> None:
        """Give a new client its slot, and find out what there is to know of it."""
        self.reloads.look()
        client = connection.client
        if sock.family == socket.AF_UNIX:
            peer = peer_credentials(sock)
            client.pid, client.uid, client.gid = peer.pid, peer.uid, peer.gid
            connection.peer = f"unix pid {peer.pid} uid {peer.uid}"
            connection.is_private = True
        else:
            name = _peer_of(sock)
            connection.address = name[0]
            connection.peer = f"{name[0]}:{name[1]}"
        connection.entered = self.gate.arrive(connection.address)
        self.clients.enter(connection)
        connection.fd = sock.fileno()
        self.channels.add(connection.fd, connection.channel)
        log.debug("+ %s is client %d", connection.peer, client.context)
        self.trace.connection(f"New client: [{client.context}] {connection.peer}, fd={sock.fileno()}")

    def admit_account(self, connection: ClientConnection) -> None:
        """A client has said who it is. ``PermissionDenied``; else agents that want to know are told of it."""
        self.gate.identify(connection.entered, connection.client)
        self._tell_agents_of(connection.client)

    def change_container(self, client: Client, name: str) -> None:
        """The client looks into the container of that name from now on, or into none (""); agents are told.

        ``BadStore`` for what is no name of a container.
        """
        if name and not CONTAINER_NAME.fullmatch(name):
            raise BadStore(f"{name!r:.80} is no name of a container")
        client.container = name
        # A request may name hundreds: the helper is asked for the last.
        asyncio.get_running_loop().call_soon(self._ask_for_container_of, client)
        self._tell_agents_of(client)

    def _ask_for_container_of(self, client: Client) -> None:
        if client.container:
            self.containers.ask(client.container)

    def _tell_agents_of(self, client: Client) -> None:
        log.debug(
            "client %d: uid %s, gid %s, container %s",
            client.context,
            client.uid,
            client.gid,
            client.container or "none",
        )
        for route in self.agent_set.told:
            route.attributes_changed(client)

    @property
    def features(self) -> Feature:
        """What the challenge offers, and what it insists on."""
        required = Feature.CREDS_REQD if self.gate.needs_credentials else Feature.NONE
        return _FEATURES | self.security.features | required

    @property
    def accepts_version_1(self) -> bool:
        """May a client come without credentials, as before PCP 2? Not where it would be a way round a lock."""
        return not (self.features & (Feature.CREDS_REQD | Feature.CERT_REQD) or self.gate.needs_credentials)

    def forget(self, connection: ClientConnection) -> None:
        """A client has gone."""
        if connection not in self.clients:
            return
        client = connection.client
        self.gate.leave(connection.entered)
        self.unread.release(connection)
        self.channels.reset(connection.fd)
        untold: list[asyncio.Future[None]] = []
        try:
            for route in self.agent_set.told:
                if (told := route.end_context(client)) is not None:
                    untold.append(told)
        finally:
            self.clients.leave(client, untold)
        log.debug("- %s was client %d", connection.peer, client.context)
        self.trace.connection(f"End client: [{client.context}] {connection.peer}")

    def client_rows(self) -> list[ClientRow]:
        """The clients as the log tells of them."""
        return [ClientRow(each.fd, each.peer, each.channel.version, each.entered.denied) for each in self.clients]

    def log_clients(self) -> None:
        """Write a table of the clients to the log."""
        rows = self.client_rows()
        block(trace_log, "clients", connected(time.time(), rows), clients=[asdict(row) for row in rows])

    def moment(self, client: Client) -> object:
        """One object for all requests that wait together now; None for one with whom nobody shares.

        That is an only client, and one that looks into a container.
        """
        if len(self.clients) < 2 or client.container:
            return None
        if self._moment is None:
            self._moment = object()
            asyncio.get_running_loop().call_soon(self._pass_moment)
        return self._moment

    def _pass_moment(self) -> None:
        self._moment = None

    def context_labels(self, client: Client) -> LabelSet:
        """The labels of everything this daemon gives. See: pmLookupLabels(3)."""
        if self.labels.refresh():
            self.announce(StateChange.LABEL_CHANGE)
        return self.labels.of(self.hostname, uid=client.uid, gid=client.gid, container=client.container or None)

    @property
    def hostname(self) -> str:
        """The name under which this host's metrics are known."""
        return self.host_name.name

    def hostname_for(self, client: Client) -> str:
        """The name of what a client looks at: this host, or a container. :meth:`ContainerNames.of` says what fails."""
        return self.containers.of(client.container) if client.container else self.hostname

    def look_at_host_name(self) -> None:
        """It is time to see whether the host is called something else now; clients are told then."""
        if self.host_name.look():
            self.announce(StateChange.HOSTNAME_CHANGE)

    # Running

    async def serve(self, sockets: Sequence[socket.socket], ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve clients on listening ``sockets`` until ``stop`` is set; ``ready`` is called when they can come.

        Agents are started before that; who is told to stop meanwhile is never ready.
        """
        loop = asyncio.get_running_loop()
        serving, stopped = loop.create_task(self._serve(sockets, ready)), loop.create_task(stop.wait())
        try:
            await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            stopped.cancel()
            await asyncio.wait([serving, stopped])
        if not serving.cancelled():
            serving.result()

    async def _serve(self, sockets: Sequence[socket.socket], ready: Callable[[], None]) -> None:
        acceptor: Acceptor | None = None
        try:
            self.agent_set.start()
            await self._have_agents()
            acceptor = Acceptor(sockets, lambda: ClientConnection(self))
            self.listening = sockets
            self.own_fds = max(filter(_is_own, map(int, os.listdir("/proc/self/fd"))))
            self.running = True
            ready()
            await self.reloads.run()
        finally:
            if acceptor is not None:
                acceptor.close()
            for connection in self.clients:
                connection.drop("the daemon stops")
            self.containers.close()
            await self.agent_set.stop()
