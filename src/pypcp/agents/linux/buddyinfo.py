"""/proc/buddyinfo: free memory by the size of its pieces. See: proc(5)."""

from __future__ import annotations

from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.agents.linux.meminfo import PAGE_BYTES
from pypcp.model.units import KBYTE
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent

PIECES_HELP: Final = """Free pieces of memory, by their size
A piece of order n has 2 to the n pages; an instance is a zone, an order and a node."""

TOTAL_HELP: Final = """Free memory in pieces of a size
Large pieces are what huge pages and some devices need."""

LABELS: Final = {"device_type": ["memory", "numa_node"], "indom_name": "per buddy per numa_node"}

Buddyinfo = dict[str, tuple[int, int]]
"""By instance (``Normal::order3::node0``): pieces, kilobytes."""


def parse_buddyinfo(text: bytes) -> Buddyinfo:
    """``ValueError`` for a line that is not as the kernel writes it."""
    pieces = {}
    for line in text.splitlines():
        node, _, rest = line.partition(b", zone")
        zone, *counts = rest.decode().split()
        place = f"node{int(node.removeprefix(b'Node '))}"
        for order, count in enumerate(map(int, counts)):
            pieces[f"{zone}::order{order}::{place}"] = count, (count << order) * PAGE_BYTES // 1024
    return pieces


def label_piece(name: str) -> dict[str, object]:
    """The labels of an instance such as ``Normal::order3::node0``."""
    zone, order, node = name.split("::")
    return {"zone": zone, "order": int(order.removeprefix("order")), "numa_node": int(node.removeprefix("node"))}


def declare(agent: Agent, files: Files) -> None:
    """mem.buddyinfo."""
    orders = agent.indom(
        31, members=list, help_="Zones of memory, sizes of pieces, nodes", labels=LABELS, label_instance=label_piece
    )
    cluster = agent.cluster(67, files.parsed("proc/buddyinfo", parse_buddyinfo))
    u64 = ValueType.U64
    cluster.metric(
        "mem.buddyinfo.pages", 0, u64, lambda now: [each[0] for each in now.values()], indom=orders, help_=PIECES_HELP
    )
    cluster.metric(
        "mem.buddyinfo.total",
        1,
        u64,
        lambda now: [each[1] for each in now.values()],
        indom=orders,
        units=KBYTE,
        help_=TOTAL_HELP,
    )
