"""The agents that come with pypcp. They are found by name and imported when they are wanted, not before."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pypcp.errors import NoAgent
from pypcp.pmda.interface import AgentInterface

SHIPPED: Final = {"linux": "pypcp.agents.linux:linux_agent"}
"""Name of the agent -> ``module:factory``; the factory takes ``state``, the directory of its instance numbers."""


def shipped_agent(name: str, state: Path | None) -> AgentInterface:
    """Make the agent of that name; ``NoAgent`` where none is shipped under it."""
    place = SHIPPED.get(name)
    if place is None:
        raise NoAgent(f"no agent {name!r} comes with pypcp; there are {', '.join(sorted(SHIPPED))}")
    module, _, factory = place.partition(":")
    make: Callable[..., AgentInterface] = getattr(importlib.import_module(module), factory)
    return make(state=state)
