"""/proc/interrupts: how often each interrupt was serviced, by processor. See: proc(5).

/proc/softirqs has the same form, without descriptions; :mod:`pypcp.agents.linux.softirqs` uses this module's parser.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.agents.linux.form import Form, remembering
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


class InterruptForm(Form):
    """What the words say: a row for each of ``names``, a column for each of ``cpus``, those online.

    ``singles`` are the lines with one count that no processor owns (ERR, MIS), ``texts`` the ends of the other lines.
    """

    def __init__(self, text: bytes) -> None:
        header, *lines = text.splitlines() or [b""]
        self.cpus = header.decode().lower().split()
        self.names: list[str] = []
        self.singles: list[str] = []
        self.texts: dict[str, str] = {}
        rows: list[int] = []
        singles: list[int] = []
        at = width = len(self.cpus)
        for line in lines:
            label, *words = line.split()
            name = label.decode("utf-8", "surrogateescape").rstrip(":")
            if name.upper() in ("ERR", "MIS"):
                self.singles.append(name.upper())
                singles.append(at + 1)
            elif len(words) < width:
                raise ValueError(f"{name} has {len(words)} counts for {width} processors")
            else:
                self.names.append(name)
                self.texts[name] = b" ".join(words[width:]).decode("utf-8", "replace")
                rows += range(at + 1, at + 1 + width)
            at += 1 + len(words)
        super().__init__(text.split(), rows + singles)

    def pairs(self) -> list[str]:
        """``interrupt::cpu``, as stock calls the instances."""
        return [f"{name}::{cpu}" for name in self.names for cpu in self.cpus]


class Interrupts:
    """The file as it is now: ``counts`` row by row, then those of the singles."""

    def __init__(self, form: InterruptForm, counts: list[int]) -> None:
        self.form = form
        self._counts = counts[: len(form.names) * len(form.cpus)]
        self.singles = dict(zip(form.singles, counts[len(self._counts) :], strict=True))

    def by_interrupt(self) -> list[int]:
        """Each interrupt's count, added up over the processors."""
        width = len(self.form.cpus)
        return list(map(sum, zip(*[iter(self._counts)] * width, strict=True)))

    def by_cpu(self) -> dict[str, int]:
        """Each processor's count, added up over the interrupts."""
        cpus = self.form.cpus
        return {cpu: sum(self._counts[at :: len(cpus)]) for at, cpu in enumerate(cpus)} if self._counts else {}

    def each(self) -> list[int]:
        """All counts, in the order of the pairs."""
        return [count & 0xFFFFFFFF for count in self._counts]


def parse_interrupts(text: bytes, last: Interrupts | None = None) -> Interrupts:
    """``last``: what the file was before. ``ValueError`` for a line without a count for each processor."""
    words = text.split()
    counts = last.form.numbers(words) if last is not None else None
    if last is not None and counts is not None:
        return Interrupts(last.form, counts)
    form = InterruptForm(text)
    return Interrupts(form, form.numbers(words) or [])


def follow(kinds: Indom, pairs: Indom, cpus: Indom, read: Callable[[], Interrupts]) -> Callable[[], Interrupts]:
    """The refresh that reads the file and keeps its two instance domains at what it lists."""
    known: InterruptForm | None = None

    def refresh() -> Interrupts:
        nonlocal known
        now = read()
        if now.form is not known:  # names of pairs are many: made only when there may be others
            known = now.form
            kinds.replace(known.names)
            pairs.replace(known.pairs())
        if not len(cpus):
            online(cpus, known.cpus)
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
    read = files.parsed("proc/interrupts", remembering(parse_interrupts))
    cluster = agent.cluster(4, follow(kinds, pairs, cpus, read))
    cluster.follow(lambda now: texts.update(now.form.texts))
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
