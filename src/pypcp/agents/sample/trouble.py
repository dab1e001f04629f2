"""write_me, control, not_ready, bad, noinst, many: what clients have to cope with."""

from __future__ import annotations

import threading
from dataclasses import replace

from pypcp.agents.sample.bench import Bench
from pypcp.errors import AppVersion, TryAgain
from pypcp.model.units import COUNT
from pypcp.model.values import ValueType
from pypcp.pmda import I32, Discrete
from pypcp.pmda.units import parse_units


def declare(bench: Bench) -> None:
    """Declare them all."""
    _declare_write_me(bench)
    _declare_control(bench)
    _declare_not_ready(bench)
    _declare_many(bench)
    _declare_bad(bench)


def _declare_write_me(bench: Bench) -> None:
    units = parse_units("count / sec")
    bench.write_me("sample.write_me", 36, ValueType.I32, 2, units=units)


def _declare_bad(bench: Bench) -> None:
    agent = bench.agent
    agent.alias("sample.bad.unknown", bench.pmid(54))

    def unsupported(_: object) -> int:
        raise AppVersion("sample.bad.nosupport")

    made = bench.metrics.metric("sample.bad.nosupport", 55, ValueType.I32, unsupported, help_="Not supported, ever")
    # No metric can be declared that has no type, but it can be told so.
    agent.told[made.desc.pmid] = lambda desc: replace(desc, type=ValueType.NOSUPPORT, sem=0)

    @agent.metric("sample.bad.novalues", item=138)
    def novalues() -> I32 | None:
        """Never a value"""
        return None

    @agent.metric("sample.bad.fetch.again", item=154)
    def again() -> Discrete[I32]:
        """Never now"""
        raise TryAgain("sample.bad.fetch.again")

    @agent.metric("sample.noinst", item=9)
    def noinst() -> I32 | None:
        """Never a value either"""
        return None


def _declare_control(bench: Bench) -> None:
    stored = 0

    @bench.agent.metric("sample.control", item=0)
    def control() -> I32:
        """Store -1 to end the agent
        Where it is a process; within a daemon it goes on. Other numbers make no difference."""
        return stored

    @control.on_store
    def keep(value: int) -> None:
        nonlocal stored
        stored = value
        if value == -1:
            bench.agent.quit()


def _declare_not_ready(bench: Bench) -> None:
    agent, failed = bench.agent, [0]

    @agent.metric("sample.not_ready", item=56)
    def not_ready() -> I32:
        """Store a number of seconds for which the agent shall not be ready"""
        return failed[0]

    @not_ready.on_store
    def pause(value: int) -> None:
        failed[0] = min(value, 0)
        if value <= 0:
            return
        # It begins here and now but ends in another thread: this store is answered at once.
        block = agent.not_ready()
        block.__enter__()
        end = threading.Timer(value, block.__exit__, (None, None, None))
        end.daemon = True
        end.start()


def _declare_many(bench: Bench) -> None:
    many = bench.indom(8, "As many instances as one likes")
    many.replace([f"i-{number}" for number in range(5)])

    @bench.agent.metric("sample.many.count", item=79, units=COUNT)
    def count() -> I32:
        """How many instances sample.many.int has; another number may be stored"""
        return len(many)

    @count.on_store
    def set_count(value: int) -> None:
        many.replace([f"i-{number}" for number in range(max(0, value))])

    @bench.agent.metric("sample.many.int", item=80, indom=many, units=COUNT)
    def numbers() -> list[I32]:
        """The number of each instance"""
        return list(range(len(many)))
