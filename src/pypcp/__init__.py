"""Performance Co-Pilot's collector in Python.

The names most programs need are here; each is imported when it is first used, so that a command pays only for its own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pypcp.errors import PcpError
    from pypcp.model.desc import Desc
    from pypcp.model.ids import InDom, Pmid
    from pypcp.model.units import Units
    from pypcp.model.values import Semantics, ValueType
    from pypcp.pmapi.blocking import BlockingContext
    from pypcp.pmapi.context import Context
    from pypcp.pmcd.local_context import LocalContext
    from pypcp.pmda.agent import Agent

__all__ = [
    "Agent",
    "BlockingContext",
    "Context",
    "Desc",
    "InDom",
    "LocalContext",
    "PcpError",
    "Pmid",
    "Semantics",
    "Units",
    "ValueType",
    "__version__",
]

_HOMES: Final = {
    "Agent": "pypcp.pmda.agent",
    "BlockingContext": "pypcp.pmapi.blocking",
    "Context": "pypcp.pmapi.context",
    "Desc": "pypcp.model.desc",
    "InDom": "pypcp.model.ids",
    "LocalContext": "pypcp.pmcd.local_context",
    "PcpError": "pypcp.errors",
    "Pmid": "pypcp.model.ids",
    "Semantics": "pypcp.model.values",
    "Units": "pypcp.model.units",
    "ValueType": "pypcp.model.values",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pypcp' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
