"""Names: those declared, those that come and go with their members, and those an author answers for himself.

See: pmdaChildren(3), pmdaPMID(3), pmdaName(3).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from pypcp.errors import GenericError, TooBig, UnknownPmid
from pypcp.model.ids import Pmid
from pypcp.model.units import Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.declare import Facts, Source, Template, template
from pypcp.pmda.indom import Indom
from pypcp.pmda.instance_cache import InstanceCache
from pypcp.pmda.labels import Given
from pypcp.pmda.metrics import Cluster, Metric
from pypcp.pmda.registry import Registry

_ITEMS: Final = 1024
_FRESH_S: Final = 0.1
"""Known names are looked up for so long without reading their source again: a daemon asks for them one by one."""


class NameAnswers(Protocol):
    """What an author who answers for names himself has to say; all names are whole, from the root."""

    def lookup(self, name: str) -> int:
        """The pmid of a metric; ``UnknownName``, or ``NotLeaf``."""
        ...

    def names_of(self, pmid: int) -> Sequence[str]:
        """Every name of a pmid; ``UnknownPmid``."""
        ...

    def children(self, name: str) -> Sequence[tuple[str, bool]]:
        """The single components right below, and whether each is a metric; ``UnknownName``."""
        ...

    def traverse(self, name: str) -> Sequence[str]:
        """The whole names of all metrics at and below; ``UnknownName``."""
        ...


class Subtree:
    """Metrics that come and go: ``ROOT.MEMBER.METRIC``, the same metrics for each member.

    A member's name may have dots. What belongs to a member, its *data*, is given to the functions that
    :meth:`metric` declares. A name keeps its pmid, and gets it again when it comes back. Adding or removing a member
    costs the depth of its names, however many there are.
    """

    def __init__(
        self,
        registry: Registry,
        root: str,
        clusters: range,
        cache: InstanceCache,
        members: Callable[[Any], Mapping[str, Any]] | None = None,
        source: Source | None = None,
    ) -> None:
        self.root = root
        self._registry = registry
        self._clusters = clusters
        self._cache = cache
        self._cluster = Cluster(registry.domain, clusters.start, None, registry.add)
        self._templates: list[Template] = []
        self._members: dict[str, Any] = {}
        self._metrics: dict[str, list[Metric]] = {}
        self._read_at = 0.0
        if source is not None:
            self._cluster = source.cluster
            find: Callable[[Any], Mapping[str, Any]] = members if members is not None else dict
            source.cluster.follow(lambda snapshot: self.replace(find(snapshot)))

    def metric(
        self,
        name: str | None = None,
        *,
        indom: Indom | None = None,
        type_: ValueType | None = None,
        sem: Semantics | None = None,
        units: Units | str = "",
        help_: str | None = None,
        labels: Given | None = None,
        notes: Given | None = None,
    ) -> Callable[[Callable[..., Any]], Template]:
        """Decorator: the function takes a member's data, and gives the value of its metric.

        ``name`` is what follows the member's name (without it the function's); an empty one makes the member itself the
        metric. All else as for :meth:`Source.metric`.
        """
        facts = Facts(name, None, indom, type_, sem, units, help_, labels, notes)

        def declare(function: Callable[..., Any]) -> Template:
            made = template(function, facts, "", from_snapshot=True)
            self._templates.append(made)
            for member in self._members:
                self._metrics[member].append(self._declare(member, made))
            return made

        return declare

    def add(self, member: str, data: Any = None) -> None:
        """A member has come, or has new data. ``TooBig``: there are no pmids left for it."""
        if member not in self._members:
            self._metrics[member] = self._declare_all(member)
            self._cache.save()
            self._registry.names_changed()
        self._members[member] = data

    def _declare_all(self, member: str) -> list[Metric]:
        declared: list[Metric] = []
        try:
            for made in self._templates:
                declared.append(self._declare(member, made))
        except Exception:
            self._forget(declared)
            raise
        return declared

    def _forget(self, metrics: Iterable[Metric]) -> None:
        for metric in metrics:
            self._registry.remove(metric)
            self._cache.hide(metric.name)

    def remove(self, member: str) -> None:
        """A member has gone; ``KeyError`` if it was not there."""
        del self._members[member]
        self._forget(self._metrics.pop(member))
        self._registry.names_changed()

    def replace(self, members: Mapping[str, Any]) -> None:
        """These are the members now, with their data."""
        self._read_at = time.monotonic()
        if self._members.keys() != members.keys():
            for gone in [name for name in self._members if name not in members]:
                self.remove(gone)
            for name, data in members.items():
                self.add(name, data)
        self._members.update(members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __getitem__(self, member: str) -> Any:
        """A member's data; ``KeyError``."""
        return self._members[member]

    def refresh(self, *, known: bool = False) -> None:
        """Have the source read again; ``known``: just to make sure of a name that was there when it was read last."""
        if not (known and time.monotonic() - self._read_at < _FRESH_S):
            self._cluster.refresh()

    def _declare(self, member: str, made: Template) -> Metric:
        name = ".".join(part for part in (self.root, member, made.name.lstrip(".")) if part)
        number = self._number(name)
        cluster = self._clusters[number // _ITEMS]
        members = self._members
        function = made.function
        if made.takes_client:
            return made.declare(
                self._cluster,
                number % _ITEMS,
                name,
                lambda snapshot, client: function(members[member], client=client),
                cluster,
            )
        read = (lambda snapshot: function(members[member])) if made.takes_snapshot else made.read()
        return made.declare(self._cluster, number % _ITEMS, name, read, cluster)

    def _number(self, name: str) -> int:
        last = len(self._clusters) * _ITEMS - 1
        self._cache.maximum = min(self._cache.maximum, last)
        try:
            return self._cache.add(name)
        except GenericError:
            self._cache.forget_inactive()
        try:
            return self._cache.add(name)
        except GenericError:
            raise TooBig(
                f"{name}: {last + 1} metrics below {self.root} are all there can be; give more clusters"
            ) from None


class Names:
    """All the names of an agent, and who answers for which."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._subtrees: dict[str, list[Subtree]] = {}
        self._answers: dict[str, NameAnswers] = {}

    def add_subtree(self, subtree: Subtree) -> None:
        """Names at and below its root come and go."""
        self._add_root(subtree.root)
        self._subtrees.setdefault(subtree.root, []).append(subtree)

    def add_answers(self, root: str, answers: NameAnswers) -> None:
        """``answers`` knows the names at and below ``root``."""
        self._add_root(root)
        self._answers[root] = answers

    def _add_root(self, root: str) -> None:
        if root not in self._registry.dynamic_roots:
            self._registry.dynamic_roots.append(root)

    def lookup(self, name: str) -> Pmid:
        """The pmid of a name; ``UnknownName``, ``NotLeaf``."""
        self._registry.names_are_known = True
        if (answers := self._answering(name)) is not None:
            return Pmid(answers.lookup(name))
        known = name in self._registry.names
        for subtree in self._subtrees_at(name):
            subtree.refresh(known=known)
        return self._registry.names.lookup(name)

    def names_of(self, pmid: int) -> list[str]:
        """Every name of a pmid; ``UnknownPmid``."""
        known = self._registry.names.has_pmid(pmid)
        for subtree in self._all_subtrees():
            subtree.refresh(known=known)
        found = self._registry.names.names(pmid) if self._registry.names.has_pmid(pmid) else []
        for answers in self._answers.values():
            try:
                found += answers.names_of(pmid)
            except UnknownPmid:
                continue
        if not found:
            raise UnknownPmid(str(Pmid(pmid)))
        return found

    def children(self, name: str) -> list[tuple[str, bool]]:
        """What is right below a name, and whether each is a leaf; ``UnknownName``."""
        self._registry.names_are_known = True
        if (answers := self._answering(name)) is not None:
            return list(answers.children(name))
        self._refresh_around(name)
        return _merged(self._registry.children(name), self._heads_below(name))

    def traverse(self, name: str) -> list[str]:
        """Every leaf at or below a name; ``UnknownName``."""
        self._registry.names_are_known = True
        if (answers := self._answering(name)) is not None:
            return list(answers.traverse(name))
        self._refresh_around(name)
        found = self._registry.traverse(name)
        for root, below in self._answers.items():
            if _is_below(root, name):
                found += below.traverse(root)
        return found

    def _answering(self, name: str) -> NameAnswers | None:
        for root, answers in self._answers.items():
            if _is_below(name, root):
                return answers
        return None

    def _refresh_around(self, name: str) -> None:
        for root, subtrees in self._subtrees.items():
            if _is_below(root, name) or _is_below(name, root):
                for subtree in subtrees:
                    subtree.refresh()

    def _all_subtrees(self) -> Iterable[Subtree]:
        return [subtree for subtrees in self._subtrees.values() for subtree in subtrees]

    def _subtrees_at(self, name: str) -> Iterable[Subtree]:
        return [subtree for subtree in self._all_subtrees() if _is_below(name, subtree.root)]

    def _heads_below(self, name: str) -> list[str]:
        """The components right below ``name`` on the way to roots that somebody else answers for, or that are empty."""
        prefix = f"{name}." if name else ""
        return [root[len(prefix) :].partition(".")[0] for root in self._answers if root.startswith(prefix)]


def _is_below(name: str, root: str) -> bool:
    """Is ``name`` the root or below it? Everything is below the root of the name space, ``""``."""
    return not root or name == root or name.startswith(root + ".")


def _merged(children: list[tuple[str, bool]], more: Iterable[str]) -> list[tuple[str, bool]]:
    known = {name for name, _ in children}
    return children + [(name, False) for name in dict.fromkeys(more) if name not in known]


def name_space_entry(domain: int, roots: Sequence[str], *, whole: bool) -> str:
    """What a name space file says so that the agent of ``domain`` is asked for all names below ``roots``.

    ``whole``: as a file of its own; else as lines for the ``root`` of another. See: PMNS(5)
    """
    lines = [f"    {root}\t{domain}:*:*" for root in roots]
    return "\n".join(["root {", *lines, "}"] if whole else lines)
