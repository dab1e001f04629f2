"""Storing values: split by agent, each agent's share stored whole or refused. See: pmStore(3)."""

from __future__ import annotations

from operator import methodcaller

from pypcp.errors import NoAgent, PcpError
from pypcp.model.values import ValueSet
from pypcp.pmcd.asking import Asking, ask, kept
from pypcp.pmcd.router import Route, Router
from pypcp.pmda.interface import Client
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import Pdu
from pypcp.wire.result import Result


def store(router: Router, client: Client, pdu: Result) -> Asking[Pdu]:
    """RESULT -> ERROR with code 0, or the last agent's failure, or above all that a metric has no agent."""
    shares: dict[int, tuple[Route, list[ValueSet]]] = {}
    missing = False
    for value_set in pdu.value_sets:
        route = router.route_of(value_set.pmid)
        if route is None:
            missing = True
        else:
            shares.setdefault(route.domain, (route, []))[1].append(value_set)
    failures: list[PcpError] = []
    for route, value_sets in shares.values():
        try:
            yield from ask(route, client, NoAgent, methodcaller("store", value_sets, client))
        except PcpError as error:
            failures.append(kept(error))
    if missing:
        raise NoAgent()
    if failures:
        raise failures.pop()  # and not by name: what its frames still hold would be a cycle with it
    return Error(0)
