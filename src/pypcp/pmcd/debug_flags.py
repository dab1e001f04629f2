"""Stock's debug flags, by name or by number, and what of it there is to be seen here. See: pmdbg(1), pmcd(1)."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Final

from pypcp.errors import BadArgument
from pypcp.pmcd.trace import TraceFlag

ALL: Final = "all"
_NUMBERED: Final = (
    *("pdu", "fetch", "profile", "value", "context", "indom", "pdubuf", "log", "logmeta", "optfetch", "af"),
    *("appl0", "appl1", "appl2", "pmns", "libpmda", "timecontrol", "pmc", "derive", "lock", "interp", "config"),
    *("pmapi", "fault", "auth", "discovery", "attr", "http", "", "", "desperate"),
)
"""The flags that have a bit of their own in a number, lowest first."""

_NAMED: Final = frozenset(
    [
        "deprecated",
        "exec",
        "labels",
        "series",
        "libweb",
        "alloc",
        "services",
        "appl3",
        "appl4",
        "appl5",
        "access",
        "qa",
        "search",
        "query",
        "compress",
        "dev0",
        "dev1",
        "dev2",
        "pmlc",
        "appl6",
        "appl7",
        "appl8",
        "appl9",
        "tls",
    ]
)
FLAGS: Final = frozenset(_NUMBERED) - {""} | _NAMED

_SOURCES: Final = ("pypcp.pmcd.sources",)
_DAEMON: Final = ("pypcp.pmcd.daemon",)
_ACCESS: Final = ("pypcp.pmcd.gate",)
LOGGERS: Final = {
    "appl0": ("pypcp.pmcd.agent_keeper", "pypcp.pmcd.launch"),
    "appl1": _ACCESS,
    "access": _ACCESS,
    "appl2": _SOURCES,
    "appl4": _SOURCES,
    "config": _SOURCES,
    "pmns": _SOURCES,
    "appl3": ("pypcp.pmcd.client_connection", *_DAEMON),
    "appl5": _DAEMON,
    "attr": _DAEMON,
    "appl6": _DAEMON,
    "auth": ("pypcp.pmcd.greeting", "pypcp.pmcd.client_connection"),
    "exec": ("pypcp.pmcd.launch",),
    "labels": ("pypcp.pmcd.context_labels",),
    "desperate": ("pypcp",),
}
"""The parts of the daemon that say more under a flag."""

_TRACED: Final = {"pdu": TraceFlag.PDUS | TraceFlag.AT_ONCE}


def flags_of(text: str) -> frozenset[str]:
    """The flags of ``-D``: names with commas between, ``all``, or the number of old. ``BadArgument`` for others."""
    named = {name.lower() for name in text.split(",") if name}
    if named == {"-1"} or ALL in named:
        return FLAGS
    if text.isascii() and text.isdigit() and int(text) < 1 << len(_NUMBERED):
        named = {name for bit, name in enumerate(_NUMBERED) if int(text) >> bit & 1}
    if not named <= FLAGS:
        raise BadArgument(f"unrecognized debug options specification ({text})")
    return frozenset(named)


def switch_on(flags: Collection[str]) -> TraceFlag:
    """Have the parts that belong to the flags say more; gives what is to be traced. The log says what is without
    effect.
    """
    traced = TraceFlag.NOTHING
    for flag in flags:
        traced |= _TRACED.get(flag, TraceFlag.NOTHING)
        for name in LOGGERS.get(flag, ()):
            logging.getLogger(name).setLevel(logging.DEBUG)
    if idle := sorted(set(flags) - {*LOGGERS, *_TRACED}):
        logging.getLogger(__name__).info("of no effect here, as debug flags: %s", ", ".join(idle))
    return traced
