"""secret: names of several levels, and one that belongs to another agent's metric."""

from __future__ import annotations

from typing import Final

from pypcp.agents.sample.bench import Bench
from pypcp.model.ids import Pmid
from pypcp.model.units import COUNT
from pypcp.model.values import ValueType

_NUMBERS: Final = (
    "foo.one",
    "foo.two",
    "foo.bar.three",
    "foo.bar.four",
    "foo.bar.grunt.five",
    "foo.bar.grunt.snort.six",
    "foo.bar.grunt.snort.huff.puff.seven",
)


def declare(bench: Bench) -> None:
    """Declare the names, in the order in which stock gives them."""
    bench.agent.alias("sample.secret.foo.bar.max.redirect", Pmid.build(2, 4, 1))
    add = bench.metrics.metric
    add("sample.secret.bar", 1000, ValueType.STRING, lambda _: "foo", help_="Not much of a secret")
    for number, name in enumerate(_NUMBERS, 1):
        add(
            f"sample.secret.{name}",
            1000 + number,
            ValueType.I32,
            lambda _, number=number: number,
            units=COUNT,
            help_=f"The number {number}",
        )
