"""What a reviewer says of an agent: mistakes that clients would suffer from, and advice."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from pypcp.errors import AppVersion, NoValue, PcpError, PermissionDenied, TryAgain
from pypcp.model.ids import Pmid
from pypcp.model.labels import LabelType
from pypcp.model.profile import EVERYTHING
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.background import BackgroundCluster
from pypcp.pmda.indom import Indom
from pypcp.pmda.interface import Client
from pypcp.pmda.metrics import Metric
from pypcp.pmda.mistakes import mistake_in
from pypcp.pmda.testing import AgentTester

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", re.IGNORECASE)
_ONELINE_LIMIT: Final = 100
_SLOW_S: Final = 0.05
_NUMBERS: Final = frozenset(
    {ValueType.I32, ValueType.U32, ValueType.I64, ValueType.U64, ValueType.FLOAT, ValueType.DOUBLE}
)
_SHORT: Final = frozenset({ValueType.I32, ValueType.U32, ValueType.FLOAT})


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark: about what, whether it is a mistake (else advice), and what to do."""

    about: str
    mistake: bool
    remark: str

    def __str__(self) -> str:
        return f"{'mistake' if self.mistake else 'advice '}  {self.about}: {self.remark}"


def review(agent: Agent) -> list[Finding]:
    """Look at all that is declared, and fetch everything twice."""
    with ExitStack() as running:
        try:
            tester = running.enter_context(AgentTester(agent))
        except Exception as error:  # noqa: BLE001 - the author's code: whatever it raises is a finding
            return [Finding(agent.name, True, f"its startup failed: {mistake_in(error)}")]
        findings = [*_as_a_whole(agent), *_sources(agent), *_values(agent, tester), *_strangers(agent), *_labels(agent)]
    for metric in agent.registry.metrics.values():
        for check in _METRIC_CHECKS:
            findings += [Finding(metric.name, *found) for found in check(metric, agent)]
    for indom in agent.registry.indoms.values():
        findings += [Finding(f"instance domain {indom.id}", *found) for found in _instances(indom)]
    return findings


_Remarks = Iterator[tuple[bool, str]]


def _as_a_whole(agent: Agent) -> Iterator[Finding]:
    if not agent.registry.metrics and not agent.dynamic_roots:
        yield Finding(agent.name, True, "it has no metrics")
    if not agent.help:
        yield Finding(agent.name, False, "say in a sentence what it is about: Agent(..., help_=...)")
    roots = [name for name, _ in agent.children("")]
    if len(roots) > 1:
        yield Finding(agent.name, False, f"its names begin with {', '.join(roots)}; one root is easier to install")


def _sources(agent: Agent) -> Iterator[Finding]:
    for cluster in agent.sources:
        cluster.refresh()
        if cluster.is_broken:
            yield Finding(str(cluster), True, f"what it reads cannot be used: {cluster.failure}")


def _texts(metric: Metric, agent: Agent) -> _Remarks:
    if not metric.oneline:
        yield True, "no help; write a docstring, or help_=: its first line is what people see first"
    elif len(metric.oneline) > _ONELINE_LIMIT:
        yield False, f"the first line of its help has {len(metric.oneline)} characters, {_ONELINE_LIMIT} are plenty"
    elif metric.oneline.lower().strip(". ") in (metric.name, metric.name.rpartition(".")[2].replace("_", " ")):
        yield False, "its help says no more than its name"


def _name(metric: Metric, agent: Agent) -> _Remarks:
    if not _NAME.fullmatch(metric.name):
        yield True, "a component of a name is a letter, then letters, digits and underscores"
    elif metric.name != metric.name.lower():
        yield False, "names are written small, people type them"


def _counter(metric: Metric, agent: Agent) -> _Remarks:
    desc = metric.desc
    if desc.sem != Semantics.COUNTER:
        return
    if desc.type not in _NUMBERS:
        yield True, f"a counter of type {desc.type}; only numbers count"
    elif desc.units.time < 0:
        yield True, f"a counter in {desc.units}: that is a rate; export the count, clients make the rate"
    elif desc.units.space == desc.units.time == desc.units.count == 0:
        yield False, 'a counter without units; units="count", or whatever it counts, makes its rate readable'
    elif desc.type in _SHORT and desc.units.count == 0:
        yield False, f"a counter of type {desc.type} starts anew soon; 64 bits cost nothing"


def _no_number(metric: Metric, agent: Agent) -> _Remarks:
    desc = metric.desc
    if desc.type not in _NUMBERS and str(desc.units):
        yield True, f"{desc.units} of type {desc.type}; only numbers have units"


def _family(metric: Metric, agent: Agent) -> _Remarks:
    source = metric.cluster
    indom = metric.indom
    if indom is not None and not indom.names and not indom.is_fixed and not indom.has_members:
        yield True, f"instance domain {indom.id} is empty and nothing fills it: fixed=, members= or replace()"
    if isinstance(source, BackgroundCluster) and source.keep < source.every:
        yield True, f"read every {source.every:g} s but kept for {source.keep:g} s: most of the time it has no values"


_METRIC_CHECKS: Final[tuple[Callable[[Metric, Agent], _Remarks], ...]] = (_texts, _name, _counter, _no_number, _family)


def _instances(indom: Indom) -> _Remarks:
    if not indom.oneline:
        yield False, "say what an instance is: indom(..., help_=...)"
    if any(not name for name in indom.names):
        yield True, "an instance has an empty name"
    words = Counter(name.partition(" ")[0] for name in indom.names)
    twice = [word for word, count in words.items() if count > 1]
    if twice:
        yield True, f"instances are asked for by their first word, and several begin with {twice[0]!r}"
    if not indom.is_fixed and not indom.cache.is_kept:
        yield False, "numbers of instances change when the agent is started anew: persistent=True keeps them"


def _values(agent: Agent, tester: AgentTester) -> Iterator[Finding]:
    first = _orders(agent)
    for name in tester.names():
        if tester.pmid(name).domain != agent.domain:
            continue
        started = time.perf_counter()
        try:
            tester.fetch(name)
            tester.fetch(name)
        except (TryAgain, NoValue, AppVersion, PermissionDenied) as error:
            yield Finding(name, False, f"it has no value: {error}")
        except PcpError as error:
            yield Finding(name, True, f"it cannot be fetched: {error}")
        except AssertionError as error:
            yield Finding(name, True, str(error).removeprefix(f"{name}: "))
        if (took := (time.perf_counter() - started) / 2) > _SLOW_S:
            yield Finding(name, False, f"a fetch takes {took * 1000:.0f} ms; @agent.source(every=...) reads it ahead")
    for serial, names in _orders(agent).items():
        before = first.get(serial, names)
        if before != names and sorted(before) == sorted(names):
            yield Finding(
                f"instance domain {serial}", False, "its order changes all the time; sort it, that is cheaper"
            )


def _strangers(agent: Agent) -> Iterator[Finding]:
    """Values under names that are no instances: nobody sees them, and nobody is told."""
    nobody = Client()
    for metric in agent.registry.metrics.values():
        indom, snapshot = metric.indom, metric.cluster.snapshot
        if indom is None or metric.cluster.failure is not None:
            continue
        try:
            values = metric.read(snapshot, nobody) if metric.per_client else metric.read(snapshot)
        except Exception:  # noqa: BLE001 - the fetch has said it
            continue
        strangers = [name for name in values if name not in indom.names] if isinstance(values, Mapping) else []
        if strangers:
            yield Finding(metric.name, True, f"it has a value for {strangers[0]!r}, which is no instance of {indom.id}")


def _labels(agent: Agent) -> Iterator[Finding]:
    asked: list[tuple[str, int, LabelType]] = [(agent.name, agent.domain, LabelType.DOMAIN)]
    for metric in agent.registry.metrics.values():
        cluster = Pmid.build(agent.domain, metric.desc.pmid.cluster, 0)
        asked.append((f"cluster {agent.domain}.{metric.desc.pmid.cluster}", cluster, LabelType.CLUSTER))
        asked.append((metric.name, metric.desc.pmid, LabelType.ITEM))
    for indom in agent.registry.indoms.values():
        asked += [(f"instance domain {indom.id}", indom.id, level) for level in (LabelType.INDOM, LabelType.INSTANCES)]
    for about, ident, level in dict.fromkeys(asked):
        try:
            agent.labels(ident, level, EVERYTHING)
        except Exception as error:  # noqa: BLE001 - the author's code: whatever it raises is a finding
            yield Finding(about, True, f"its labels cannot be told: {mistake_in(error)}")


def _orders(agent: Agent) -> dict[str, tuple[str, ...]]:
    found = {}
    for indom in agent.registry.indoms.values():
        indom.refresh()
        found[str(indom.id)] = indom.names
    return found
