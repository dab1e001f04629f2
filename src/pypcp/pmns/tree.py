"""A performance metrics name space in memory: names <-> pmids. See: PMNS(5).

Names of leaves map to pmids, several names may share one (aliases). A leaf with the pmid ``511.D.0`` is a dynamic root:
the names below it are known to the agent of domain D only, and whoever finds the marker asks that agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from pypcp.errors import NotLeaf, PmnsError, UnknownName, UnknownPmid
from pypcp.model.ids import Pmid, is_dynamic_root

_COMPONENT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*")

# An interior node is a plain dict and a leaf a plain Pmid: a name space is tens of thousands of nodes, most are leaves.
_Interior: TypeAlias = dict[str, "_Interior | Pmid"]


def is_component(text: str) -> bool:
    """May this be one component of a name: a letter, then letters, digits and underscores?"""
    return _COMPONENT.fullmatch(text) is not None


def check_name(name: str) -> None:
    """Raise :class:`PmnsError` unless ``name`` is components joined by dots.

    Name space files are held to this. Agents that serve names of their own below a dynamic root are not: what they
    make of file and instance names is theirs, and :meth:`Tree.insert` asks only that no component is empty.
    """
    if _NAME.fullmatch(name):
        return
    bad = next(part for part in name.split(".") if not is_component(part))
    raise PmnsError(f"bad name {name[:200]!r}: {bad[:100]!r} is not a letter followed by letters, digits, underscores")


class Tree:
    """A name space. Inserting, removing and looking up cost O(depth), however many siblings there are.

    Children and leaves are listed in the order in which they were inserted, depth first, as stock lists a file's.
    """

    def __init__(self) -> None:
        self._root: _Interior = {}
        self._names: dict[int, dict[str, None]] = {}
        self._leaves = 0

    def __len__(self) -> int:
        """The number of leaves, dynamic roots included."""
        return self._leaves

    def __contains__(self, name: str) -> bool:
        """Is this the name of a leaf or of a node above one?"""
        return self._find(name) is not None

    def insert(self, name: str, pmid: int) -> None:
        """Add a leaf.

        ``PmnsError``: a component is empty, the name exists already, or a leaf (a dynamic root too) is in its way.
        """
        parts = name.split(".")
        if not all(parts):
            raise PmnsError(f"bad name {name[:200]!r}: a component is empty")
        node, depth = self._root, 0
        while isinstance(child := node.get(parts[depth]), dict) and depth < len(parts) - 1:
            node, depth = child, depth + 1
        if child is not None:
            taken = ".".join(parts[: depth + 1])
            raise PmnsError(f"cannot insert {name}: {taken} is {child if isinstance(child, Pmid) else 'there'} already")
        leaf = Pmid(pmid)
        node[parts[depth]] = _chain(parts[depth + 1 :], leaf)
        self._names.setdefault(leaf, {})[name] = None
        self._leaves += 1

    def remove(self, name: str) -> None:
        """Remove a leaf, and the nodes above it that have nothing else below. ``UnknownName``, ``NotLeaf``."""
        path = self._path(name)
        leaf = path[-1][0][path[-1][1]]
        if not isinstance(leaf, Pmid):
            raise NotLeaf(name)
        for node, part in reversed(path):
            del node[part]
            if node:
                break
        self._forget(leaf, name)
        self._leaves -= 1

    def _path(self, name: str) -> list[tuple[_Interior, str]]:
        path: list[tuple[_Interior, str]] = []
        node: _Interior | Pmid | None = self._root
        for part in name.split("."):
            if not isinstance(node, dict) or part not in node:
                raise UnknownName(name)
            path.append((node, part))
            node = node[part]
        return path

    def _forget(self, pmid: Pmid, name: str) -> None:
        names = self._names[pmid]
        del names[name]
        if not names:
            del self._names[pmid]

    def lookup(self, name: str) -> Pmid:
        """The pmid of a name; at or below a dynamic root that root's marker. ``UnknownName``, ``NotLeaf``.

        See: pmLookupName(3)
        """
        node: _Interior | Pmid = self._root
        for part in name.split("."):
            if not isinstance(node, dict):
                if is_dynamic_root(node):
                    return node
                raise UnknownName(name)
            if part not in node:
                raise UnknownName(name)
            node = node[part]
        if isinstance(node, dict):
            raise NotLeaf(name)
        return node

    def find_root(self, name: str) -> tuple[str, Pmid] | None:
        """The dynamic root at or above ``name`` as ``(its name, its marker)``; None: the name is nobody's or static."""
        node: _Interior | Pmid | None = self._root
        parts = name.split(".")
        for depth, part in enumerate(parts):
            node = node.get(part) if isinstance(node, dict) else None
            if isinstance(node, Pmid):
                return (".".join(parts[: depth + 1]), node) if is_dynamic_root(node) else None
        return None

    def names(self, pmid: int) -> list[str]:
        """Every name of a pmid, the last inserted first, as stock lists aliases. ``UnknownPmid``.

        See: pmNameAll(3)
        """
        try:
            return list(reversed(self._names[pmid]))
        except KeyError:
            raise UnknownPmid(str(Pmid(pmid))) from None

    def has_pmid(self, pmid: int) -> bool:
        """Has any leaf this pmid?"""
        return pmid in self._names

    def children(self, name: str) -> list[tuple[str, bool]]:
        """What is directly below a name: ``(component, is it a leaf)``; ``""`` is the root of the name space.

        A dynamic root is listed as no leaf. A leaf, and here a dynamic root too, has no children: see
        :meth:`find_root`. ``UnknownName``. See: pmGetChildrenStatus(3)
        """
        node = self._find(name)
        if node is None:
            raise UnknownName(name)
        if not isinstance(node, dict):
            return []
        return [(part, isinstance(child, Pmid) and not is_dynamic_root(child)) for part, child in node.items()]

    def traverse(self, name: str = "") -> list[tuple[str, Pmid]]:
        """Every leaf at or below a name, depth first; dynamic roots are given as leaves. ``UnknownName``.

        See: pmTraversePMNS(3)
        """
        node = self._find(name)
        if node is None:
            raise UnknownName(name)
        return [(name, node)] if isinstance(node, Pmid) else list(_leaves(name, node))

    def _find(self, name: str) -> _Interior | Pmid | None:
        node: _Interior | Pmid | None = self._root
        for part in name.split(".") if name else ():
            if not isinstance(node, dict):
                return None
            node = node.get(part)
        return node


def _chain(parts: list[str], leaf: Pmid) -> _Interior | Pmid:
    chain: _Interior | Pmid = leaf
    for part in reversed(parts):
        chain = {part: chain}
    return chain


def _leaves(name: str, top: _Interior) -> Iterator[tuple[str, Pmid]]:
    # A stack and not recursion, a prefix joined only where a leaf needs it: an agent chooses how deep its names are.
    path = [name] if name else []
    stack = [iter(top.items())]
    while stack:
        prefix = None
        for part, child in stack[-1]:
            if isinstance(child, dict):
                path.append(part)
                stack.append(iter(child.items()))
                break
            if prefix is None:
                prefix = ".".join([*path, ""])
            yield prefix + part, child
        else:
            stack.pop()
            del path[-1:]
