"""/proc/buddyinfo: free memory by the size of its pieces. See: proc(5)."""

from __future__ import annotations

from dataclasses import dataclass
from operator import mul
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.agents.linux.form import Form, remembering
from pypcp.agents.linux.meminfo import PAGE_BYTES
from pypcp.model.units import KBYTE
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent

PIECES_HELP: Final = """Free pieces of memory, by their size
A piece of order n has 2 to the n pages; an instance is a zone, an order and a node."""

TOTAL_HELP: Final = """Free memory in pieces of a size
Large pieces are what huge pages and some devices need."""

LABELS: Final = {"device_type": ["memory", "numa_node"], "indom_name": "per buddy per numa_node"}


class BuddyForm(Form):
    """What the words say: the ``names`` of the instances (``Normal::order3::node0``), and how large the pieces are."""

    def __init__(self, text: bytes) -> None:
        self.names: list[str] = []
        self.kilobytes: list[int] = []
        places: list[int] = []
        at = 0
        for line in text.splitlines():
            first, node, zone, name, *counts = line.decode().split()
            if (first, zone) != ("Node", "zone"):
                raise ValueError(f"no line of /proc/buddyinfo: {line!r}")
            self.names += [f"{name}::order{order}::node{int(node.rstrip(','))}" for order in range(len(counts))]
            self.kilobytes += [(PAGE_BYTES << order) // 1024 for order in range(len(counts))]
            places += range(at + 4, at + 4 + len(counts))
            at += 4 + len(counts)
        super().__init__(text.split(), places)


@dataclass(slots=True)
class Buddyinfo:
    """The file as it is now: ``pieces`` by zone and size."""

    form: BuddyForm
    pieces: list[int]

    def kilobytes(self) -> list[int]:
        """What the pieces of each size are together."""
        return list(map(mul, self.pieces, self.form.kilobytes))


def parse_buddyinfo(text: bytes, last: Buddyinfo | None = None) -> Buddyinfo:
    """``last``: what the file was before. ``ValueError`` for a line that is not as the kernel writes it."""
    words = text.split()
    pieces = last.form.numbers(words) if last is not None else None
    if last is not None and pieces is not None:
        return Buddyinfo(last.form, pieces)
    form = BuddyForm(text)
    return Buddyinfo(form, form.numbers(words) or [])


def label_piece(name: str) -> dict[str, object]:
    """The labels of an instance such as ``Normal::order3::node0``."""
    zone, order, node = name.split("::")
    return {"zone": zone, "order": int(order.removeprefix("order")), "numa_node": int(node.removeprefix("node"))}


def declare(agent: Agent, files: Files) -> None:
    """mem.buddyinfo."""
    orders = agent.indom(
        31,
        members=lambda now: now.form.names,
        help_="Zones of memory, sizes of pieces, nodes",
        labels=LABELS,
        label_instance=label_piece,
    )
    cluster = agent.cluster(67, files.parsed("proc/buddyinfo", remembering(parse_buddyinfo)))
    u64 = ValueType.U64
    cluster.metric("mem.buddyinfo.pages", 0, u64, lambda now: now.pieces, indom=orders, help_=PIECES_HELP)
    cluster.metric("mem.buddyinfo.total", 1, u64, Buddyinfo.kilobytes, indom=orders, units=KBYTE, help_=TOTAL_HELP)
