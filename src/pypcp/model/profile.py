"""Which instances a client wants. See: pmAddProfile(3), pmDelProfile(3).

On the wire the lists are inverted: an instance domain whose state is INCLUDE lists what is left *out*, one whose state
is EXCLUDE lists what is let *in*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pypcp.errors import ProfileSpec
from pypcp.model.ids import PM_INDOM_NULL

_NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class InDomProfile:
    """The choice within one instance domain: all but ``listed`` (``include``), or only ``listed`` (not ``include``)."""

    include: bool
    listed: frozenset[int] = _NOTHING

    def __contains__(self, instance: int) -> bool:
        return (instance in self.listed) is not self.include


@dataclass(frozen=True)
class Profile:
    """A choice of instances over all instance domains; immutable, equal when it chooses by the same lists."""

    include: bool = True
    """What goes for instance domains that are not listed: all instances, or none."""
    indoms: Mapping[int, InDomProfile] = field(default_factory=lambda: MappingProxyType({}))

    def __hash__(self) -> int:
        return hash((self.include, frozenset(self.indoms.items())))

    def of(self, indom: int) -> InDomProfile | None:
        """The choice within ``indom``; None means all instances."""
        chosen = self.indoms.get(indom)
        if chosen is None:
            return None if self.include else _NO_INSTANCE
        return None if chosen.include and not chosen.listed else chosen

    def includes(self, indom: int, instance: int) -> bool:
        """Is this instance wanted? Singular metrics (PM_INDOM_NULL) always are."""
        if indom == PM_INDOM_NULL:
            return True
        chosen = self.of(indom)
        return chosen is None or instance in chosen

    def add(self, indom: int, instances: Iterable[int] = ()) -> Profile:
        """This profile with ``instances`` of ``indom`` wanted; none given: all of them. See: pmAddProfile(3)."""
        return self._with(indom, frozenset(instances), wanted=True)

    def delete(self, indom: int, instances: Iterable[int] = ()) -> Profile:
        """This profile with ``instances`` of ``indom`` not wanted; none given: all of them. See: pmDelProfile(3)."""
        return self._with(indom, frozenset(instances), wanted=False)

    def _with(self, indom: int, instances: frozenset[int], *, wanted: bool) -> Profile:
        if indom == PM_INDOM_NULL:
            if instances:
                raise ProfileSpec()
            return Profile(include=wanted)
        if not instances:
            chosen = InDomProfile(include=wanted)
        else:
            # An instance domain without an entry starts as "only those listed", none listed: what the C library does.
            before = self.indoms.get(indom, _NO_INSTANCE)
            listed = before.listed | instances if before.include is not wanted else before.listed - instances
            chosen = InDomProfile(before.include, listed)
        return Profile(self.include, MappingProxyType({**self.indoms, indom: chosen}))


_NO_INSTANCE = InDomProfile(include=False)

EVERYTHING = Profile()
"""The profile of a new context: all instances of all domains."""
