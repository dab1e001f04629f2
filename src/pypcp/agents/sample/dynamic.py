"""dynamic: instances that a file names, and a metric whose descriptor changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pypcp.agents.sample.bench import Bench
from pypcp.errors import BadStore
from pypcp.ipc.paths import Paths
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL, InDom
from pypcp.model.units import COUNT, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda import I32, Counter, Discrete
from pypcp.pmda.indom import Indom


def declare(bench: Bench) -> None:
    """Declare both."""
    _declare_instances(bench)
    _declare_meta(bench)


def instances_in(text: str) -> dict[int, str]:
    """Numbers and names, from lines of ``NUMBER NAME``; none at all if any line is another one."""
    rows = [words for line in text.splitlines() if (words := line.split())]
    if any(len(row) != 2 or not row[0].isdecimal() for row in rows):
        return {}
    return {int(number): name for number, name in rows}


class Scans:
    """How often each instance was found in the file since it appeared there."""

    def __init__(self, file: Path, instances: Indom) -> None:
        self._file = file
        self._instances = instances
        self._counts: dict[int, int] = {}

    def scan(self) -> list[int]:
        """Read the file once more; the counts of what is in it, none without a file."""
        found = instances_in(self._file.read_text()) if self._file.exists() else {}
        self._counts = {number: self._counts.get(number, -1) + 1 for number in found}
        self._instances.replace(found.values(), found)
        return list(self._counts.values())


def _declare_instances(bench: Bench) -> None:
    agent = bench.agent
    pmdas = Paths.find().settings.get("PCP_PMDAS_DIR", "/var/lib/pcp/pmdas")
    instances = bench.indom(7, "Instances that a file names")
    counts = agent.source(cluster=0)(Scans(Path(pmdas, "sample", "dynamic.indom"), instances).scan)

    @counts.metric("sample.dynamic.counter", item=76, indom=instances, units=COUNT)
    def counter(found: list[int]) -> list[Counter[I32]]:
        """How often each instance was found in the file, as a counter"""
        return found

    @counts.metric("sample.dynamic.discrete", item=77, indom=instances, units=COUNT)
    def discrete(found: list[int]) -> list[Discrete[I32]]:
        """How often each instance was found in the file, as something that changes seldom"""
        return found

    @counts.metric("sample.dynamic.instant", item=78, indom=instances, units=COUNT)
    def instant(found: list[int]) -> list[I32]:
        """How often each instance was found in the file"""
        return found


def changed_desc(desc: Desc, what: str, value: int) -> Desc:
    """The descriptor with one of its words changed; ``ValueError`` where the new word is none that has values."""
    if what == "type":
        if not ValueType.I32 <= value <= ValueType.AGGREGATE:
            raise BadStore(f"no values of type {value}")
        return replace(desc, type=ValueType(value))
    if what == "sem":
        return replace(desc, sem=Semantics(value))
    if what == "units":
        return replace(desc, units=Units.unpack(value))
    return replace(desc, indom=InDom(value))


def _value_of(type_: ValueType | int) -> Any:
    """42, as a value of a type."""
    if type_ in (ValueType.STRING, ValueType.AGGREGATE):
        return "42" if type_ is ValueType.STRING else b"42"
    return 42.0 if type_ in (ValueType.FLOAT, ValueType.DOUBLE) else 42


def _declare_meta(bench: Bench) -> None:
    registry = bench.agent.registry

    @bench.agent.metric(
        "sample.dynamic.meta.metric", item=86, type_=ValueType.I32, sem=Semantics.DISCRETE, units="byte / sec"
    )
    def metric() -> Any:
        """A metric whose descriptor changes

        Store into the metrics below sample.dynamic.meta.pmdesc what type, instance domain, semantics and units it
        shall have; its values are 42."""
        value = _value_of(metric.desc.type)
        return value if metric.indom is None else [value] * len(metric.indom)

    def declare_word(what: str, item: int, word: Callable[[Desc], int]) -> None:
        made = bench.metrics.metric(
            f"sample.dynamic.meta.pmdesc.{what}",
            item,
            ValueType.U32,
            lambda _: word(metric.desc),
            sem=Semantics.DISCRETE,
            units=COUNT,
            help_=f"The {what} of sample.dynamic.meta.metric, which can be stored",
        )

        @made.on_store
        def change(value: int) -> None:
            desc = changed_desc(metric.desc, what, value)
            metric.indom = None if desc.indom == PM_INDOM_NULL else registry.indom(desc.indom)
            metric.desc = desc
            registry.metrics_changed()

    declare_word("type", 87, lambda desc: desc.type)
    declare_word("indom", 88, lambda desc: desc.indom)
    declare_word("sem", 89, lambda desc: desc.sem)
    declare_word("units", 90, lambda desc: desc.units.pack())
