"""Names: those declared, those that come and go with their members, and those an author answers for himself.

See: pmdaChildren(3), pmdaPMID(3), pmdaName(3).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from pypcp.errors import UnknownName, UnknownPmid
from pypcp.model.ids import Pmid
from pypcp.pmda.metrics import Cluster
from pypcp.pmda.registry import Registry
from pypcp.pmda.subtree import Subtree

_MAX_CLUSTER: Final = 4095


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


class Names:
    """All the names of an agent, and who answers for which."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._subtrees: dict[str, list[Subtree]] = {}
        self._answers: dict[str, NameAnswers] = {}

    def check_clusters(self, root: str, clusters: range) -> None:
        """``ValueError`` unless a subtree can have its pmids in these clusters, and no other has any there."""
        if not clusters or min(clusters) < 0 or max(clusters) > _MAX_CLUSTER:
            raise ValueError(f"subtree {root}: clusters {clusters}, must be some of 0 to {_MAX_CLUSTER}")
        for other in self._all_subtrees():
            if both := sorted(set(clusters) & set(other.clusters)):
                raise ValueError(f"subtree {root}: cluster {both[0]} has the metrics of {other.root} already")

    def sources(self) -> list[Cluster]:
        """What the subtrees are read from."""
        return [subtree.cluster for subtree in self._all_subtrees()]

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
                with contextlib.suppress(UnknownName):  # an author's way of saying that there are none now
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
