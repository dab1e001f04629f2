"""dodgey, error_check, needprofile: metrics that fail as one asks them to."""

from __future__ import annotations

import random
from typing import Final, TypeVar

from pypcp.agents.sample.bench import Bench
from pypcp.errors import AppVersion, NoAgent, ProfileRequired, TryAgain, from_code
from pypcp.model.values import ValueType
from pypcp.pmda import F32, I32, Discrete

T = TypeVar("T")

_DODGEY: Final = 5
_FAMILY: Final = {"colleen": 3.05, "terry": 12.05, "emma": 11.09, "cathy": 11.09, "fat bald bastard": 5.26}


class Dodgey:
    """Some of five instances, or an error: as ``control`` says, and by chance where that is above five."""

    def __init__(self, bench: Bench) -> None:
        self.indom = bench.indom(6, "Unreliable instances\nFive of them at most.")
        self.store(_DODGEY)

    def store(self, control: int) -> None:
        """What is to be seen from now on."""
        self.control = control
        self._left = 0
        self._failure: type[Exception] | None = None
        self._show(range(1, _DODGEY + 1))

    def _show(self, ids: range | list[int]) -> None:
        self.indom.replace([f"d{each}" for each in ids], ids)

    def values(self) -> list[int | None]:
        """Those of the next fetch, or an error."""
        if self.control < 0:
            raise from_code(self.control)
        if self.control > _DODGEY:
            self._take_chance()
        seen = self.control if self.control < _DODGEY else _DODGEY
        return [random.randint(0, 100) if at < seen else None for at in range(len(self.indom))]

    def _take_chance(self) -> None:
        if self._left == 0:
            self._left = random.randint(1, self.control)
            self._failure = random.choice((NoAgent, TryAgain, AppVersion)) if random.random() < 0.1 else None
            self._show(sorted(random.sample(range(1, _DODGEY + 1), random.randint(0, _DODGEY))))
        self._left -= 1
        if self._failure is not None:
            raise self._failure()


def declare(bench: Bench) -> None:
    """Declare them."""
    _declare_dodgey(bench)
    _declare_errors(bench)
    _declare_needprofile(bench)


def _declare_dodgey(bench: Bench) -> None:
    agent, dodgey = bench.agent, Dodgey(bench)

    @agent.metric("sample.dodgey.control", item=61)
    def control() -> Discrete[I32]:
        """What sample.dodgey.value gives: so many values, an error if below zero, anything if above five"""
        return dodgey.control

    bench.on_store(control, dodgey.store)

    @agent.metric("sample.dodgey.value", item=62, indom=dodgey.indom)
    def value() -> list[I32 | None]:
        """Up to five numbers from 0 to 100, or an error; sample.dodgey.control says which"""
        return dodgey.values()


def _declare_errors(bench: Bench) -> None:
    help_ = "What sample.error_check fails with, where it is below zero"
    code = bench.storable("sample.error_code", 74, ValueType.I32, 0, help_)

    def unless_refused(answer: T) -> T:
        if code() < 0:
            raise from_code(code())
        return answer

    @bench.agent.metric("sample.error_check", item=75)
    def error_check() -> I32:
        """Always 0, or always the error that sample.error_code says; its descriptor too"""
        return unless_refused(0)

    bench.agent.told[error_check.desc.pmid] = unless_refused


def _declare_needprofile(bench: Bench) -> None:
    agent = bench.agent
    help_ = "A family\nFive instances, which a client has to name to see their values."
    family = bench.indom(4, help_, fixed=dict(enumerate(_FAMILY)), labels={"clan": "mcdonell"})

    @agent.metric("sample.needprofile", item=49, indom=family)
    def needprofile() -> Discrete[list[F32]]:
        """Values for those who name the instances that they want; an error for others"""
        chosen = agent.profile.of(family.id)
        if chosen is None or chosen.include or not chosen.listed:
            raise ProfileRequired()
        return list(_FAMILY.values())
