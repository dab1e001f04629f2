"""/proc/interrupts: how often each interrupt was serviced, by processor. See: proc(5).

/proc/softirqs has the same form, without descriptions; :mod:`pypcp.agents.linux.softirqs` uses this module's parser.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.agents.linux.processors import online
from pypcp.model.units import COUNT
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

U32: Final = ValueType.U32
U64: Final = ValueType.U64

TOTAL_HELP: Final = """Interrupts serviced, by kind, over all processors
Devices go by the number of their interrupt, the others by the kernel's abbreviation."""

PAIRS_HELP: Final = """Kinds of interrupt and processors
An instance is a kind and a processor, as in "LOC::cpu0"."""

KIND_LABELS: Final = {"device_type": "irq", "indom_name": "per irq"}
PAIR_LABELS: Final = {"device_type": ["irq", "cpu"], "indom_name": "per cpu, per irq"}


class Interrupts:
    """One row of counts for each interrupt, one column for each processor online.

    ``singles`` are the lines with one count that no processor owns (ERR, MIS), ``texts`` the ends of the other lines.
    """

    def __init__(self, cpus: list[str]) -> None:
        self.cpus = cpus
        self.names: list[str] = []
        self.texts: dict[str, str] = {}
        self.singles: dict[str, int] = {}
        self._counts: list[list[int]] = []

    def add(self, name: str, counts: list[bytes], text: str) -> None:
        """One more interrupt."""
        self.names.append(name)
        self._counts.append(list(map(int, counts)))
        self.texts[name] = text

    def by_interrupt(self) -> list[int]:
        """Each interrupt's count, added up over the processors."""
        return list(map(sum, self._counts))

    def by_cpu(self) -> dict[str, int]:
        """Each processor's count, added up over the interrupts."""
        return dict(zip(self.cpus, map(sum, zip(*self._counts, strict=True)), strict=True)) if self.names else {}

    def each(self) -> list[int]:
        """All counts, in the order of :meth:`pairs`."""
        return [count & 0xFFFFFFFF for row in self._counts for count in row]

    def pairs(self) -> list[str]:
        """``interrupt::cpu``, as stock calls the instances."""
        return [f"{name}::{cpu}" for name in self.names for cpu in self.cpus]


def parse_interrupts(text: bytes) -> Interrupts:
    """``ValueError`` for a line that does not begin with a count for each processor."""
    header, *lines = text.splitlines() or [b""]
    now = Interrupts(header.decode().lower().split())
    width = len(now.cpus)
    for line in lines:
        label, *words = line.split(None, width + 1)
        name = label.decode("utf-8", "surrogateescape").rstrip(":")
        if name.upper() in ("ERR", "MIS"):
            now.singles[name.upper()] = int(words[0])
        elif len(words) < width:
            raise ValueError(f"{name} has {len(words)} counts for {width} processors")
        else:
            now.add(name, words[:width], b" ".join(words[width:]).decode("utf-8", "replace"))
    return now


def follow(kinds: Indom, pairs: Indom, cpus: Indom, read: Callable[[], Interrupts]) -> Callable[[], Interrupts]:
    """The refresh that reads the file and keeps its two instance domains at what it lists."""
    shape: list[object] = []

    def refresh() -> Interrupts:
        now = read()
        if shape != [now.names, now.cpus]:  # names of pairs are many: made only when there are others
            shape[:] = [now.names, now.cpus]
            kinds.replace(now.names)
            pairs.replace(now.pairs())
        if not len(cpus):
            online(cpus, now.cpus)
        return now

    return refresh


def declare(agent: Agent, files: Files, cpus: Indom) -> None:
    """kernel.all.interrupts, kernel.percpu.interrupts and kernel.percpu.intr."""
    texts: dict[str, str] = {}

    def label_kind(name: str) -> dict[str, str]:
        return {"irq": name, "irqtext": " ".join(texts[name].split())}

    def label_pair(pair: str) -> dict[str, object]:
        name, _, cpu = pair.rpartition("::")
        return {"cpu": int(cpu[3:]), **label_kind(name)}

    kinds = agent.indom(4, persistent=True, help_="Kinds of interrupt", labels=KIND_LABELS, label_instance=label_kind)
    pairs = agent.indom(40, persistent=True, help_=PAIRS_HELP, labels=PAIR_LABELS, label_instance=label_pair)
    read = files.parsed("proc/interrupts", parse_interrupts)
    cluster = agent.cluster(4, follow(kinds, pairs, cpus, read))
    cluster.follow(lambda now: texts.update(now.texts))
    _declare_counts(cluster, kinds, pairs, cpus)


def _declare_counts(cluster: Cluster, kinds: Indom, pairs: Indom, cpus: Indom) -> None:
    counter = partial(cluster.metric, sem=Semantics.COUNTER, units=COUNT)
    counter("kernel.all.interrupts.total", 0, U64, Interrupts.by_interrupt, indom=kinds, help_=TOTAL_HELP)
    each = "Interrupts serviced, by kind and processor"
    counter("kernel.percpu.interrupts", 1, U32, Interrupts.each, indom=pairs, help_=each)
    missed = "Interrupts the I/O APIC missed and made up for"
    counter("kernel.all.interrupts.missed", 2, U32, lambda now: now.singles.get("MIS"), help_=missed)
    errors = "Interrupts that came with an error"
    counter("kernel.all.interrupts.errors", 3, U32, lambda now: now.singles.get("ERR"), help_=errors)
    of_cpu = "Interrupts serviced, by processor, of all kinds"
    counter("kernel.percpu.intr", 4, U64, Interrupts.by_cpu, indom=cpus, help_=of_cpu)
