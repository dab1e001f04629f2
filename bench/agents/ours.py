"""The agent that is measured, on our SDK: a single value, a column of 10,000 doubles, names that grow by one."""

import os

from pypcp.model.values import ValueType
from pypcp.pmda import U32, Agent

SIZE = int(os.environ.get("BENCH_SIZE", "10000"))
NAMES = int(os.environ.get("BENCH_NAMES", "0"))

agent = Agent("bench", 400)
things = agent.indom(0, fixed={number: f"inst{number:05}" for number in range(SIZE)})
values = [number * 1.5 for number in range(SIZE)]
tree = agent.subtree("bench.tree", clusters=range(10, 40))
stored = {"names": 0}


@agent.metric("bench.one", item=0)
def one() -> U32:
    """A single value"""
    return 42


@agent.metric("bench.column", item=1, indom=things, type_=ValueType.DOUBLE)
def column() -> list[float]:
    """A value for each instance"""
    return values


@tree.metric("")
def leaf(data: int) -> int:
    """One of many names"""
    return data


@agent.metric("bench.grow", item=2)
def grow() -> U32:
    """Store anything: one more name"""
    return stored["names"]


@grow.on_store
def add_name(value: int) -> None:
    """One more."""
    stored["names"] += 1
    tree.add(f"new{stored['names']}", 1)


tree.replace({f"m{number}": number for number in range(NAMES)})
