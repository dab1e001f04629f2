"""/sys/devices/system/node: the NUMA nodes, their processors and what was allocated on them. See: numa(7)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pypcp.agents.linux.files import Files, Source
from pypcp.model.units import COUNT
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

U32: Final = ValueType.U32
U64: Final = ValueType.U64

DIRECTORY: Final = "sys/devices/system/node"

ALLOCATIONS: Final = (
    (32, "hit", b"numa_hit", "Pages allocated on the node that was asked for"),
    (33, "miss", b"numa_miss", "Pages allocated here because the node asked for had none"),
    (34, "foreign", b"numa_foreign", "Pages asked for here and allocated elsewhere"),
    (35, "interleave_hit", b"interleave_hit", "Pages that were to be interleaved and came where they should"),
    (36, "local_node", b"local_node", "Pages allocated here by a processor of this node"),
    (37, "other_node", b"other_node", "Pages allocated here by a processor of another node"),
)
"""Item, name, the file's name, help."""

ONLINE: Final = 55
"""The cluster of the pmids of hinv.cpu.online and hinv.node.online."""

ONLINE_HELP: Final = """Is the processor online? 1 for yes
Processors that are not online are no instances."""


@dataclass(slots=True)
class Nodes:
    """The nodes by name, each with what its file counts; and the number of the node of each processor."""

    counts: dict[str, dict[bytes, int]] = field(default_factory=dict)
    node_of: dict[int, int] = field(default_factory=dict)


def parse_list(text: bytes) -> list[int]:
    """The kernel's lists of numbers: ``0-3,8`` names five."""
    numbers: list[int] = []
    for part in filter(None, text.strip().split(b",")):
        first, _, last = part.partition(b"-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def parse_numastat(text: bytes) -> dict[bytes, int]:
    """``ValueError`` unless every name has a number."""
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


class NodeFiles:
    """Reads all nodes; their files stay open."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._open: dict[str, tuple[Source, Source]] = {}

    def read(self) -> Nodes:
        """The nodes there are now; one without a count where the kernel knows of none."""
        nodes = Nodes()
        for name in self._names():
            if name not in self._open:
                path = f"{DIRECTORY}/{name}"
                self._open[name] = self._files.open(f"{path}/cpulist"), self._files.open(f"{path}/numastat")
            cpus, counts = self._open[name]
            nodes.node_of |= dict.fromkeys(parse_list(cpus.read()), int(name[4:]))
            nodes.counts[name] = parse_numastat(counts.read())
        return nodes

    def _names(self) -> list[str]:
        listed = self._files.list_directory(DIRECTORY)
        numbers = sorted(int(name[4:]) for name in listed if name.startswith("node") and name[4:].isdecimal())
        return [f"node{number}" for number in numbers] or ["node0"]


def declare(agent: Agent, files: Files, cpus: Indom) -> None:
    """hinv.nnode, hinv.node, hinv.machine, hinv.cpu.online, hinv.map and mem.numa.alloc."""
    nodes = agent.indom(
        19,
        help_="NUMA nodes",
        labels={"device_type": "numa_node", "indom_name": "per numa_node"},
        label_instance=lambda name: {"numa_node": int(name[4:])},
    )
    all_of_them = agent.cluster(36, NodeFiles(files).read)
    _declare_nodes(agent, all_of_them, nodes)
    _declare_processors(agent, all_of_them, cpus)
    machine = "The kind of hardware"
    agent.cluster(18).metric(
        "hinv.machine", 7, ValueType.STRING, lambda _: os.uname().machine, sem=Semantics.DISCRETE, help_=machine
    )


def _declare_nodes(agent: Agent, all_of_them: Cluster, nodes: Indom) -> None:
    def refresh(now: Nodes) -> Nodes:
        nodes.replace(now.counts, [int(name[4:]) for name in now.counts])
        return now

    cluster = agent.cluster(36, refresh, after=all_of_them)
    discrete = Semantics.DISCRETE
    cluster.metric("hinv.nnode", 19, U32, lambda now: len(now.counts), number=0, sem=discrete, help_="NUMA nodes")
    online = "Is the node online? 1 for yes"
    cluster.metric(
        "hinv.node.online", 1, U32, lambda now: [1] * len(now.counts), indom=nodes, number=ONLINE, help_=online
    )
    for item, name, key, help_ in ALLOCATIONS:
        counter = partial(cluster.metric, sem=Semantics.COUNTER, units=COUNT)
        counter(f"mem.numa.alloc.{name}", item, U64, _count(key), indom=nodes, help_=help_)


def _declare_processors(agent: Agent, all_of_them: Cluster, cpus: Indom) -> None:
    def refresh(now: Nodes) -> Nodes:
        cpus.refresh()
        return now

    cluster = agent.cluster(18, refresh, after=all_of_them)
    constant = partial(cluster.metric, type_=U32, indom=cpus, sem=Semantics.DISCRETE)
    constant("hinv.map.cpu_num", 6, read=lambda _: cpus.ids, help_="The kernel's number of each processor")
    node = "The NUMA node of each processor"
    constant("hinv.map.cpu_node", 8, read=lambda now: [now.node_of.get(cpu, 0) for cpu in cpus.ids], help_=node)
    cluster.metric("hinv.cpu.online", 0, U32, lambda _: [1] * len(cpus), indom=cpus, number=ONLINE, help_=ONLINE_HELP)


def _count(key: bytes) -> Callable[[Nodes], list[int | None] | None]:
    def read(now: Nodes) -> list[int | None] | None:
        column = [counts.get(key) for counts in now.counts.values()]
        return column if any(value is not None for value in column) else None

    return read
