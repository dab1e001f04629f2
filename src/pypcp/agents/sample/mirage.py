"""colour and mirage: saw teeth of one counter, and instances that come and go."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from pypcp.agents.sample.bench import Bench
from pypcp.model.units import MSEC
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda import I32, I64
from pypcp.pmda.indom import Indom

_MOST = 50


class SawTooth:
    """A counter from 0 to 99 that each value takes a step of, whichever of the metrics it is for."""

    def __init__(self) -> None:
        self.count = 0

    def step(self) -> int:
        """The next one."""
        self.count = (self.count + 1) % 100
        return self.count

    def store(self, value: int) -> None:
        """Go on from there."""
        self.count = value


class Sightings:
    """Which instances are to be seen: the first always, others for a while."""

    def __init__(self, indom: Indom, every_ms: Callable[[], int]) -> None:
        self._indom = indom
        self._every_ms = every_ms
        self._looked_at = time.monotonic()
        self._show({0})

    def _show(self, ids: set[int]) -> None:
        self._indom.replace([f"m-{each:02d}" for each in sorted(ids)], sorted(ids))

    def look(self) -> None:
        """Some come and some go, if it is time."""
        now = time.monotonic()
        if (now - self._looked_at) * 1000 < self._every_ms():
            return
        self._looked_at = now
        staying = {each for each in self._indom.ids if random.random() < 0.7}
        coming = {each for each in range(1, _MOST) if random.random() < 0.05}
        self._show({0} | staying | coming)


def declare(bench: Bench) -> None:
    """Declare them."""
    tooth = SawTooth()
    _declare_colour(bench, tooth)
    _declare_mirage(bench, tooth)


def _declare_colour(bench: Bench, tooth: SawTooth) -> None:
    agent = bench.agent
    colours = bench.indom(1, "Colours", fixed={0: "red", 1: "green", 2: "blue"}, labels={"model": "RGB"})

    @agent.metric("sample.colour", item=5, indom=colours)
    def colour() -> list[I32]:
        """Saw teeth that grow by three with each fetch: red from 100, green from 200, blue from 300

        What is stored is where they go on, all of them."""
        return [lowest + tooth.step() for lowest in (100, 200, 300)]

    bench.on_store(colour, tooth.store)

    @agent.metric("sample.darkness", item=92, indom=colours)
    def darkness() -> list[I32] | None:
        """Never a value of any colour"""
        return None


def _declare_mirage(bench: Bench, tooth: SawTooth) -> None:
    help_ = "How many milliseconds the instances of sample.mirage stay the same"
    facts: dict[str, Any] = {"sem": Semantics.DISCRETE, "units": MSEC}
    every_ms = bench.storable("sample.controller.mirage", 155, ValueType.I32, 10_000, help_, **facts)
    visible = bench.indom(
        3,
        "What is in a mirage\nm-00 always, others from m-01 to m-49 come and go.",
        label_instance=lambda name: {"transient": name != "m-00"},
    )
    sightings = Sightings(visible, every_ms)
    visible.source = sightings.look

    def teeth(scale: int) -> list[int]:
        sightings.look()
        return [((instance + 1) * 100 - tooth.step()) * scale for instance in visible.ids]

    @bench.agent.metric("sample.mirage", item=37, indom=visible, units="Kbyte / sec")
    def mirage() -> list[I32]:
        """Saw teeth of instances that come and go; what is stored is where they go on"""
        return teeth(1)

    @bench.agent.metric("sample.mirage_longlong", item=38, indom=visible, units="byte / millisec")
    def mirage_longlong() -> list[I64]:
        """Saw teeth of instances that come and go, of a million steps each; what is stored is where they go on"""
        return teeth(1_000_000)

    bench.on_store(mirage, tooth.store)
    bench.on_store(mirage_longlong, tooth.store)
