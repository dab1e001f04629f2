"""What the daemon tells about itself: the agent of domain 2, names and numbers as stock's. See: pmcd(1).

One module a cluster of pmids; what ours has beyond stock's is in clusters that stock does not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypcp.pmcd.selfmetrics import agents, clients, control, cpu, features, loggers, pdus, rules, state
from pypcp.pmda.agent import Agent

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

DOMAIN = 2


def self_agent(daemon: Daemon) -> Agent:
    """The agent that answers for ``daemon``."""
    about = "The collector itself: its clients, its agents, its work."
    agent = Agent("pmcd", DOMAIN, help_=about, client_attributes=True)
    for part in (state, control, pdus, loggers, agents, rules, clients, cpu, features):
        part.declare(agent, daemon)
    return agent
