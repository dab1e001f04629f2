"""Instance domains: which instances there are, and the id that each keeps. See: pmdaInstance(3), pmdaCache(3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pypcp.errors import UnknownInstance
from pypcp.model.ids import InDom
from pypcp.model.labels import LabelSet, LabelType
from pypcp.model.profile import InDomProfile
from pypcp.pmda.instance_cache import InstanceCache
from pypcp.pmda.labels import NO_LABELS, Labels, label_set_of

if TYPE_CHECKING:
    from pypcp.pmda.metrics import Cluster

LabelInstance = Callable[[str], Mapping[str, Any]]
"""An instance's name -> its labels."""


class Indom:
    """The instances of a group of metrics, in the order in which columns give their values.

    ``names`` and ``ids`` describe the instances there are now. ``generation`` changes whenever they do. Ids are given
    out by a cache and stay with a name for good; a fixed domain has its ids from the author. ``source`` refreshes what
    the instances are read from, for those who ask for the instances and not for values. ``members`` says which
    instances a snapshot has. ``lock`` is held while they change: the agent's, once the domain is declared.
    """

    def __init__(
        self,
        indom: InDom,
        *,
        help_: str = "",
        fixed: Mapping[int, str] | None = None,
        cache: InstanceCache | None = None,
        members: Callable[[Any], Iterable[str]] | None = None,
        labels: Labels = NO_LABELS,
        label_instance: LabelInstance | None = None,
        note_instance: LabelInstance | None = None,
    ) -> None:
        self.id = indom
        self.oneline, _, self.help = (part.strip() for part in help_.partition("\n"))
        self.cache = cache if cache is not None else InstanceCache()
        self.labels = labels
        self.names: tuple[str, ...] = ()
        self.ids: tuple[int, ...] = ()
        self.generation = 0
        self.lock = threading.RLock()
        self.source: Callable[[], None] | None = None
        self.has_members = members is not None
        self._members = members
        self._label_instance = label_instance
        self._note_instance = note_instance
        self._labels_made: tuple[int, dict[int, LabelSet]] = (-1, {})
        self._labels_given: tuple[InDomProfile | None, list[LabelSet]] | None = None
        self._position: dict[int, int] = {}
        self._id_of: dict[str, int] = {}
        self._first_words: tuple[int, dict[str, int]] = (-1, {})
        self.is_fixed = fixed is not None
        if fixed is not None:
            if not isinstance(fixed, Mapping) or not all(
                isinstance(number, int) and isinstance(name, str) for number, name in fixed.items()
            ):
                raise TypeError(
                    f"fixed={fixed!r:.80}: a mapping from numbers to names is needed: {{0: 'red', 1: 'blue'}}"
                )
            self._take(tuple(fixed.values()), tuple(fixed))

    def replace(self, names: Iterable[str], ids: Iterable[int] | None = None) -> None:
        """These are the instances now, in this order. Cheap when nothing changed.

        ``ids``: their ids, where those follow from what the instances are; else the cache gives them.
        """
        now = tuple(names)
        if now == self.names and ids is None:
            return
        with self.lock:
            if ids is not None:
                self._take(now, tuple(ids))
            else:
                self._take(now, self.cache.replace(now))
                self.cache.save()

    def follow_cache(self) -> None:
        """The instances now are those that are active in the cache, ascending by id.

        For who works on the cache himself (``cache.add(name, key=...)``, ``hide``, ``purge``) and not by
        :meth:`replace`.
        """
        with self.lock:
            active = self.cache.active()
            self._take(tuple(entry.name for entry in active), tuple(entry.id for entry in active))
            self.cache.save()

    def _take(self, names: tuple[str, ...], ids: tuple[int, ...]) -> None:
        if names == self.names and ids == self.ids:
            return
        if len(set(names)) != len(names):
            raise ValueError(f"instance domain {self.id}: an instance is listed twice")
        self._id_of = dict(zip(names, ids, strict=True))
        self.names, self.ids = names, ids
        self._position = {instance: position for position, instance in enumerate(ids)}
        self.generation += 1

    def follow(self, cluster: Cluster) -> None:
        """Read the instances together with ``cluster``, if nothing else is said already."""
        if self.source is None:
            self.source = cluster.refresh
            if self._members is not None:
                members = self._members
                cluster.follow(lambda snapshot: self.replace(members(snapshot)))

    def refresh(self) -> None:
        """Have the source read again; :meth:`replace` follows from that."""
        if self.source is not None:
            self.source()

    def __len__(self) -> int:
        return len(self.ids)

    def name_of(self, instance: int) -> str:
        """The name of an instance there is now; ``UnknownInstance``."""
        position = self._position.get(instance)
        if position is None:
            raise UnknownInstance(f"{instance} in {self.id}")
        return self.names[position]

    def id_of(self, name: str) -> int:
        """The id of an instance there is now, by its name or by the name's first word; ``UnknownInstance``."""
        found = self._id_of.get(name)
        if found is None and name and " " not in name:
            found = self._by_first_word().get(name)
        if found is None:
            raise UnknownInstance(f"{name!r} in {self.id}")
        return found

    def _by_first_word(self) -> dict[str, int]:
        if self._first_words[0] != self.generation:
            words: dict[str, int] = {}
            for name, instance in self._id_of.items():
                words.setdefault(name.partition(" ")[0], instance)
            self._first_words = self.generation, words
        return self._first_words[1]

    def select(
        self, chosen: InDomProfile | None
    ) -> tuple[tuple[int, ...], Callable[[Sequence[object]], Sequence[object]] | None]:
        """The ids a profile wants, and what picks their values from a column (None: the column as it is).

        For a profile that names its instances the cost depends on how many it names, not on the domain's size.
        """
        if chosen is None:
            return self.ids, None
        if chosen.include:
            positions = [at for at, instance in enumerate(self.ids) if instance not in chosen.listed]
        else:
            positions = sorted([self._position[each] for each in chosen.listed if each in self._position])
        ids = self.ids
        return tuple([ids[at] for at in positions]), lambda column: [column[at] for at in positions]

    def instance_labels(self, chosen: InDomProfile | None) -> list[LabelSet]:
        """A set for each instance that a profile wants, made once for as long as the instances stay.

        The very same list as the last time where that is still the answer.
        """
        if self._label_instance is None and self._note_instance is None:
            return []
        if self._labels_made[0] != self.generation:
            self.forget_labels()
        if self._labels_given is None or self._labels_given[0] != chosen:
            made = self._labels_made[1]
            wanted, _ = self.select(chosen)
            for instance in wanted:
                if instance not in made:
                    made[instance] = self._labels_of(instance)
            self._labels_given = chosen, [made[instance] for instance in wanted]
        return self._labels_given[1]

    def forget_labels(self) -> None:
        """The labels of the instances are asked of the author anew."""
        self._labels_made = self.generation, {}
        self._labels_given = None

    def _labels_of(self, instance: int) -> LabelSet:
        name = self.name_of(instance)
        labels, notes = (give(name) if give is not None else {} for give in (self._label_instance, self._note_instance))
        return label_set_of(labels, notes, LabelType.INSTANCES, instance) if labels or notes else LabelSet(instance)
