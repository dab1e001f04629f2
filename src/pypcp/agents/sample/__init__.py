"""An agent to test clients with: every type of value, every kind of trouble. Domain 29.

Names, pmids, descriptors and behaviour are those of stock's agent of this name; what is otherwise on purpose is in
``docs/reference/compatibility.md``. Each module declares a group; ``Bench`` is what they share.
"""

from __future__ import annotations

from pathlib import Path

from pypcp.agents.sample import (
    aliases,
    bins,
    chance,
    clocks,
    constants,
    contexts,
    dynamic,
    events,
    ghosts,
    growing,
    mirage,
    negative,
    numbers,
    processes,
    secret,
    steps,
    texts,
    trouble,
    unreliable,
)
from pypcp.agents.sample.bench import Bench
from pypcp.agents.sample.requests import SampleAgent

DOMAIN = 29

GROUPS = (
    clocks,
    constants,
    mirage,
    bins,
    chance,
    steps,
    growing,
    numbers,
    texts,
    trouble,
    unreliable,
    dynamic,
    contexts,
    events,
    negative,
    processes,
    secret,
    ghosts,
    aliases,
)


def sample_agent(state: Path | None = None) -> SampleAgent:
    """Make the agent."""
    labels = {"agent": "sample", "role": "testing"}
    agent = SampleAgent("sample", DOMAIN, help_="Values to test clients with", state=state, labels=labels)
    agent.label_cluster(0, labels={"cluster": "zero"})
    bench = Bench(agent)
    for group in GROUPS:
        group.declare(bench)
    return agent
