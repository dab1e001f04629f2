"""bin and its relations: instances as they should be, some of them, such as there are not, and in disorder."""

from __future__ import annotations

import random

from pypcp.agents.sample.bench import BINS, Bench
from pypcp.pmda import I32, I64
from pypcp.pmda.indom import Indom


def declare(bench: Bench) -> None:
    """Declare them."""
    _declare_bins(bench)
    _declare_scramble(bench)


def _declare_bins(bench: Bench) -> None:
    agent, values = bench.agent, bench.bin_values
    # The same domain with instances that it does not have: what an agent with a bug would give.
    aside = [0 if number // 100 % 2 else 50 for number in BINS]
    bogus_ids = [number + more for number, more in zip(BINS, aside, strict=True)]
    bogus_bins = Indom(bench.bins.id, fixed={number: str(number) for number in bogus_ids})

    @agent.metric("sample.bin", item=6, indom=bench.bins)
    def all_bins() -> list[I32]:
        """What is in each bin: its number, if nothing else was stored

        All other metrics of bins show what is stored here."""
        return list(values.values())

    @all_bins.on_store
    def fill(value: int, instance: str) -> None:
        values[bench.bins.id_of(instance)] = value

    @agent.metric("sample.bucket", item=48, indom=bench.bins)
    def bucket() -> list[I32]:
        """The same as sample.bin"""
        return list(values.values())

    @agent.metric("sample.part_bin", item=50, indom=bench.bins)
    def part_bin() -> list[I32 | None]:
        """What is in every other bin; the others have no value"""
        return [value if number // 100 % 2 else None for number, value in values.items()]

    @agent.metric("sample.bogus_bin", item=51, indom=bogus_bins)
    def bogus_bin() -> list[I32]:
        """Values of instances that there are not

        Every other value belongs to an instance that the domain does not have, as if an agent had a bug."""
        return [value + more for value, more in zip(values.values(), aside, strict=True)]


class Scramble:
    """The bins in an order that is another one with each fetch, some missing; always the same after a reset."""

    def __init__(self, indom: Indom) -> None:
        self._indom = indom
        self.reset()
        self._show(list(BINS))

    def reset(self) -> None:
        """Begin again."""
        self.version = 0
        self._random = random.Random(0)

    def next(self) -> list[int]:
        """The bins of the next fetch; at first all are there, and later each third time some are missing."""
        chance = self._random
        some = len(BINS) if not self.version or chance.random() > 1 / 3 else chance.randrange(1, len(BINS))
        self.version += 1
        bins = chance.sample(BINS, some)
        self._show(bins)
        return bins

    def _show(self, bins: list[int]) -> None:
        self._indom.replace([f"bin-{number}" for number in bins], bins)


def _declare_scramble(bench: Bench) -> None:
    agent, values = bench.agent, bench.bin_values

    def label(name: str) -> dict[str, int]:
        return {"bin": int(name.removeprefix("bin-"))}

    disorderly = bench.indom(9, "Bins in disorder\nThose that the last fetch had.", label_instance=label)
    scramble = Scramble(disorderly)

    @agent.metric("sample.scramble.version", item=120)
    def version() -> I64:
        """How often sample.scramble.bin was fetched; whatever is stored, it begins again"""
        return scramble.version

    bench.on_store(version, lambda value: scramble.reset())

    @agent.metric("sample.scramble.bin", item=121, indom=disorderly)
    def scrambled() -> list[I32]:
        """What is in the bins, in another order with each fetch, and sometimes some are missing"""
        return [values[number] for number in scramble.next()]
