"""drift, lights, magnitude, rates: what chance gives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Generic, TypeVar

from pypcp.agents.sample.bench import Bench
from pypcp.pmda import I32, Counter, Discrete

T = TypeVar("T")


class Lasting(Generic[T]):
    """One of several values at a time, and the same for some fetches."""

    def __init__(self, values: Sequence[T], longest: int) -> None:
        self._values = values
        self._longest = longest
        self._left = 0

    def next(self) -> T:
        """The value of the next fetch."""
        if self._left == 0:
            self._left = random.randint(1, self._longest)
            self._value = random.choice(self._values)
        self._left -= 1
        return self._value


class Drift:
    """A number that goes up for a while, and down for a while, never below zero, about where it began."""

    def __init__(self, begin: int) -> None:
        self.begin_at(begin)

    def begin_at(self, value: int) -> None:
        """Go on from there."""
        self._mean = self._value = max(0, value)
        self._moved = False
        self._trend = 1

    def next(self) -> int:
        """The number of the next fetch."""
        if self._moved:
            if random.random() < 1 / 4:
                self._trend = 1 if self._value < self._mean else -1
            self._value = max(0, self._value + self._trend * random.randint(0, 50))
        self._moved = True
        return self._value


def declare(bench: Bench) -> None:
    """Declare them."""
    agent = bench.agent
    traffic, powers = Lasting(("red", "yellow", "green"), 17), Lasting([1 << power for power in range(7)], 6)
    drifting = Drift(200)

    @agent.metric("sample.drift", item=7)
    def drift() -> I32:
        """A number that goes up and down at random; what is stored is where it goes on"""
        return drifting.next()

    bench.on_store(drift, drifting.begin_at)

    @agent.metric("sample.lights", item=46)
    def lights() -> Discrete[str]:
        """Traffic lights: red, yellow or green for several fetches each"""
        return traffic.next()

    @agent.metric("sample.magnitude", item=47)
    def magnitude() -> Discrete[I32]:
        """A power of two, 1 to 64, for several fetches each"""
        return powers.next()

    _declare_bytes(bench)


def _declare_bytes(bench: Bench) -> None:
    agent, counted = bench.agent, {"byte": -1, "Kbyte": -1}

    def count(unit: str) -> int:
        counted[unit] = 0 if counted[unit] < 0 else (counted[unit] + random.randrange(1024)) % 2**31
        return counted[unit]

    @agent.metric("sample.byte_ctr", item=81, units="byte")
    def byte_ctr() -> Counter[I32]:
        """Bytes that grow by up to 1023 with each fetch"""
        return count("byte")

    @agent.metric("sample.kbyte_ctr", item=83, units="Kbyte")
    def kbyte_ctr() -> Counter[I32]:
        """Kilobytes that grow by up to 1023 with each fetch"""
        return count("Kbyte")

    rates = (
        ("byte_rate", 82, "byte / sec"),
        ("kbyte_rate", 84, "Kbyte / sec"),
        ("byte_rate_perhour", 85, "byte / hour"),
    )
    for name, item, units in rates:

        @agent.metric(f"sample.{name}", item=item, units=units)
        def rate() -> I32:
            """A rate that is any number from 0 to 1023"""
            return random.randrange(1024)
