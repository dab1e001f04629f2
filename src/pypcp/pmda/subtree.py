"""Metrics that come and go with their members, the same ones for each. See: pmdaChildren(3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from pypcp.errors import GenericError, TooBig
from pypcp.model.ids import InDom
from pypcp.model.units import Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.declare import Facts, Source, Template, template
from pypcp.pmda.indom import Indom
from pypcp.pmda.instance_cache import InstanceCache
from pypcp.pmda.labels import Given, Labels
from pypcp.pmda.metrics import Cluster, Metric, store_by_names
from pypcp.pmda.registry import Registry
from pypcp.pmda.signature import parameters_of
from pypcp.pmns.tree import check_name

_ITEMS: Final = 1024
_FRESH_S: Final = 0.1
"""Known names are looked up for so long without reading their source again: a daemon asks for them one by one."""

GivenOfMember: TypeAlias = Given | Callable[[Any], Mapping[str, Any]]
"""Labels or notes; what a function of the member's data gives is asked for anew every time."""


class Subtree:
    """Metrics that come and go: ``ROOT.MEMBER.METRIC``, the same metrics for each member.

    A member's name may have dots. What belongs to a member, its *data*, is given to the functions that
    :meth:`metric` declares. A name keeps its pmid, and gets it again when it comes back. Adding or removing a member
    costs the depth of its names, however many there are. Any thread may do it: it waits until the request that is being
    answered has been answered.

    ``keep`` makes the caches in which numbers are remembered.
    """

    def __init__(
        self,
        registry: Registry,
        root: str,
        clusters: range,
        keep: Callable[[str], InstanceCache],
        members: Callable[[Any], Mapping[str, Any]] | None = None,
        source: Source | None = None,
    ) -> None:
        self.root = root
        self.clusters = clusters
        self._registry = registry
        self._keep = keep
        self._cache = keep(f"{registry.domain}.names.{clusters.start}")
        self.cluster = Cluster(registry.domain, clusters.start, None, registry.add)
        self._indoms: list[MemberIndom] = []
        self._metrics: list[MemberMetric] = []
        self._members: dict[str, Any] = {}
        self._read_at = 0.0
        if source is not None:
            self.cluster = source.cluster
            find: Callable[[Any], Mapping[str, Any]] = members if members is not None else dict
            source.cluster.follow(lambda snapshot: self.replace(find(snapshot)))

    def metric(
        self,
        name: str | None = None,
        *,
        indom: Indom | MemberIndom | None = None,
        type_: ValueType | None = None,
        sem: Semantics | None = None,
        units: Units | str = "",
        help_: str | None = None,
        labels: GivenOfMember | None = None,
        notes: GivenOfMember | None = None,
    ) -> Callable[[Callable[..., Any]], MemberMetric]:
        """Decorator: the function takes a member's data, and gives the value of its metric.

        ``name`` is what follows the member's name (without it the function's); an empty one makes the member itself the
        metric. ``indom`` is one for all members, or one for each (:meth:`indom`); ``labels`` and ``notes`` may be
        functions of the member's data. All else as for :meth:`Source.metric`.
        """
        common = None if isinstance(indom, MemberIndom) else indom
        facts = Facts(name, None, common, type_, sem, units, help_)

        def declare(function: Callable[..., Any]) -> MemberMetric:
            made = template(function, facts, "", from_snapshot=True, has_instances=indom is not None)
            own = indom if isinstance(indom, MemberIndom) else None
            metric = MemberMetric(self, made, own, (labels, notes))
            with self._registry.lock:
                self._metrics.append(metric)
                for member in self._members:
                    metric.add(member)
            return metric

        return declare

    def indom(self, instances: Callable[[Any], Iterable[str]], *, serials: range, help_: str = "") -> MemberIndom:
        """Declare an instance domain of its own for each member, for the ``indom`` of metrics.

        ``instances`` finds their names in the member's data, whenever there is new. A member keeps its serial, one of
        ``serials``, and a name its number (the same in all these domains), over restarts too.
        """
        first = f"{self._registry.domain}.{serials.start}"
        numbers = self._keep(f"{first}.members"), self._keep(f"{first}.instances")
        made = MemberIndom(self, instances, serials, numbers, help_)
        with self._registry.lock:
            self._indoms.append(made)
            for member in self._members:
                made.add(member)
        return made

    def add(self, member: str, data: Any = None) -> None:
        """A member has come, or has new data.

        ``TooBig``: there are no numbers left for it. ``PmnsError``: it cannot be part of a name.
        """
        with self._registry.lock:
            is_new = member not in self._members
            self._members[member] = data
            if not is_new:
                self._update([member])
                return
            try:
                for indom in self._indoms:
                    indom.add(member)
                for metric in self._metrics:
                    metric.add(member)
            except Exception:
                self._forget(member)
                raise
            self._cache.save()
            self._registry.names_changed()

    def remove(self, member: str) -> None:
        """A member has gone; ``KeyError`` if it was not there."""
        with self._registry.lock:
            self._forget(member)
            self._registry.names_changed()

    def _forget(self, member: str) -> None:
        del self._members[member]
        for metric in self._metrics:
            metric.remove(member)
        for indom in self._indoms:
            indom.remove(member)

    def _update(self, members: Iterable[str]) -> None:
        for indom in self._indoms:
            for member in members:
                indom.update(member)

    def replace(self, members: Mapping[str, Any]) -> None:
        """These are the members now, with their data."""
        with self._registry.lock:
            self._read_at = time.monotonic()
            if self._members.keys() == members.keys():
                self._members.update(members)
                self._update(members)
                return
            for gone in [name for name in self._members if name not in members]:
                self.remove(gone)
            for name, data in members.items():
                self.add(name, data)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._members))

    def __getitem__(self, member: str) -> Any:
        """A member's data; ``KeyError``."""
        return self._members[member]

    def refresh(self, *, known: bool = False) -> None:
        """Have the source read again; ``known``: just to make sure of a name that was there when it was read last."""
        if not (known and time.monotonic() - self._read_at < _FRESH_S):
            self.cluster.refresh()


class MemberMetric:
    """A metric that each member of a subtree has. :meth:`Subtree.metric` declares it."""

    def __init__(
        self,
        subtree: Subtree,
        made: Template,
        indom: MemberIndom | None,
        labels: tuple[GivenOfMember | None, GivenOfMember | None],
    ) -> None:
        self._subtree = subtree
        self._template = made
        self._indom = indom
        self._labels = labels
        self._store: Callable[..., None] | None = None
        self._metrics: dict[str, Metric] = {}

    def on_store(self, function: Callable[..., None]) -> Callable[..., None]:
        """Decorator: ``function`` takes each value that a client stores; without one the metrics refuse.

        As :meth:`pypcp.pmda.metrics.Metric.on_store`, and its one parameter that has another name is given the member's
        data.
        """
        self._store = function
        for member, metric in self._metrics.items():
            self._let_store(member, metric)
        return function

    def _let_store(self, member: str, metric: Metric) -> None:
        if self._store is not None:
            metric.store = store_by_names(self._store, metric, self._data_of(member))

    def _data_of(self, member: str) -> Callable[[], Any]:
        members = self._subtree._members
        return lambda: members[member]

    def add(self, member: str) -> None:
        """Declare it for a member."""
        subtree = self._subtree
        name = ".".join(part for part in (subtree.root, member, self._template.name.lstrip(".")) if part)
        check_name(name)
        number = _number(subtree._cache, name, len(subtree.clusters) * _ITEMS, f"metrics below {subtree.root}")
        labels, notes = (_of_member(given, self._data_of(member)) for given in self._labels)
        indom = self._template.indom if self._indom is None else self._indom.of(member)
        made = replace(self._template, indom=indom, labels=Labels(labels, notes))
        cluster = subtree.clusters[number // _ITEMS]
        metric = made.declare(subtree.cluster, number % _ITEMS, name, self._read(member), cluster)
        self._let_store(member, metric)
        self._metrics[member] = metric

    def _read(self, member: str) -> Callable[..., Any]:
        made, members = self._template, self._subtree._members
        function = made.function
        if made.takes_client:
            return lambda snapshot, client: function(members[member], client=client)
        return (lambda snapshot: function(members[member])) if made.takes_snapshot else made.read()

    def remove(self, member: str) -> None:
        """Forget that of a member, if it has one."""
        metric = self._metrics.pop(member, None)
        if metric is not None:
            self._subtree._registry.remove(metric)
            self._subtree._cache.hide(metric.name)


class MemberIndom:
    """An instance domain that each member of a subtree has. :meth:`Subtree.indom` declares it."""

    def __init__(
        self,
        subtree: Subtree,
        instances: Callable[[Any], Iterable[str]],
        serials: range,
        numbers: tuple[InstanceCache, InstanceCache],
        help_: str,
    ) -> None:
        self._subtree = subtree
        self._find = instances
        self._serials = serials
        self._serial_of, self._id_of = numbers
        self._help = help_
        self._indoms: dict[str, Indom] = {}

    def of(self, member: str) -> Indom:
        """That of a member; ``KeyError``."""
        return self._indoms[member]

    def add(self, member: str) -> None:
        """Declare it for a member."""
        number = _number(self._serial_of, member, len(self._serials), f"instance domains below {self._subtree.root}")
        self._serial_of.save()
        registry = self._subtree._registry
        # All members share a cache, so a serial that passes from one to another gives no number a second meaning.
        indom = Indom(InDom.build(registry.domain, self._serials[number]), help_=self._help, cache=self._id_of)
        indom.has_members = True
        registry.add_indom(indom)
        self._indoms[member] = indom
        self.update(member)

    def update(self, member: str) -> None:
        """The member has new data."""
        names = tuple(self._find(self._subtree[member]))
        indom = self._indoms[member]
        if names != indom.names:
            indom.replace(names, [self._id_of.add(name) for name in names])
            self._id_of.save()

    def remove(self, member: str) -> None:
        """Forget that of a member, if it has one."""
        indom = self._indoms.pop(member, None)
        if indom is not None:
            self._subtree._registry.remove_indom(indom)
            self._serial_of.hide(member)


def _of_member(given: GivenOfMember | None, data: Callable[[], Any]) -> Given | None:
    if callable(given) and parameters_of(given):
        return lambda: given(data())  # type: ignore[call-arg]
    return given  # type: ignore[return-value]


def _number(cache: InstanceCache, name: str, size: int, what: str) -> int:
    """The number of a name, below ``size``; it goes to another name only when there is no other left."""
    cache.maximum = min(cache.maximum, size - 1)
    try:
        return cache.add(name)
    except GenericError:
        cache.forget_inactive()
    try:
        return cache.add(name)
    except GenericError:
        raise TooBig(f"{name}: {size} {what} are all there can be; give a longer range") from None
