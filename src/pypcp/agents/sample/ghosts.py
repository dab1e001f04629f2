"""ghosts: metrics that come and go as one stores how many of their instances are to be seen."""

from __future__ import annotations

from typing import Final

from pypcp.agents.sample.bench import Bench
from pypcp.agents.sample.secret import SecretNames
from pypcp.model.units import COUNT
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.metrics import Metric, Read

_ROOT: Final = "sample.ghosts"
_GHOSTS: Final = {
    "Obambo": ("Africa", "10"),
    "Banjhakri": ("Nepal", "01"),
    "Mogwai": ("China", "0011"),
    "Pocong": ("Indonesia", "1100"),
    "Hitodama": ("Japan", "100011"),
    "Krahang": ("Thailand", "011100"),
    "Zmeu": ("Roumania", "11000011"),
    "Duppy": ("Jamaica", "0"),
}
"""Where each is from, and its states, one a fetch."""


class Ghosts:
    """Of the ghosts the first ``visible`` are there; below zero not even their metrics are."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._indom = bench.indom(11, "Ghosts\nAs many as sample.ghosts.visible says.")
        self.visible = -1
        self._night = 0
        self._metrics = {
            "origin": self._metric(1009, ValueType.STRING, Semantics.DISCRETE, self.origins, "Where each is from"),
            "karma": self._metric(1010, ValueType.U32, Semantics.INSTANT, self.karma, "Something about each"),
            "state": self._metric(1011, ValueType.U32, Semantics.INSTANT, self.states, "What each is at"),
        }
        self._visible = {f"{_ROOT}.visible": bench.pmid(1008)}
        self._all = self._visible | {f"{_ROOT}.{name}": each.desc.pmid for name, each in self._metrics.items()}
        self.show(self.visible)
        bench.agent.answer_names(_ROOT, SecretNames(lambda: self._visible if self.visible < 0 else self._all))

    def _metric(self, item: int, type_: ValueType, sem: Semantics, read: Read, help_: str) -> Metric:
        return self._bench.metrics.metric("", item, type_, read, indom=self._indom, help_=help_, sem=sem)

    def show(self, number: int) -> None:
        """So many of them are to be seen, at most all."""
        registry = self._bench.agent.registry
        self.visible = min(number, len(_GHOSTS))
        self._night = 0
        names = list(_GHOSTS)[: max(0, self.visible)]
        self._indom.replace(names, range(1, len(names) + 1))
        for metric in self._metrics.values():
            known = metric.desc.pmid in registry.metrics
            if known and self.visible < 0:
                registry.remove(metric)
            elif not known and self.visible >= 0:
                registry.add(metric)

    def origins(self, _: object) -> list[str]:
        """Where those to be seen are from."""
        return [_GHOSTS[name][0] for name in self._indom.names]

    def karma(self, _: object) -> list[int]:
        """Something about those to be seen."""
        return [len(name) for name in self._indom.names]

    def states(self, _: object) -> list[int]:
        """What those to be seen are at."""
        nights = [_GHOSTS[name][1] for name in self._indom.names]
        self._night += 1
        return [int(states[(self._night - 1) % len(states)]) for states in nights]


def declare(bench: Bench) -> None:
    """Declare how many are to be seen, and what is known of them."""
    ghosts = Ghosts(bench)
    help_ = "How many ghosts are to be seen, 0 to 8, which can be stored; below zero not even their metrics are there"
    visible = bench.metrics.metric("", 1008, ValueType.I32, lambda _: ghosts.visible, units=COUNT, help_=help_)
    bench.on_store(visible, ghosts.show)
