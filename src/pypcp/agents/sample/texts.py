"""string and aggregate: the same texts, and the same as bytes."""

from __future__ import annotations

from collections.abc import Callable

from pypcp.agents.sample.bench import Bench
from pypcp.model.values import ValueType


def declare(bench: Bench) -> None:
    """Declare both groups."""
    _declare_group(bench, "string", ValueType.STRING, 30, str)
    _declare_group(bench, "aggregate", ValueType.AGGREGATE, 33, str.encode)

    @bench.agent.metric("sample.string.bin", item=153, indom=bench.bins)
    def string_bin() -> list[str]:
        """What is in each bin, as a text of at least three characters"""
        return [f"{value:3d}" for value in bench.bin_values.values()]


def _declare_group(
    bench: Bench, name: str, type_: ValueType, first: int, make: Callable[[str], str] | Callable[[str], bytes]
) -> None:
    add = bench.metrics.metric
    add(f"sample.{name}.null", first, type_, lambda _: make(""), help_="Nothing, but a value")
    add(f"sample.{name}.hullo", first + 1, type_, lambda _: make("hullo world!"), help_="A greeting")
    bench.write_me(f"sample.{name}.write_me", first + 2, type_, make("13"))
