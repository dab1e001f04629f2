"""The agents as a table: those that answer, and those that do not and why. It is what ``pmcd.agent`` tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pypcp.errors import TryAgain
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.config import AgentSpec, DsoAgent, PipeAgent, SocketAgent
from pypcp.pmcd.router import AbsentRoute, Route

_KINDS: Final[dict[type[AgentSpec], int]] = {DsoAgent: 0, SocketAgent: 2, PipeAgent: 4}
_NOT_READY: Final = 1
_NOT_STARTED: Final = 4


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent; without a ``route`` it is configured and cannot be had.

    ``kind`` is 0 for one in the daemon, 2 on a socket, 4 on a pipe. ``status``: 0 in service, 1 not ready, else why it
    is not connected.
    """

    domain: int
    label: str
    kind: int
    route: Route | None = None

    @property
    def status(self) -> int:
        """As ``pmcd.agent.status`` gives it."""
        if self.route is None:
            return _NOT_STARTED
        if not isinstance(self.route, AgentKeeper):
            return 0
        return _NOT_READY if self.route.refusal is TryAgain else self.route.status

    @property
    def fenced(self) -> bool:
        """Has root cut it off?"""
        return self.route is not None and self.route.fenced

    @property
    def answers(self) -> bool:
        """Is it connected?"""
        return self.status in (0, _NOT_READY)


def agent_rows(routes: Mapping[int, Route], specs: Iterable[AgentSpec]) -> list[AgentRow]:
    """Agents by domain: the ``routes`` there are, and what was configured (``specs``) and has none."""
    rows = {spec.domain: AgentRow(spec.domain, spec.label, _KINDS[type(spec)]) for spec in specs}
    for domain, route in routes.items():
        if isinstance(route, AbsentRoute):
            continue
        kind = rows[domain].kind if domain in rows and isinstance(route, AgentKeeper) else 0
        rows[domain] = AgentRow(domain, route.name, kind, route)
    return [row for _, row in sorted(rows.items())]
