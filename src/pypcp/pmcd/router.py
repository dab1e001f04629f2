"""Which agent answers for what: domains to agents, names to pmids.

A router never changes: a reload makes a new one, and what was worked out from the old one (fetch plans above all) goes
with it. Routes to agents that stay are carried over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from pypcp.errors import (
    AgentFenced,
    AgentNotReady,
    ContainerNotFound,
    NoAgent,
    NotSupported,
    PcpError,
    TryAgain,
)
from pypcp.model.ids import PM_ID_NULL, Pmid, dynamic_root
from pypcp.pmcd.threads import in_thread
from pypcp.pmda.complaints import Complaints
from pypcp.pmda.interface import AgentInterface, Client, FetchRequest, refusal_of
from pypcp.pmda.segments import EmptySegment, Fetched, Segment
from pypcp.pmns.tree import Tree

log = logging.getLogger(__name__)

T = TypeVar("T")

_STOP_LIMIT_S: Final = 5.0
"""What an agent waits for when it is stopped has limits of its own, but for functions that its author wrote."""


class Route(Protocol):
    """The way to an agent, here or in a process of its own.

    ``fenced``: an administrator has cut it off; its metrics say ``PM_ERR_PMDAFENCED``.
    """

    name: str
    domain: int
    fenced: bool

    @property
    def refusal(self) -> type[PcpError] | None:
        """Why the agent is not to be asked now, None when it may be."""
        ...

    def ask(self, client: Client, call: Callable[[Any], Any]) -> Any:
        """What ``call`` gives, at once or to be awaited, of the agent as ``client`` sees it; or a ``PcpError``.

        What it is called with answers the questions of :class:`pypcp.pmda.interface.AgentInterface`. Only without a
        :attr:`refusal`.
        """
        ...

    def attributes_changed(self, client: Client) -> None:
        """The agent may want to know."""
        ...

    def end_context(self, client: Client) -> asyncio.Future[None] | None:
        """A client has gone; None when the agent knows, else a future for when it does."""
        ...

    async def stop(self) -> None:
        """End the agent, for good."""
        ...


def no_containers(container: str) -> str:
    """Where nobody knows of containers there is none."""
    raise ContainerNotFound(container)


class LocalRoute:
    """The way to an agent in this process, which answers at once. ``announce`` takes its notices of change.

    And the way out for whatever its author's code raises: who asked is refused, nobody else is harmed.

    An agent here sees this host. Where each container has values of its own (``of_containers``), a client that looks
    into one gets an error for them, never the host's; ``host_name_of`` fails where there is no such container, and then
    none of the agent's metrics has values. (Stock's agents do the same, but for having the container's values.)
    """

    def __init__(
        self,
        agent: AgentInterface,
        announce: Callable[[int], None] = lambda changes: None,
        host_name_of: Callable[[str], str] = no_containers,
    ) -> None:
        self.agent = agent
        self._host_name_of = host_name_of
        self._of_containers: frozenset[int] = getattr(agent, "of_containers", frozenset())
        self._announce = announce
        self.domain = agent.domain
        self.name = agent.name
        self.fenced = False
        self._complaints = Complaints()
        self._end: type[PcpError] | None = None

    @property
    def refusal(self) -> type[PcpError] | None:
        return AgentFenced if self.fenced else self._end

    def ask(self, client: Client, call: Callable[[AgentInterface], T]) -> T:
        try:
            return call(self.agent)
        except Exception as error:  # noqa: BLE001 - the author's code
            raise self._refused(error) from None  # mostly it is the same, and as its own cause it would be a cycle

    def fetch(self, request: FetchRequest, client: Client) -> Fetched:
        """The agent's answer, or the route's refusal for each of the metrics."""
        refusal = self.refusal
        if refusal is not None:
            return failed(request, refusal.code)
        try:
            fetched = self.agent.fetch(request, client)
            if client.container and self._of_containers:
                fetched = self._inside(client.container, request, fetched)
        except Exception as error:  # noqa: BLE001 - the author's code
            return failed(request, self._refused(error).code)
        if fetched.changes:
            self._announce(fetched.changes)
        return fetched

    def _refused(self, error: Exception) -> PcpError:
        if isinstance(error, AgentNotReady):
            return TryAgain(str(error))
        return refusal_of(error, self.name, self._complaints)

    def _inside(self, container: str, request: FetchRequest, fetched: Fetched) -> Fetched:
        self._host_name_of(container)
        segments: list[Segment] = [
            EmptySegment(pmid, NotSupported.code) if pmid in self._of_containers else segment
            for pmid, segment in zip(request.pmids, fetched.segments, strict=True)
        ]
        return Fetched(segments, changes=fetched.changes, shared=False)

    def attributes_changed(self, client: Client) -> None:
        if self._end is None:
            self._tell(self.agent.attributes_changed, client)

    def end_context(self, client: Client) -> None:
        if self._end is None:
            self._tell(self.agent.end_context, client)

    def start(self) -> None:
        """Let the agent begin what it does in the background."""
        self._tell(self.agent.start)

    async def stop(self) -> None:
        """Ask the agent nothing more, and have it end what it does in the background, which may take seconds."""
        self._end = NoAgent
        ending = in_thread(self._tell, self.agent.stop)
        await asyncio.wait([ending], timeout=_STOP_LIMIT_S)
        if not ending.done():
            log.warning("%s: it does not end within %g s and is left behind", self.name, _STOP_LIMIT_S)

    def _tell(self, notice: Callable[..., None], *arguments: Client) -> None:
        """What has no answer cannot be refused: the log alone hears of it."""
        try:
            notice(*arguments)
        except Exception as error:  # noqa: BLE001 - the author's code
            self._complaints.failed(self.name, error)


class AbsentRoute:
    """In place of a route to an agent that is configured and cannot be had: there is no agent, but it is known."""

    refusal: type[PcpError] = NoAgent

    def __init__(self, name: str, domain: int) -> None:
        self.name = name
        self.domain = domain
        self.fenced = False

    def ask(self, client: Client, call: Callable[[Any], Any]) -> Any:
        raise self.refusal

    def attributes_changed(self, client: Client) -> None:
        pass

    def end_context(self, client: Client) -> None:
        pass

    async def stop(self) -> None:
        pass


def failed(request: FetchRequest, code: int) -> Fetched:
    """The same error for each of the metrics."""
    return Fetched([EmptySegment(pmid, code) for pmid in request.pmids])


class Router:
    """Routes by domain, and one name space over all of them."""

    def __init__(self, routes: Iterable[Route], names: Tree) -> None:
        self.routes = {route.domain: route for route in routes}
        self.names = names

    def route_of(self, ident: int) -> Route | None:
        """The route to the agent of a pmid or instance domain; None where there is no such agent."""
        return None if ident == PM_ID_NULL else self.routes.get(ident >> 22 & 0x1FF)


class NamesHere(NamedTuple):
    """The names of an agent in this process as they were at one moment; the agent goes on changing its own."""

    domain: int
    roots: tuple[str, ...]
    leaves: tuple[tuple[str, Pmid], ...]


def names_here(agents: Iterable[AgentInterface]) -> list[NamesHere]:
    """The names of agents as they are now."""
    return [NamesHere(each.domain, tuple(each.dynamic_roots), tuple(each.names.traverse(""))) for each in agents]


def merged_names(static: Tree, agents: Iterable[NamesHere]) -> Tree:
    """A name space with the names of ``static``, and those of agents whose names it does not have.

    With no file at all every name comes from the agents; with stock's file the daemon's own agent still has its names.
    Of a subtree that an agent changes as it runs, or that ``static`` leaves to one, only the root is taken: the agent
    is asked for what is below it. It may be done in any thread, and takes a while where there are many names.
    """
    names = Tree()
    known: set[str] = set()
    for name, pmid in static.traverse(""):
        names.insert(name, pmid)
        known.add(name)
    for agent in agents:
        for root in agent.roots:
            if root not in known:
                names.insert(root, dynamic_root(agent.domain))
        for name, pmid in agent.leaves:
            if name not in known and not _below(name, agent.roots) and names.find_root(name) is None:
                names.insert(name, pmid)
    return names


def _below(name: str, roots: Sequence[str]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)
