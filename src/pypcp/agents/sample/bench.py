"""What the groups of the sample agent have in common: where metrics go, the bins, values that can be stored."""

from __future__ import annotations

from typing import Any, Final

from pypcp.model.ids import Pmid
from pypcp.model.values import Value, ValueType
from pypcp.pmda import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.labels import NO_LABELS, Labels
from pypcp.pmda.metrics import Metric

BINS: Final = range(100, 1000, 100)


class Bench:
    """An agent under construction. All its metrics are in cluster 0, their items are stock's."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.metrics = agent.cluster(0)
        self.stored: dict[Pmid, Value] = {}
        """What clients have stored."""
        self.bins = agent.indom(
            2,
            help_="Bins\nNine of them, whose numbers are far apart.",
            fixed={number: f"bin-{number}" for number in BINS},
            label_instance=lambda name: {"bin": int(name.removeprefix("bin-"))},
        )

    def indom(self, serial: int, help_: str, **facts: Any) -> Indom:
        """Declare an instance domain whose instances have a set of labels each, but none in it, as stock's."""
        return self.agent.indom(serial, help_=help_, label_instance=lambda name: {}, **facts)

    def storable(self, name: str, item: int, type_: ValueType, first: Value, help_: str, **facts: Any) -> Metric:
        """Declare a metric whose value is whatever was stored last; with numbers a note says whether it is another."""
        stored = self.stored
        pmid = Pmid.build(self.agent.domain, 0, item)
        stored[pmid] = first
        notes = (
            NO_LABELS if isinstance(first, str | bytes) else Labels(notes=lambda: {"changed": stored[pmid] != first})
        )
        made = self.metrics.metric(name, item, type_, lambda _: stored[pmid], help_=help_, labels=notes, **facts)

        @made.on_store
        def keep(value: Value) -> None:
            stored[pmid] = value

        return made
