"""dynamic: instances that a file names, and a metric whose descriptor changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pypcp.agents.sample.bench import Bench
from pypcp.errors import BadStore
from pypcp.ipc.paths import Paths
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL, InDom
from pypcp.model.units import COUNT, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda import I32, Counter, Discrete


def declare(bench: Bench) -> None:
    """Declare both."""
    _declare_instances(bench)
    _declare_meta(bench)


def instances_in(text: str) -> dict[int, str]:
    """Numbers and names, from lines of ``NUMBER NAME``; other lines do not count."""
    rows = [line.split(None, 1) for line in text.splitlines()]
    return {int(row[0]): row[1].strip() for row in rows if len(row) == 2 and row[0].isdecimal()}


def _declare_instances(bench: Bench) -> None:
    agent = bench.agent
    pmdas = Paths.find().settings.get("PCP_PMDAS_DIR", "/var/lib/pcp/pmdas")
    file = Path(pmdas, "sample", "dynamic.indom")
    instances = bench.indom(7, "Instances that a file names")

    @agent.source(cluster=0)
    def numbers() -> list[int]:
        """Read anew each time; none without the file."""
        found = instances_in(file.read_text()) if file.exists() else {}
        instances.replace(found.values(), found)
        return list(found)

    @numbers.metric("sample.dynamic.counter", item=76, indom=instances, units=COUNT)
    def counter(found: list[int]) -> list[Counter[I32]]:
        """The number of each instance, as a counter"""
        return found

    @numbers.metric("sample.dynamic.discrete", item=77, indom=instances, units=COUNT)
    def discrete(found: list[int]) -> list[Discrete[I32]]:
        """The number of each instance, as something that changes seldom"""
        return found

    @numbers.metric("sample.dynamic.instant", item=78, indom=instances, units=COUNT)
    def instant(found: list[int]) -> list[I32]:
        """The number of each instance"""
        return found


def changed_desc(desc: Desc, what: str, value: int) -> Desc:
    """The descriptor with one of its words changed; ``ValueError`` where the new word is none."""
    if what == "type":
        return replace(desc, type=ValueType(value))
    if what == "sem":
        return replace(desc, sem=Semantics(value))
    if what == "units":
        return replace(desc, units=Units.unpack(value))
    if value != PM_INDOM_NULL:
        raise BadStore("the metric has a single value")
    return replace(desc, indom=InDom(value))


def _declare_meta(bench: Bench) -> None:
    agent = bench.agent

    @agent.metric("sample.dynamic.meta.metric", item=86, units="byte / sec")
    def metric() -> Discrete[I32]:
        """A metric whose descriptor changes

        Store into the metrics below sample.dynamic.meta.pmdesc what type, semantics and units it shall have."""
        return 42

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
            metric.desc = changed_desc(metric.desc, what, value)
            agent.registry.metrics_changed()

    declare_word("type", 87, lambda desc: desc.type)
    declare_word("indom", 88, lambda desc: desc.indom)
    declare_word("sem", 89, lambda desc: desc.sem)
    declare_word("units", 90, lambda desc: desc.units.pack())
