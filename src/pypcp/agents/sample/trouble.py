"""write_me, control, not_ready, bad, many: what clients have to cope with."""

from __future__ import annotations

import threading

from pypcp.agents.sample.bench import Bench
from pypcp.model.units import COUNT
from pypcp.model.values import ValueType
from pypcp.pmda import I32
from pypcp.pmda.units import parse_units


def declare(bench: Bench) -> None:
    """Declare them all."""
    _declare_write_me(bench)
    _declare_control(bench)
    _declare_not_ready(bench)
    _declare_many(bench)

    @bench.agent.metric("sample.bad.novalues", item=138)
    def novalues() -> I32 | None:
        """Never a value"""
        return None


def _declare_write_me(bench: Bench) -> None:
    units = parse_units("count / sec")
    bench.storable("sample.write_me", 36, ValueType.I32, 2, "A number that can be stored", units=units)


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
    agent = bench.agent

    @agent.metric("sample.not_ready", item=56)
    def not_ready() -> I32:
        """Store a number of seconds for which the agent shall not be ready"""
        return 0

    @not_ready.on_store
    def pause(value: int) -> None:
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
