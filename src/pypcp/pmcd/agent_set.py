"""All agents of a daemon. Each route to one has its owner here, from its making to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.agents import CONTAINERS, HELPER_DOMAIN, AgentMaker
from pypcp.pmcd.config import AgentSpec, DsoAgent
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.router import AbsentRoute, LocalRoute, NamesHere, Route, names_here
from pypcp.wire.pdu import StateChange


class Change(NamedTuple):
    """What a change came to: are the routes others now, and what are clients to be told?"""

    routes: bool
    told: StateChange


class AgentSet:
    """Our ``own`` agents by label, which live as long as we do, and those of the configuration.

    ``maker`` makes routes; the privileged ``helper`` is let go of at the end.
    """

    def __init__(self, own: Mapping[str, LocalRoute], maker: AgentMaker, helper: Helper | None) -> None:
        self.configured: dict[AgentSpec, Route] = {}
        self._own = own
        self._maker = maker
        self._helper = helper
        self._starting: list[Route] = []

    @property
    def routes(self) -> Collection[Route]:
        """The routes there are now, one a domain."""
        return {route.domain: route for route in (*self._own.values(), *self.configured.values())}.values()

    @property
    def told(self) -> list[Route]:
        """Who has to know of clients that come and go: those who answer, and those who are about to."""
        return list(dict.fromkeys([*self.routes, *self._starting]))

    def names(self) -> list[NamesHere]:
        """The names of the agents in this process."""
        return _names_of(self.routes)

    def own_names(self) -> list[NamesHere]:
        """The names that there are whatever the configuration says."""
        return _names_of(self._own.values())

    def start(self) -> None:
        """Let our own agents begin what they do in the background."""
        for route in self._own.values():
            route.start()

    async def change(self, named: Sequence[AgentSpec]) -> Change:
        """Start the agents that are ``named`` and do not run; end those that are named no more.

        Agents that were started before and have ended are told to start again. Agents are started all together, but
        for the privileged helper, which may have to start the others; returns when each answers or has failed to.
        Where that is not to be waited for, those that were being started are ended.
        """
        before = self._present()
        wanted = (*named, *await self._unnamed(named))
        kept = {spec: route for spec in wanted if (route := before.get(spec)) is not None}
        dropped = [route for spec, route in before.items() if route is not None and spec not in kept]
        await self._end(dropped)
        self.configured = dict(kept)
        new = [spec for spec in wanted if spec not in kept]
        try:
            started = await self._start([spec for spec in new if spec.domain == HELPER_DOMAIN])
            started |= await self._start([spec for spec in new if spec.domain != HELPER_DOMAIN])
            self.configured = {spec: kept.get(spec) or started[spec] for spec in wanted}
        except BaseException:
            await self._end(self._starting)
            raise
        finally:
            self._starting = []
        for spec, route in kept.items():
            if isinstance(route, AgentKeeper) and not isinstance(spec, DsoAgent):
                route.rename(spec.label, self._maker.starter(spec))
                route.start_again()
        return Change(before != self._present(), _changes(started.values(), dropped))

    def _present(self) -> dict[AgentSpec, Route | None]:
        return {spec: None if isinstance(route, AbsentRoute) else route for spec, route in self.configured.items()}

    async def _unnamed(self, named: Sequence[AgentSpec]) -> tuple[AgentSpec, ...]:
        """The agents that are here without a line: the helper, where something else than we started it."""
        if self._helper is None or any(spec.domain == HELPER_DOMAIN for spec in named):
            return ()
        return (CONTAINERS,) if CONTAINERS in self.configured or await self._helper.converses() else ()

    async def _start(self, specs: Sequence[AgentSpec]) -> dict[AgentSpec, Route]:
        started: dict[AgentSpec, Route] = {}
        for spec in specs:
            started[spec] = self._maker.route(spec)
            self._starting.append(started[spec])
        for route in self._not_own(started.values()):
            if isinstance(route, LocalRoute):
                route.start()
        keepers = [route for route in started.values() if isinstance(route, AgentKeeper)]
        if keepers:
            await asyncio.wait([keeper.settled for keeper in keepers])
        return started

    async def stop(self) -> None:
        """End all agents, the processes together; but the helper when they have ended, whom it may have to end."""
        routes = self.configured.values()
        await self._end([route for route in routes if route.domain != HELPER_DOMAIN])
        if self._helper is not None:
            self._helper.close()
        await self._end([route for route in routes if route.domain == HELPER_DOMAIN])
        await asyncio.gather(*[route.stop() for route in self._own.values()])

    async def _end(self, routes: Iterable[Route]) -> None:
        await asyncio.gather(*[route.stop() for route in self._not_own(routes)])

    def _not_own(self, routes: Iterable[Route]) -> list[Route]:
        """Without those of our own agents, whatever the configuration says of them."""
        own = self._own.values()
        return [route for route in routes if route not in own]


def _names_of(routes: Iterable[Route]) -> list[NamesHere]:
    return names_here([route.agent for route in routes if isinstance(route, LocalRoute)])


def _changes(started: Iterable[Route], dropped: Collection[Route]) -> StateChange:
    added = any(not isinstance(route, AbsentRoute) for route in started)
    return (StateChange.ADD_AGENT if added else StateChange.NO_CHANGE) | (
        StateChange.DROP_AGENT if dropped else StateChange.NO_CHANGE
    )
