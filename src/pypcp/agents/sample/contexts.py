"""percontext: what each client has done, and how many there were."""

from __future__ import annotations

from typing import Any

from pypcp.agents.sample.bench import Bench
from pypcp.model.units import COUNT
from pypcp.model.values import Semantics, ValueType


def declare(bench: Bench) -> None:
    """Declare the counts of the client that asks, and those of all."""
    requests = bench.agent.requests

    def add(name: str, item: int, read: Any, help_: str, sem: Semantics = Semantics.INSTANT) -> None:
        name = f"sample.percontext.{name}"
        bench.metrics.metric(name, item, ValueType.I32, read, sem=sem, units=COUNT, help_=help_, per_client=True)

    counter = Semantics.COUNTER
    received = requests.received  # the request at hand is among them, its reply is not
    add("pdu", 43, lambda _, client: 2 * received(client) - 1, "Requests by this client, and replies", counter)
    add("recv_pdu", 44, lambda _, client: received(client), "Requests by this client", counter)
    add("xmit_pdu", 45, lambda _, client: received(client) - 1, "Replies to this client", counter)
    add("control.ctx", 122, lambda _, client: requests.highest + 1, "One more than the highest number of a client")
    add("control.active", 123, lambda _, client: requests.active, "Clients that have asked and not gone")
    add("control.start", 124, lambda _, client: requests.started, "Clients that have asked so far")
    add("control.end", 125, lambda _, client: requests.ended, "Clients that have gone so far")
