"""An agent to test clients with: every type of value, every kind of trouble. Domain 29.

Names, pmids, descriptors and behaviour are those of stock's agent of this name, for the groups that are here. Each
module declares a group; ``Bench`` is what they share.
"""

from __future__ import annotations

from pathlib import Path

from pypcp.agents.sample import bins, clocks, contexts, dynamic, events, numbers, secret, texts, trouble
from pypcp.agents.sample.bench import Bench
from pypcp.pmda import Agent

DOMAIN = 29


def sample_agent(state: Path | None = None) -> Agent:
    """Make the agent."""
    labels = {"agent": "sample", "role": "testing"}
    agent = Agent("sample", DOMAIN, help_="Values to test clients with", state=state, labels=labels)
    agent.label_cluster(0, labels={"cluster": "zero"})
    bench = Bench(agent)
    for group in (clocks, bins, numbers, texts, trouble, dynamic, contexts, events, secret):
        group.declare(bench)
    return agent
