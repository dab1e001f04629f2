"""What the groups of the sample agent have in common: where metrics go, the bins, values that can be stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from pypcp.agents.sample.requests import SampleAgent
from pypcp.model.ids import Pmid
from pypcp.model.values import Value, ValueType
from pypcp.pmda.indom import Indom
from pypcp.pmda.labels import NO_LABELS, Labels
from pypcp.pmda.metrics import Metric

BINS: Final = range(100, 1000, 100)


class Bench:
    """An agent under construction. All its metrics are in cluster 0, their items are stock's."""

    def __init__(self, agent: SampleAgent) -> None:
        self.agent = agent
        self.metrics = agent.cluster(0)
        self.begun = time.monotonic()
        self.bin_values = {number: number for number in BINS}
        """What is in each bin: one can store it into sample.bin, and all metrics of bins show it."""
        self.bins = agent.indom(
            2,
            help_="Bins\nNine of them, whose numbers are far apart.",
            fixed={number: f"bin-{number}" for number in BINS},
            label_instance=lambda name: {"bin": int(name.removeprefix("bin-"))},
        )

    def seconds(self) -> int:
        """Whole seconds since the agent was made."""
        return int(time.monotonic() - self.begun)

    def pmid(self, item: int) -> Pmid:
        """The pmid of an item."""
        return Pmid.build(self.agent.domain, 0, item)

    def indom(self, serial: int, help_: str, **facts: Any) -> Indom:
        """Declare an instance domain whose instances have a set of labels each, but none in it, as stock's."""
        return self.agent.indom(serial, help_=help_, **{"label_instance": lambda name: {}} | facts)

    def storable(
        self,
        name: str,
        item: int,
        type_: ValueType,
        first: Value,
        help_: str,
        kept: Callable[[Any], Value] = lambda value: value,
        **facts: Any,
    ) -> Callable[[], Any]:
        """Declare a metric whose value is whatever was stored last, or what ``kept`` makes of that; tell that value."""
        now = [first]
        made = self.metrics.metric(name, item, type_, lambda _: now[0], help_=help_, **facts)

        @made.on_store
        def keep(value: Value) -> None:
            now[0] = kept(value)

        return lambda: now[0]

    def write_me(self, name: str, item: int, type_: ValueType, first: Value, **facts: Any) -> None:
        """Declare a metric to try pmstore with; where it is a number a note says whether it is another one now."""
        notes = NO_LABELS if isinstance(first, str | bytes) else Labels(notes=lambda: {"changed": now() != first})
        now = self.storable(name, item, type_, first, "A value that can be stored", labels=notes, **facts)

    def on_store(self, metric: Metric, function: Callable[[Any], None]) -> None:
        """Have ``function`` called with each value stored into a metric, whichever the instance."""

        @metric.on_store
        def store(value: Any) -> None:
            function(value)
