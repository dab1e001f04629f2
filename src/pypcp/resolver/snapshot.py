"""All containers at one moment, and the rules by which a name finds one of them, or none."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable

from pypcp.resolver.container import Container

MIN_PREFIX = 4
_HEX = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},}}")


class Ambiguous(Exception):
    """More than one container could be meant. The text names them."""


class _Tier:
    """The containers of root, or those of the users."""

    def __init__(self, containers: Iterable[Container]) -> None:
        self.names: dict[str, list[Container]] = {}
        self.ids: dict[str, list[Container]] = {}
        self.aliases: dict[str, list[Container]] = {}
        for container in containers:
            self.ids.setdefault(container.ident, []).append(container)
            for name in dict.fromkeys(container.names):
                self.names.setdefault(name, []).append(container)
            if container.pid:
                for alias in dict.fromkeys(container.aliases):
                    self.aliases.setdefault(alias, []).append(container)
        self._sorted = sorted(ident for ident in self.ids if _HEX.fullmatch(ident))

    def matches(self, name: str) -> list[Container]:
        """Those that the first rule with any match finds."""
        return self.names.get(name) or self.ids.get(name) or self._by_prefix(name) or self.aliases.get(name, [])

    def _by_prefix(self, name: str) -> list[Container]:
        if not _HEX.fullmatch(name):
            return []
        at = bisect_left(self._sorted, name)
        found = []
        for ident in self._sorted[at : at + 2]:
            if ident.startswith(name):
                found += self.ids[ident]
        return found


class Snapshot:
    """Finds containers: exact name, exact id, unique beginning of an id (four digits at least), Kubernetes forms.

    Root's containers come first at every rule, so that no user can put his in the place of one of root's.
    """

    def __init__(self, containers: Iterable[Container] = ()) -> None:
        self.containers = tuple(containers)
        self._tiers = (
            _Tier(container for container in self.containers if not container.owner),
            _Tier(container for container in self.containers if container.owner),
        )

    def find(self, name: str) -> Container | None:
        """The one container of that name, None for an unknown one; :class:`Ambiguous` rather than a guess."""
        wanted = name.removeprefix("/")
        for tier in self._tiers:
            found = tier.matches(wanted)
            if len(found) > 1:
                raise Ambiguous(", ".join(f"{one.engine} {one.ident[:64]}" for one in found[:4]))
            if found:
                return found[0]
        return None
