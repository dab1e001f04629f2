"""What stock's pmproxy(1) tells of itself, in files as those that :mod:`pypcp.agents.mmv` reads. Domain 4."""

from __future__ import annotations

from pathlib import Path

from pypcp.agents.mmv import agent_of_files
from pypcp.pmda import Agent

DOMAIN = 4


def pmproxy_agent(state: Path | None = None, directory: Path | None = None) -> Agent:
    """Make the agent; ``directory`` is where the files are, by default where stock's pmproxy writes them."""
    return agent_of_files("pmproxy", DOMAIN, "What stock's pmproxy tells of itself", state, directory)
