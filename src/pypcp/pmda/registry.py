"""What an agent has declared: metrics, instance domains, names, labels; and that it changed."""

from __future__ import annotations

import threading
from collections import defaultdict

from pypcp.errors import UnknownInDom, UnknownPmid
from pypcp.model.ids import InDom, Pmid
from pypcp.pmda.indom import Indom
from pypcp.pmda.labels import NO_LABELS, Labels
from pypcp.pmda.metrics import Metric
from pypcp.pmns.tree import Tree
from pypcp.wire.pdu import StateChange


class Registry:
    """``generation`` changes with the metrics; ``changes`` is what clients have not been told of yet.

    ``dynamic_roots`` are the names below which metrics come and go while the agent runs. ``names_are_known``: somebody
    has asked for names, so that there is somebody to tell when they change. ``lock`` is held by whoever answers from
    what is here, and by whoever changes it.
    """

    def __init__(self, domain: int) -> None:
        self.domain = domain
        self.lock = threading.RLock()
        self.metrics: dict[int, Metric] = {}
        self.indoms: dict[int, Indom] = {}
        self.names = Tree()
        self.cluster_labels: dict[int, Labels] = {}
        self.dynamic_roots: list[str] = []
        self.generation = 0
        self.changes = StateChange.NO_CHANGE
        self.names_are_known = False
        self._next_items: defaultdict[int, int] = defaultdict(int)

    def add(self, metric: Metric) -> None:
        """Take up a metric; one without a name is known by its pmid only. ``ValueError``: name or pmid is taken."""
        pmid = metric.desc.pmid
        with self.lock:
            if pmid in self.metrics:
                raise ValueError(f"{metric.name}: pmid {pmid} is {self.metrics[pmid].name} already")
            if metric.name:
                self.names.insert(metric.name, pmid)
            self.metrics[pmid] = metric
            self.generation += 1
            self._next_items[pmid.cluster] = max(self._next_items[pmid.cluster], pmid.item + 1)

    def remove(self, metric: Metric) -> None:
        """Forget a metric and all its names. ``UnknownPmid``"""
        pmid = metric.desc.pmid
        with self.lock:
            if self.metrics.pop(pmid, None) is None:
                raise UnknownPmid(str(pmid))
            for name in self.names.names(pmid) if self.names.has_pmid(pmid) else ():
                self.names.remove(name)
            self.generation += 1

    def alias(self, name: str, pmid: int) -> None:
        """Another name for a pmid; ``PmnsError`` where it is taken."""
        with self.lock:
            self.names.insert(name, pmid)

    def add_indom(self, indom: Indom) -> None:
        """Take up an instance domain; ``ValueError`` when it is declared already."""
        with self.lock:
            if indom.id in self.indoms:
                raise ValueError(f"instance domain {indom.id} is declared already")
            indom.lock = self.lock
            self.indoms[indom.id] = indom

    def remove_indom(self, indom: Indom) -> None:
        """Forget an instance domain, once no metric has it any more."""
        with self.lock:
            del self.indoms[indom.id]

    def find(self, cluster: int, item: int) -> Metric | None:
        """The metric of this number, if there is one; ``ValueError`` if there can be none."""
        return self.metrics.get(Pmid.build(self.domain, cluster, item))

    def find_indom(self, serial: int) -> Indom | None:
        """The instance domain of this number, if there is one."""
        return self.indoms.get(InDom.build(self.domain, serial))

    def metric(self, pmid: int) -> Metric:
        """``UnknownPmid``"""
        metric = self.metrics.get(pmid)
        if metric is None:
            raise UnknownPmid(str(Pmid(pmid)))
        return metric

    def indom(self, indom: int) -> Indom:
        """``UnknownInDom``"""
        found = self.indoms.get(indom)
        if found is None:
            raise UnknownInDom(str(InDom(indom)))
        return found

    def children(self, name: str) -> list[tuple[str, bool]]:
        """As :meth:`Tree.children`, but a root of ours without any name below is empty, not unknown."""
        return [] if self._is_empty_root(name) else self.names.children(name)

    def traverse(self, name: str) -> list[str]:
        """The names of all metrics at or below ``name``; ``UnknownName`` as :meth:`children`."""
        return [] if self._is_empty_root(name) else [each for each, _ in self.names.traverse(name)]

    def _is_empty_root(self, name: str) -> bool:
        at_or_above = f"{name}." if name else ""
        is_root = any(root == name or root.startswith(at_or_above) for root in self.dynamic_roots)
        return is_root and name not in self.names

    def labels_of(self, cluster: int) -> Labels:
        """What the author says of a cluster of pmids."""
        return self.cluster_labels.get(cluster, NO_LABELS)

    def next_cluster(self) -> int:
        """The number after the largest in use; 0 is for metrics without a source."""
        return max([0, *self._next_items]) + 1

    def next_item(self, cluster: int) -> int:
        """The number after the largest in use in a cluster."""
        return self._next_items[cluster]

    def reserve(self, cluster: int) -> None:
        """Take a cluster's number, also as long as it has no metric."""
        self._next_items[cluster] += 0

    def metrics_changed(self) -> None:
        """A metric's descriptor is another one: what was prepared for fetches is void."""
        with self.lock:
            self.generation += 1

    def names_changed(self) -> None:
        """Names have come or gone."""
        if self.names_are_known:
            with self.lock:
                self.changes |= StateChange.NAMES_CHANGE

    def labels_changed(self) -> None:
        """Labels are others now, also those of instances that stay."""
        with self.lock:
            for indom in self.indoms.values():
                indom.forget_labels()
            self.changes |= StateChange.LABEL_CHANGE

    def take_changes(self) -> int:
        """What has changed since this was asked last, as the mask that goes with a reply."""
        with self.lock:
            changes, self.changes = self.changes, StateChange.NO_CHANGE
            return int(changes)
