"""An agent: its metrics, instance domains and names, and the answers to everything the daemon asks. See: PMDA(3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pypcp.errors import BadType, NoText, PermissionDenied, UnknownInDom, UnknownPmid
from pypcp.model.desc import Desc
from pypcp.model.ids import InDom, Pmid
from pypcp.model.labels import LabelSet, LabelType
from pypcp.model.profile import Profile
from pypcp.model.values import ValueSet
from pypcp.pmda.indom import Indom
from pypcp.pmda.instance_cache import InstanceCache
from pypcp.pmda.interface import Client, FetchRequest
from pypcp.pmda.metrics import Cluster, Metric
from pypcp.pmda.readers import Reader, UnknownReader, reader_for
from pypcp.pmda.segments import Fetched
from pypcp.pmns.tree import Tree
from pypcp.wire.label import label_set
from pypcp.wire.text import TextKind


@dataclass(slots=True, eq=False)
class _Prepared:
    """What a fetch request comes down to, for as long as the agent has the same metrics."""

    generation: int
    clusters: list[Cluster]
    readers: list[Reader]
    fetched: Fetched


class Agent:
    """An agent of ``domain`` (1 to 510).

    ``state`` is the directory where instance ids are remembered over restarts; without it they last as long as the
    process. Declare with :meth:`indom`, :meth:`cluster` and the cluster's ``metric``; the rest of the methods is the
    interface the daemon asks through (:class:`pypcp.pmda.interface.AgentInterface`).
    """

    def __init__(self, name: str, domain: int, *, help_: str = "", state: Path | None = None) -> None:
        self.name = name
        self.domain = domain
        self.help = help_
        self.names = Tree()
        self._state = state
        self._indoms: dict[int, Indom] = {}
        self._metrics: dict[int, Metric] = {}
        self._generation = 0

    # Declaring

    def indom(
        self, serial: int, *, help_: str = "", fixed: Mapping[int, str] | None = None, persistent: bool = False
    ) -> Indom:
        """Declare an instance domain (``serial`` 0 to 4194303).

        ``fixed``: ids and names that never change. ``persistent``: ids stay with their names over restarts.
        """
        ident = InDom.build(self.domain, serial)
        if ident in self._indoms:
            raise ValueError(f"instance domain {ident} is declared already")
        keeps = self._state / str(ident) if persistent and self._state is not None else None
        declared = Indom(ident, help_=help_, fixed=fixed, cache=InstanceCache(keeps))
        self._indoms[ident] = declared
        return declared

    def cluster(self, number: int, refresh: Callable[[], Any] | None = None) -> Cluster:
        """Declare metrics that ``refresh`` reads together.

        ``number`` goes into their pmids and says no more: several sources of one number are a cluster each.
        """
        return Cluster(self.domain, number, refresh, self._add)

    def _add(self, metric: Metric) -> None:
        """Take up a metric of a cluster; ``ValueError`` when its name or pmid is taken."""
        pmid = metric.desc.pmid
        if pmid in self._metrics:
            raise ValueError(f"{metric.name}: pmid {pmid} is {self._metrics[pmid].name} already")
        self.names.insert(metric.name, pmid)
        self._metrics[pmid] = metric
        self._generation += 1

    # Being asked

    def fetch(self, request: FetchRequest, client: Client) -> Fetched:
        prepared: _Prepared | None = request.prepared
        if prepared is None or prepared.generation != self._generation:
            prepared = request.prepared = self._prepare(request)
        for cluster in prepared.clusters:
            cluster.refresh(request.moment)
        fetched = prepared.fetched
        moved = False
        for position, reader in enumerate(prepared.readers):
            if reader.read(client):
                moved = True
                fetched.segments[position] = reader.segment
        if moved:
            fetched.layout = object()
        return fetched

    def _prepare(self, request: FetchRequest) -> _Prepared:
        clusters: dict[Cluster, None] = {}
        readers: list[Reader] = []
        for pmid in request.pmids:
            metric = self._metrics.get(pmid)
            if metric is None:
                readers.append(UnknownReader(pmid, UnknownPmid.code))
            else:
                clusters[metric.cluster] = None
                readers.append(reader_for(metric, request.profile))
        refreshed = [cluster for cluster in clusters if cluster.refreshes]
        shared = all(reader.shared for reader in readers)
        fetched = Fetched([reader.segment for reader in readers], shared=shared)
        return _Prepared(self._generation, refreshed, readers, fetched)

    def desc(self, pmid: int) -> Desc:
        return self._metric(pmid).desc

    def _metric(self, pmid: int) -> Metric:
        metric = self._metrics.get(pmid)
        if metric is None:
            raise UnknownPmid(str(Pmid(pmid)))
        return metric

    def _indom(self, indom: int) -> Indom:
        """The instance domain, as it is now: some source may have to be read for that."""
        found = self._indoms.get(indom)
        if found is None:
            raise UnknownInDom(str(InDom(indom)))
        found.refresh()
        return found

    def instances(self, indom: int) -> tuple[Sequence[int], Sequence[str]]:
        found = self._indom(indom)
        return found.ids, found.names

    def instance_name(self, indom: int, instance: int) -> str:
        return self._indom(indom).name_of(instance)

    def instance_id(self, indom: int, name: str) -> int:
        return self._indom(indom).id_of(name)

    def text(self, ident: int, kind: TextKind) -> str:
        found = self._metrics.get(ident) if kind & TextKind.PMID else self._indoms.get(ident)
        text = "" if found is None else found.oneline if kind & TextKind.ONELINE else found.help or found.oneline
        if not text:
            raise NoText()
        return text

    def labels(self, ident: int, level: LabelType, profile: Profile) -> list[LabelSet]:
        if level is LabelType.DOMAIN:
            return [label_set({"agent": self.name}, level)]
        if level in (LabelType.CLUSTER, LabelType.ITEM, LabelType.INDOM, LabelType.INSTANCES):
            return []
        raise BadType(f"no labels of type {int(level)}")

    def store(self, value_sets: Sequence[ValueSet], client: Client) -> None:
        for value_set in value_sets:
            metric = self._metric(value_set.pmid)
            if metric.store is None:
                raise PermissionDenied(metric.name)
            for instance, value in zip(value_set.instances, value_set.values, strict=True):
                metric.store(value, instance, client)

    def lookup_name(self, name: str) -> Pmid:
        return self.names.lookup(name)

    def names_of(self, pmid: int) -> list[str]:
        return self.names.names(pmid)

    def children(self, name: str) -> list[tuple[str, bool]]:
        return self.names.children(name)

    def traverse(self, name: str) -> list[str]:
        return [each for each, _ in self.names.traverse(name)]

    def attributes_changed(self, client: Client) -> None:
        """Nothing: this agent reads the client's attributes when it needs them."""

    def end_context(self, client: Client) -> None:
        """Nothing: what the agent keeps about a client is in ``client.state``, which goes with it."""
