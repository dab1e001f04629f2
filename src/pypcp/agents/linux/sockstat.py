"""/proc/net/sockstat and sockstat6: how many sockets of each kind there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.units import COUNT
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent

Sockets = dict[tuple[bytes, bytes], int]
"""By the names of line and column: ``TCP``, ``inuse``."""

IN_USE: Final = "sockets in use"

OLD: Final = (
    (9, "total", b"sockets", b"used", "Sockets in use, of all kinds"),
    (0, "tcp.inuse", b"TCP", b"inuse", f"TCP {IN_USE}"),
    (10, "tcp.orphan", b"TCP", b"orphan", "TCP sockets that no process has open"),
    (11, "tcp.tw", b"TCP", b"tw", "TCP sockets that wait after their end for late packets"),
    (12, "tcp.alloc", b"TCP", b"alloc", "TCP sockets allocated, in whatever state"),
    (13, "tcp.mem", b"TCP", b"mem", "Pages of memory that TCP buffers hold"),
    (3, "udp.inuse", b"UDP", b"inuse", f"UDP {IN_USE}"),
    (14, "udp.mem", b"UDP", b"mem", "Pages of memory that UDP buffers hold"),
    (8, "udplite.inuse", b"UDPLITE", b"inuse", f"UDP-Lite {IN_USE}"),
    (6, "raw.inuse", b"RAW", b"inuse", f"Raw {IN_USE}"),
    (15, "frag.inuse", b"FRAG", b"inuse", "Packets that are being put together from fragments"),
    (16, "frag.memory", b"FRAG", b"memory", "Bytes that fragments of packets hold"),
)
"""Item, name, line, column, help."""

NEW: Final = (
    (0, "tcp6.inuse", b"TCP6", b"inuse", f"TCP {IN_USE}, IPv6"),
    (1, "udp6.inuse", b"UDP6", b"inuse", f"UDP {IN_USE}, IPv6"),
    (2, "udplite6.inuse", b"UDPLITE6", b"inuse", f"UDP-Lite {IN_USE}, IPv6"),
    (3, "raw6.inuse", b"RAW6", b"inuse", f"Raw {IN_USE}, IPv6"),
    (4, "frag6.inuse", b"FRAG6", b"inuse", "Packets that are being put together from fragments, IPv6"),
    (5, "frag6.memory", b"FRAG6", b"memory", "Bytes that fragments of packets hold, IPv6"),
)
"""The same for the file of IPv6."""


def parse_sockstat(text: bytes) -> Sockets:
    """``ValueError`` unless every column has a number."""
    sockets: Sockets = {}
    for line in text.splitlines():
        name, _, columns = line.partition(b":")
        words = columns.split()
        for column, value in zip(words[::2], words[1::2], strict=True):
            sockets[name, column] = int(value)
    return sockets


def declare(agent: Agent, files: Files) -> None:
    """network.sockstat."""
    for number, file, metrics in ((11, "sockstat", OLD), (73, "sockstat6", NEW)):
        cluster = agent.cluster(number, files.parsed(f"proc/net/{file}", parse_sockstat))
        for item, name, line, column, help_ in metrics:
            read = _value(line, column)
            cluster.metric(f"network.sockstat.{name}", item, ValueType.I32, read, units=COUNT, help_=help_)


def _value(line: bytes, column: bytes) -> Callable[[Sockets], int | None]:
    key = line, column
    return lambda sockets: sockets.get(key)
