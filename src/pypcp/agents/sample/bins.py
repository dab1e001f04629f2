"""bin and its relations, colour: instances as they should be, some of them, and such as there are not."""

from __future__ import annotations

from pypcp.agents.sample.bench import BINS, Bench
from pypcp.pmda import I32
from pypcp.pmda.indom import Indom


def declare(bench: Bench) -> None:
    """Declare them."""
    agent = bench.agent
    colours = bench.indom(1, "Colours", fixed={0: "red", 1: "green", 2: "blue"}, labels={"model": "RGB"})
    # The same domain with instances that it does not have: what an agent with a bug would give.
    bogus_ids = [number if number // 100 % 2 else number + 50 for number in BINS]
    bogus_bins = Indom(bench.bins.id, fixed={number: str(number) for number in bogus_ids})
    saw_teeth = [100, 200, 300]

    @agent.metric("sample.bin", item=6, indom=bench.bins)
    def all_bins() -> list[I32]:
        """The number of each bin"""
        return list(BINS)

    @agent.metric("sample.part_bin", item=50, indom=bench.bins)
    def part_bin() -> list[I32 | None]:
        """The number of every other bin; the others have no value"""
        return [number if number // 100 % 2 else None for number in BINS]

    @agent.metric("sample.bogus_bin", item=51, indom=bogus_bins)
    def bogus_bin() -> list[I32]:
        """Values of instances that there are not

        Every other value belongs to an instance that the domain does not have, as if an agent had a bug."""
        return bogus_ids

    @agent.metric("sample.colour", item=5, indom=colours)
    def colour() -> list[I32]:
        """Numbers that grow with each fetch: red by one, green by two, blue by three"""
        saw_teeth[:] = [value + grown for value, grown in zip(saw_teeth, (1, 2, 3), strict=True)]
        return saw_teeth
