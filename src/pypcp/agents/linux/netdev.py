"""/proc/net/dev: what went through the network interfaces. See: proc(5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.agents.linux.links import Links, declare_links
from pypcp.agents.linux.table import Table
from pypcp.model.units import BYTE, COUNT
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent

COLUMNS: Final = (
    ("in.bytes", "Bytes received", BYTE),
    ("in.packets", "Packets received", COUNT),
    ("in.errors", "Packets received with an error", COUNT),
    ("in.drops", "Packets received and dropped for want of space or of a taker", COUNT),
    ("in.fifo", "Packets lost because a device's buffer ran over", COUNT),
    ("in.frame", "Packets received with a framing error", COUNT),
    ("in.compressed", "Compressed packets received", COUNT),
    ("in.mcasts", "Multicast packets received", COUNT),
    ("out.bytes", "Bytes sent", BYTE),
    ("out.packets", "Packets sent", COUNT),
    ("out.errors", "Packets that could not be sent for an error", COUNT),
    ("out.drops", "Packets dropped before they were sent", COUNT),
    ("out.fifo", "Packets lost because a device's buffer ran empty", COUNT),
    ("collisions", "Collisions on the wire", COUNT),
    ("out.carrier", "Packets not sent because there was no carrier", COUNT),
    ("out.compressed", "Compressed packets sent", COUNT),
)
"""Items 0 to 15 are the file's columns: name, help, units."""

TOTALS: Final = (
    (16, "total.bytes", (0, 8), "Bytes received and sent", BYTE),
    (17, "total.packets", (1, 9), "Packets received and sent", COUNT),
    (18, "total.errors", (2, 10), "Packets received or sent with an error", COUNT),
    (19, "total.drops", (3, 11), "Packets dropped on their way in or out", COUNT),
    (20, "total.mcasts", (7,), "Multicast packets: those received, for the kernel counts no others", COUNT),
)
"""Item, name, columns, help, units."""

WRAP: Final = (1 << 64) - 1


@dataclass(slots=True)
class Netdev:
    """The file: a row of counts for each interface."""

    names: list[str]
    counts: Table
    links: Links | None = None


def parse_netdev(text: bytes) -> Netdev:
    """``ValueError`` for a text that breaks off within a line."""
    names = []
    rows = []
    for line in text.splitlines()[2:]:
        name, _, counts = line.partition(b":")
        names.append(name.strip().decode("utf-8", "surrogateescape"))
        rows.append(counts.split())
    return Netdev(names, Table(rows))


def declare(agent: Agent, files: Files) -> None:
    """network.interface, and hinv.ninterface."""
    interfaces = agent.indom(
        3,
        persistent=True,
        help_="Network interfaces",
        labels={"device_type": "interface", "indom_name": "per interface"},
        label_instance=lambda interface: {"interface": interface},
    )
    read = files.parsed("proc/net/dev", parse_netdev)
    links = Links(files, ())

    def refresh() -> Netdev:
        nonlocal links
        now = read()
        if now.names != links.names:
            interfaces.replace(now.names)
            links = Links(files, now.names)
        links.refresh()
        now.links = links
        return now

    cluster = agent.cluster(3, refresh)
    counter = partial(cluster.metric, type_=ValueType.U64, indom=interfaces, sem=Semantics.COUNTER)
    for item, (name, help_, units) in enumerate(COLUMNS):
        counter(f"network.interface.{name}", item, read=_counts(item), units=units, help_=help_)
    for item, name, columns, help_, units in TOTALS:
        counter(f"network.interface.{name}", item, read=_counts(*columns), units=units, help_=help_)
    declare_links(cluster, interfaces)
    number = "Network interfaces, those that are down included"
    discrete = Semantics.DISCRETE
    cluster.metric("hinv.ninterface", 27, ValueType.U32, lambda now: len(now.names), sem=discrete, help_=number)


def _counts(*columns: int) -> Callable[[Netdev], list[int]]:
    if len(columns) == 1:
        return lambda now: now.counts.column(columns[0])
    return lambda now: [total & WRAP for total in now.counts.added(*columns)]
