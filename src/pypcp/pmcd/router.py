"""Which agent answers for what: domains to agents, names to pmids.

A router never changes: a reload, or an agent that comes or goes, makes a new one, and what was worked out from the old
one (fetch plans above all) goes with it. Agents that stay are carried over.
"""

from __future__ import annotations

from collections.abc import Iterable

from pypcp.errors import AgentFenced, PcpError
from pypcp.model.ids import PM_ID_NULL, Pmid
from pypcp.pmda.interface import AgentInterface, Client, FetchRequest
from pypcp.pmda.segments import EmptySegment, Fetched
from pypcp.pmns.tree import Tree


class Route:
    """The way to an agent that lives in this process and answers at once.

    ``fenced``: an administrator has cut it off; its metrics say ``PM_ERR_PMDAFENCED``.
    """

    def __init__(self, agent: AgentInterface) -> None:
        self.agent = agent
        self.domain = agent.domain
        self.name = agent.name
        self.fenced = False

    @property
    def refusal(self) -> type[PcpError] | None:
        """Why the agent is not to be asked now, None when it may be."""
        return AgentFenced if self.fenced else None

    def fetch(self, request: FetchRequest, client: Client) -> Fetched:
        """The agent's answer, or the route's refusal for each of the metrics."""
        refusal = self.refusal
        if refusal is None:
            return self.agent.fetch(request, client)
        return Fetched([EmptySegment(pmid, refusal.code) for pmid in request.pmids])


class Router:
    """Routes by domain, and one name space over all of them."""

    def __init__(self, routes: Iterable[Route], names: Tree) -> None:
        self.routes = {route.domain: route for route in routes}
        self.names = names

    def route_of(self, ident: int) -> Route | None:
        """The route to the agent of a pmid or instance domain; None where there is no such agent."""
        return None if ident == PM_ID_NULL else self.routes.get(ident >> 22 & 0x1FF)


def merged_names(static: Tree, agents: Iterable[AgentInterface]) -> Tree:
    """A name space with the names of ``static``, and those of agents whose names it does not have.

    With no file at all every name comes from the agents; with stock's file the daemon's own agent still has its names.
    """
    names = Tree()
    known: set[str] = set()
    for name, pmid in static.traverse(""):
        names.insert(name, pmid)
        known.add(name)
    for agent in agents:
        for name in agent.traverse(""):
            if name not in known:
                names.insert(name, Pmid(agent.lookup_name(name)))
    return names
