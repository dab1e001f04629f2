"""An agent: what is declared, and the answers to everything the daemon asks. See: PMDA(3)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from pypcp.errors import AgentNotReady, BadStore, BadType, NoText, PermissionDenied, UnknownPmid
from pypcp.model.desc import Desc
from pypcp.model.ids import IN_NULL, Pmid
from pypcp.model.labels import LabelSet, LabelType
from pypcp.model.profile import Profile
from pypcp.model.values import ValueSet
from pypcp.pmda.declarations import Declarations
from pypcp.pmda.indom import Indom
from pypcp.pmda.interface import Client, FetchRequest
from pypcp.pmda.labels import label_set_of
from pypcp.pmda.metrics import Cluster, Metric, failure_of
from pypcp.pmda.readers import Reader, UnknownReader, reader_for
from pypcp.pmda.segments import Fetched
from pypcp.pmda.sweep import Sweep
from pypcp.pmda.texts import folded
from pypcp.wire.result import typed
from pypcp.wire.text import TextKind

P = ParamSpec("P")
T = TypeVar("T")


def _alone(answer: Callable[Concatenate[Agent, P], T]) -> Callable[Concatenate[Agent, P], T]:
    """Nothing changes while this is answered."""

    @functools.wraps(answer)
    def locked(agent: Agent, /, *args: P.args, **named: P.kwargs) -> T:
        with agent.lock:
            return answer(agent, *args, **named)

    return locked


@dataclass(slots=True, eq=False)
class _Prepared:
    """What a fetch request comes down to, for as long as the agent has the same metrics."""

    generation: int
    clusters: list[Cluster]
    sweep: Sweep


class Agent(Declarations):
    """An agent of ``domain``: declare its metrics with what it inherits, then have it run.

    What is here is the interface the daemon asks through; :class:`pypcp.pmda.interface.AgentInterface` says what each
    question means.
    """

    def _admit(self) -> None:
        if not self.readiness.ready:
            raise AgentNotReady(self.name)
        if self._check is not None:
            self._check()

    def fetch(self, request: FetchRequest, client: Client) -> Fetched:
        with self.lock:
            if self._check is not None or not self.readiness.ready:
                self._admit()
            for hook in self._before_fetch:
                hook()
            prepared: _Prepared | None = request.prepared
            if prepared is None or prepared.generation != self.registry.generation:
                prepared = request.prepared = self._prepare(request)
            moment = object() if request.moment is None else request.moment
            for cluster in prepared.clusters:
                cluster.refresh(moment)
            if prepared.generation != self.registry.generation:
                # What was read made metrics come or go.
                prepared = request.prepared = self._prepare(request)
            sweep = prepared.sweep
            sweep.read(client)
            fetched = sweep.fetched
            fetched.changes = self.registry.take_changes() if self.registry.changes else 0
            return fetched

    def _prepare(self, request: FetchRequest) -> _Prepared:
        clusters: dict[Cluster, None] = {}
        readers: list[Reader] = []
        metrics = self.registry.metrics
        for pmid in request.pmids:
            metric = metrics.get(pmid)
            if metric is None:
                readers.append(UnknownReader(pmid, UnknownPmid.code))
            else:
                clusters[metric.cluster] = None
                readers.append(reader_for(metric, request.profile))
        refreshed = [cluster for cluster in clusters if cluster.refreshes]
        return _Prepared(self.registry.generation, refreshed, Sweep(readers))

    @_alone
    def desc(self, pmid: int) -> Desc:
        self._admit()
        return self.registry.metric(pmid).desc

    def _indom(self, indom: int) -> Indom:
        """The instance domain, as it is now: some source may have to be read for that."""
        self._admit()
        found = self.registry.indom(indom)
        found.refresh()
        return found

    @_alone
    def instances(self, indom: int) -> tuple[Sequence[int], Sequence[str]]:
        found = self._indom(indom)
        return found.ids, found.names

    @_alone
    def instance_name(self, indom: int, instance: int) -> str:
        return self._indom(indom).name_of(instance)

    @_alone
    def instance_id(self, indom: int, name: str) -> int:
        return self._indom(indom).id_of(name)

    @_alone
    def text(self, ident: int, kind: TextKind) -> str:
        self._admit()
        found = self.registry.metrics.get(ident) if kind & TextKind.PMID else self.registry.indoms.get(ident)
        text = "" if found is None else found.oneline if kind & TextKind.ONELINE else found.help or found.oneline
        if not text:
            raise NoText()
        return text if kind & TextKind.ONELINE else folded(text)

    @_alone
    def labels(self, ident: int, level: LabelType, profile: Profile) -> list[LabelSet]:
        self._admit()
        if level is LabelType.INSTANCES:
            indom = self.registry.indoms.get(ident)
            if indom is None:
                return []
            indom.refresh()
            return indom.instance_labels(profile.of(ident))
        found = self._labels_of(ident, level)
        return [] if found is None else [found]

    def _labels_of(self, ident: int, level: LabelType) -> LabelSet | None:
        registry = self.registry
        if level is LabelType.DOMAIN:
            return self._labels.set_for(level) or label_set_of({"agent": self.name}, {}, level)
        if level is LabelType.CLUSTER:
            return registry.labels_of(Pmid(ident).cluster).set_for(level)
        if level is LabelType.CONTEXT:
            return None
        if level not in (LabelType.ITEM, LabelType.INDOM):
            raise BadType(f"no labels of type {int(level)}")
        found: Metric | Indom | None
        found = registry.metrics.get(ident) if level is LabelType.ITEM else registry.indoms.get(ident)
        return None if found is None else found.labels.set_for(level)

    @_alone
    def store(self, value_sets: Sequence[ValueSet], client: Client) -> None:
        self._admit()
        wanted = [self._to_store(value_set) for value_set in value_sets]
        for metric, value_set in wanted:
            assert metric.store is not None
            for instance, value in zip(value_set.instances, value_set.values, strict=True):
                try:
                    metric.store(value, instance, client)
                except ValueError as error:
                    raise BadStore(f"{metric.name}: {error}") from error
                except OSError as error:
                    raise failure_of(error) from error

    def _to_store(self, value_set: ValueSet) -> tuple[Metric, ValueSet]:
        """What is to be stored where, checked before anything is stored."""
        metric = self.registry.metric(value_set.pmid)
        if metric.store is None:
            raise PermissionDenied(f"{metric.name} cannot be stored into")
        if metric.indom is not None:
            metric.indom.refresh()
            for instance in value_set.instances:
                if instance != IN_NULL:  # what that means is for the metric to say
                    metric.indom.name_of(instance)
        return metric, typed(value_set, metric.desc.type)

    @_alone
    def lookup_name(self, name: str) -> Pmid:
        self._admit()
        return self._names.lookup(name)

    @_alone
    def names_of(self, pmid: int) -> list[str]:
        self._admit()
        return self._names.names_of(pmid)

    @_alone
    def children(self, name: str) -> list[tuple[str, bool]]:
        self._admit()
        return self._names.children(name)

    @_alone
    def traverse(self, name: str) -> list[str]:
        self._admit()
        return self._names.traverse(name)

    @_alone
    def attributes_changed(self, client: Client) -> None:
        for function in self._on_attributes:
            function(client)

    @_alone
    def end_context(self, client: Client) -> None:
        for function in self._on_end:
            function(client)
        client.state.clear()
