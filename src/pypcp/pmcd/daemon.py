"""The daemon: its agents, its clients, and the life of both."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pypcp.errors import BadStore, OsError, PcpError, PermissionDenied
from pypcp.ipc.configuration import ConfigurationError
from pypcp.ipc.peercred import peer_credentials
from pypcp.model.labels import LabelSet
from pypcp.pmcd.acceptor import Acceptor
from pypcp.pmcd.access import AccessRules
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.agent_rows import AgentRow, agent_rows
from pypcp.pmcd.agents import CONTAINERS, HELPER_DOMAIN, AgentMaker
from pypcp.pmcd.client_connection import ClientConnection
from pypcp.pmcd.clients import ClientTable
from pypcp.pmcd.config import AgentSpec, Configuration, DsoAgent
from pypcp.pmcd.container_names import ContainerNames
from pypcp.pmcd.context_labels import ContextLabels
from pypcp.pmcd.gate import Gate, rules_of
from pypcp.pmcd.greeting import CONTAINER_NAME
from pypcp.pmcd.holdings import ProfileRoom, Unread
from pypcp.pmcd.host_name import HostName
from pypcp.pmcd.logfile import ClientRow, block, connected
from pypcp.pmcd.options import Options
from pypcp.pmcd.plan import PlanCache
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.router import AbsentRoute, LocalRoute, NamesHere, Route, Router, merged_names, names_here
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

_CHECK_S = 1.0
_FEATURES = Feature.CONTAINER | Feature.LABELS | Feature.HIGHRES | Feature.DESCS


def _changes(started: Collection[Route], dropped: Collection[Route]) -> StateChange:
    added = StateChange.ADD_AGENT if started else StateChange.NO_CHANGE
    return added | (StateChange.DROP_AGENT if dropped else StateChange.NO_CHANGE)


def _present(configured: Mapping[AgentSpec, Route]) -> dict[AgentSpec, Route | None]:
    return {spec: None if isinstance(route, AbsentRoute) else route for spec, route in configured.items()}


def _names_of(routes: Iterable[Route]) -> list[NamesHere]:
    return names_here([route.agent for route in routes if isinstance(route, LocalRoute)])


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
        self._helper = helper
        self.containers = ContainerNames(helper)
        self._answering: int | None = None
        self.reloaded: Callable[[], None] = lambda: None
        self.told_to_reload = asyncio.Event()
        self._checked = 0.0
        self.router: Router
        self.plans: PlanCache
        self._moment: object = None
        self.channels = IpcTable()
        self.unread = Unread(self.limits.unread_bytes)
        self.profiles = ProfileRoom(self.limits.profile_instances)
        self.turns = Turns()
        self._reloading = asyncio.Lock()
        self._configuration = self.sources.read_configuration()
        restricted = self.sources.configuration is None
        self.gate = Gate(
            rules_of(self._configuration.statements),
            restricted=restricted,
            needs_credentials=self.security.credentials_required,
        )
        self._static = self.sources.read_names()
        here = (self_agent(self), *agents)
        self._own = {each.name: LocalRoute(each, self.announce, self.containers.of) for each in here}
        self._maker = AgentMaker(self, self._own, state, directory, helper, self.containers.of)
        self.configured: dict[AgentSpec, Route] = {}
        self._starting: Collection[Route] = ()
        routes = self._routes()
        self._answer_by(routes, merged_names(self._static, _names_of(routes)))

    def _routes(self) -> Collection[Route]:
        """The routes there are now, one a domain."""
        return {route.domain: route for route in (*self._own.values(), *self.configured.values())}.values()

    async def _route(self) -> None:
        """Answer by the routes there are now, in a name space that is put together beside the clients."""
        routes = self._routes()
        self._answer_by(routes, await in_thread(merged_names, self._static, _names_of(routes)))

    def _answer_by(self, routes: Iterable[Route], names: Tree) -> None:
        """What was worked out from other routes and names is forgotten."""
        self._answering = None
        self.router = Router(routes, names)
        self._forget_plans()

    def _to_be_told(self) -> list[Route]:
        """Who has to know of clients that come and go: those who answer, and those who are about to."""
        return list(dict.fromkeys([*self.router.routes.values(), *self._starting]))

    def _forget_plans(self) -> None:
        self.plans = PlanCache(self.router, self.limits.reply_bytes, self.limits.plan_cache_bytes)

    # Agents

    async def start_agents(self, *, names_changed: bool = False) -> None:
        """Start the agents that the configuration names and that do not run; end those that it names no more.

        Agents that were started before and have ended are told to start again. Where all are those that there were, and
        their names are, requests go the way they went.

        Agents are started all together, but for the privileged helper, which may have to start the others; returns when
        each answers or has failed to.
        """
        wanted = (*self._configuration.agents, *await self._unconfigured())
        there = {spec: route for spec, route in self.configured.items() if not isinstance(route, AbsentRoute)}
        kept = {spec: there[spec] for spec in wanted if spec in there}
        dropped = [route for spec, route in there.items() if spec not in kept]
        await self._end(dropped)
        new = [spec for spec in wanted if spec not in kept]
        started = await self._start([spec for spec in new if spec.domain == HELPER_DOMAIN])
        started |= await self._start([spec for spec in new if spec.domain != HELPER_DOMAIN])
        for spec, route in kept.items():
            if isinstance(route, AgentKeeper) and not isinstance(spec, DsoAgent):
                route.rename(spec.label, self._maker.starter(spec))
                route.start_again()
        before, self.configured = self.configured, {spec: kept.get(spec) or started[spec] for spec in wanted}
        if names_changed or _present(before) != _present(self.configured):
            await self._route()
        self._starting = ()
        if self.running:
            new_ones = [route for route in started.values() if not isinstance(route, AbsentRoute)]
            self.announce(_changes(new_ones, dropped))

    async def _unconfigured(self) -> tuple[AgentSpec, ...]:
        """The agents that are here without a line: the helper, where something else than we started it."""
        if self._helper is None or any(spec.domain == HELPER_DOMAIN for spec in self._configuration.agents):
            return ()
        return (CONTAINERS,) if CONTAINERS in self.configured or await self._helper.converses() else ()

    async def _start(self, specs: Sequence[AgentSpec]) -> dict[AgentSpec, Route]:
        started = dict(self._maker.routes(specs))
        self._starting = [*self._starting, *started.values()]
        for route in self._not_own(started.values()):
            if isinstance(route, LocalRoute):
                route.start()
        keepers = [route for route in started.values() if isinstance(route, AgentKeeper)]
        if keepers:
            await asyncio.wait([keeper.settled for keeper in keepers])
        return started

    async def stop_agents(self) -> None:
        """End the agent processes, all together; the helper last, which may have to end the others."""
        routes = self.configured.values()
        await self._end([route for route in routes if route.domain != HELPER_DOMAIN])
        if self._helper is not None:
            self._helper.close()
        await self._end([route for route in routes if route.domain == HELPER_DOMAIN])

    async def _end(self, routes: Iterable[Route]) -> None:
        await asyncio.gather(*[route.stop() for route in self._not_own(routes)])

    def _not_own(self, routes: Iterable[Route]) -> list[Route]:
        """Without those of our own agents, which live as long as we do, whatever the configuration says of them."""
        own = self._own.values()
        return [route for route in routes if route not in own]

    def check_sources(self) -> None:
        """Reload if a file changed; looked at when clients come, and not more often than every second."""
        now = asyncio.get_running_loop().time()
        if now - self._checked > _CHECK_S:
            self._checked = now
            if self.sources.changed():
                self.told_to_reload.set()

    async def _reload_when_told(self) -> None:
        while True:
            await self.told_to_reload.wait()
            self.told_to_reload.clear()
            try:
                await self.reload()
            except Exception:
                log.exception("a reload failed in a way it must not; the next one is tried all the same")

    async def reload(self) -> None:
        """Read the files again, as after SIGHUP. Agents that stay as they are and all clients notice nothing.

        A file that is not to be used changes nothing. One reload begins when the one before is over. See: pmcd(1)
        """
        async with self._reloading:
            await self._reload()

    async def _reload(self) -> None:
        self.statistics.sighups += 1
        try:
            own = _names_of(self._own.values())
            configuration, rules, static = await in_thread(self._read_sources, own)
        except (PcpError, ConfigurationError, OSError) as error:
            log.error("nothing is changed: %s", error)
            return
        changed = static is not self._static
        if configuration == self._configuration and self.sources.configuration is not None:
            log.info("Configuration file '%s' unchanged", self.sources.configuration)
        self._configuration, self._static = configuration, static
        self._change_gate(rules)
        if self.labels.refresh(at_once=True):
            self.announce(StateChange.LABEL_CHANGE)
        await self.start_agents(names_changed=changed)
        self.reloaded()

    def _read_sources(self, own: Sequence[NamesHere]) -> tuple[Configuration, AccessRules, Tree]:
        """In a thread: files may be far away, and so may those who know hosts and accounts by their names.

        ``PmnsError``: the names of the file do not go together with our ``own``.
        """
        configuration = self.sources.read_configuration()
        rules, static = rules_of(configuration.statements), self.sources.read_names()
        if static is not self._static:
            merged_names(static, own)
        return configuration, rules, static

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
        return agent_rows(self.router.routes, self._configuration.agents)

    # Clients

    def admit(self, connection: ClientConnection, sock: socket.socket) -> None:
        """Give a new client its slot, and find out what there is to know of it."""
        self.check_sources()
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
        if name:
            self.containers.ask(name)
        self._tell_agents_of(client)

    def _tell_agents_of(self, client: Client) -> None:
        log.debug(
            "client %d: uid %s, gid %s, container %s",
            client.context,
            client.uid,
            client.gid,
            client.container or "none",
        )
        for route in self._to_be_told():
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
            for route in self._to_be_told():
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
        """Serve clients on listening ``sockets`` until ``stop`` is set; ``ready`` is called when they can come."""
        loop = asyncio.get_running_loop()
        acceptor: Acceptor | None = None
        reloading: asyncio.Task[None] | None = None
        try:
            for route in self._own.values():
                route.start()
            await self.start_agents()
            reloading = loop.create_task(self._reload_when_told())
            acceptor = Acceptor(sockets, lambda: ClientConnection(self))
            self.listening = sockets
            self.running = True
            ready()
            await stop.wait()
        finally:
            if reloading is not None:
                reloading.cancel()
            if acceptor is not None:
                acceptor.close()
            for connection in self.clients:
                connection.drop("the daemon stops")
            self.containers.close()
            await self.stop_agents()
            await asyncio.gather(*[route.stop() for route in self._own.values()])
