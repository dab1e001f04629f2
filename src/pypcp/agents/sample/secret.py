"""secret: names that only the agent knows, and one of them another agent's metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pypcp.agents.sample.bench import Bench
from pypcp.errors import UnknownName, UnknownPmid
from pypcp.model.ids import Pmid
from pypcp.model.units import COUNT
from pypcp.model.values import ValueType

_ROOT: Final = "sample.secret"
_OTHER_AGENTS: Final = "foo.bar.max.redirect"
_NUMBERS: Final = (
    "foo.one",
    "foo.two",
    "foo.bar.three",
    "foo.bar.four",
    "foo.bar.grunt.five",
    "foo.bar.grunt.snort.six",
    "foo.bar.grunt.snort.huff.puff.seven",
)


class SecretNames:
    """The names below a root, in the order in which stock gives them; what is not there has nothing below it.

    ``names`` tells them whenever somebody asks.
    """

    def __init__(self, names: Callable[[], Mapping[str, Pmid]]) -> None:
        self._names = names

    def lookup(self, name: str) -> Pmid:
        """``UnknownName``, also for what is above a metric."""
        try:
            return self._names()[name]
        except KeyError:
            raise UnknownName(name) from None

    def names_of(self, pmid: int) -> Sequence[str]:
        """``UnknownPmid``"""
        found = [name for name, each in self._names().items() if each == pmid]
        if not found:
            raise UnknownPmid(str(Pmid(pmid)))
        return found

    def children(self, name: str) -> Sequence[tuple[str, bool]]:
        """The single components right below, and whether each is a metric."""
        found: dict[str, bool] = {}
        for below in self.traverse(name):
            head, dot, _ = below[len(name) + 1 :].partition(".")
            if head:
                found.setdefault(head, not dot)
        return list(found.items())

    def traverse(self, name: str) -> Sequence[str]:
        """The whole names at and below."""
        return [each for each in self._names() if each == name or each.startswith(f"{name}.")]


def declare(bench: Bench) -> None:
    """Declare the names, in the order in which stock gives them."""
    add = bench.metrics.metric
    names = {_OTHER_AGENTS: Pmid.build(2, 4, 1), "bar": bench.pmid(1000)}
    add("", 1000, ValueType.STRING, lambda _: "foo", help_="Not much of a secret")
    for number, name in enumerate(_NUMBERS, 1):
        names[name] = bench.pmid(1000 + number)
        value = lambda _, number=number: number  # noqa: E731
        add("", 1000 + number, ValueType.I32, value, units=COUNT, help_=f"The number {number}")
    whole = {f"{_ROOT}.{name}": pmid for name, pmid in names.items()}
    bench.agent.answer_names(_ROOT, SecretNames(lambda: whole))
