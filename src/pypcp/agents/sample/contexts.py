"""percontext: what each client has done, and how many there were."""

from __future__ import annotations

from dataclasses import dataclass, field

from pypcp.agents.sample.bench import Bench
from pypcp.model.units import COUNT
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda import Client


@dataclass
class Contexts:
    """Clients that have come and gone, as far as they asked for these metrics."""

    started: int = 0
    ended: int = 0
    highest: int = -1
    known: set[int] = field(default_factory=set)

    def received(self, client: Client) -> int:
        """One more request of a client; how many that makes."""
        if client.context not in self.known:
            self.known.add(client.context)
            self.started += 1
            self.highest = max(self.highest, client.context)
        client.state["received"] = client.state.get("received", 0) + 1
        return int(client.state["received"])

    def gone(self, client: Client) -> None:
        """A client has gone."""
        if client.context in self.known:
            self.known.discard(client.context)
            self.ended += 1


def declare(bench: Bench) -> None:
    """Declare the counts of the client that asks, and those of all."""
    contexts = Contexts()
    bench.agent.on_end(contexts.gone)

    def add(name: str, item: int, read: object, help_: str, sem: Semantics = Semantics.INSTANT) -> None:
        bench.metrics.metric(
            f"sample.percontext.{name}",
            item,
            ValueType.I32,
            read,  # type: ignore[arg-type]
            sem=sem,
            units=COUNT,
            help_=help_,
            per_client=True,
        )

    counter = Semantics.COUNTER
    add("pdu", 43, lambda _, client: 2 * contexts.received(client) - 1, "Requests by this client, and replies", counter)
    add("recv_pdu", 44, lambda _, client: contexts.received(client), "Requests by this client", counter)
    add("xmit_pdu", 45, lambda _, client: contexts.received(client) - 1, "Replies to this client", counter)
    add("control.ctx", 122, lambda _, client: contexts.highest, "The highest number that a client has had")
    add("control.active", 123, lambda _, client: len(contexts.known), "Clients that have asked and not gone")
    add("control.start", 124, lambda _, client: contexts.started, "Clients that have asked so far")
    add("control.end", 125, lambda _, client: contexts.ended, "Clients that have gone so far")
