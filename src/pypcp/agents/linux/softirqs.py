"""/proc/softirqs: how often each soft interrupt ran, by processor. See: proc(5)."""

from __future__ import annotations

from functools import partial
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.agents.linux.form import remembering
from pypcp.agents.linux.interrupts import Interrupts, follow, parse_interrupts
from pypcp.model.units import COUNT
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom

TOTALS: Final = 82
"""The cluster of the total's pmid; the others are in 63."""

PAIRS_HELP: Final = """Kinds of soft interrupt and processors
An instance is a kind and a processor, as in "TIMER::cpu0"."""

PAIR_LABELS: Final = {"device_type": "cpu", "indom_name": "per cpu, per softirq"}


def label_pair(pair: str) -> dict[str, object]:
    """The labels of an instance such as ``TIMER::cpu0``."""
    name, _, cpu = pair.rpartition("::")
    return {"cpu": int(cpu[3:]), "softirq": name}


def declare(agent: Agent, files: Files, cpus: Indom) -> None:
    """kernel.percpu.softirqs, kernel.percpu.sirq and kernel.all.softirqs."""
    kinds = agent.indom(36, persistent=True, help_="Kinds of soft interrupt", labels={"indom_name": "per softirq"})
    pairs = agent.indom(41, persistent=True, help_=PAIRS_HELP, labels=PAIR_LABELS, label_instance=label_pair)
    read = files.parsed("proc/softirqs", remembering(parse_interrupts))
    cluster = agent.cluster(63, follow(kinds, pairs, cpus, read))
    counter = partial(cluster.metric, sem=Semantics.COUNTER, units=COUNT)
    each = "Soft interrupts run, by kind and processor"
    counter("kernel.percpu.softirqs", 0, ValueType.U32, Interrupts.each, indom=pairs, help_=each)
    of_cpu = "Soft interrupts run, by processor, of all kinds"
    counter("kernel.percpu.sirq", 1, ValueType.U64, Interrupts.by_cpu, indom=cpus, help_=of_cpu)
    total = "Soft interrupts run, by kind, over all processors"
    counter(
        "kernel.all.softirqs.total", 0, ValueType.U64, Interrupts.by_interrupt, indom=kinds, number=TOTALS, help_=total
    )
