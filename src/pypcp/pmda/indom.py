"""Instance domains: which instances there are, and the id that each keeps. See: pmdaInstance(3), pmdaCache(3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pypcp.errors import UnknownInstance
from pypcp.model.ids import InDom
from pypcp.model.profile import InDomProfile
from pypcp.pmda.instance_cache import InstanceCache


class Indom:
    """The instances of a group of metrics, in the order in which columns give their values.

    ``names`` and ``ids`` describe the instances there are now. ``generation`` changes whenever they do. Ids are given
    out by a cache and stay with a name for good; a fixed domain has its ids from the author. ``source`` refreshes what
    the instances are read from, for those who ask for the instances and not for values.
    """

    def __init__(
        self,
        indom: InDom,
        *,
        help_: str = "",
        fixed: Mapping[int, str] | None = None,
        cache: InstanceCache | None = None,
    ) -> None:
        self.id = indom
        self.oneline, _, self.help = (part.strip() for part in help_.partition("\n"))
        self.cache = cache if cache is not None else InstanceCache()
        self.names: tuple[str, ...] = ()
        self.ids: tuple[int, ...] = ()
        self.generation = 0
        self.source: Callable[[], None] | None = None
        self._position: dict[int, int] = {}
        self._id_of: dict[str, int] = {}
        if fixed:
            self._take(tuple(fixed.values()), tuple(fixed))

    def replace(self, names: Iterable[str], ids: Iterable[int] | None = None) -> None:
        """These are the instances now, in this order. Cheap when nothing changed.

        ``ids``: their ids, where those follow from what the instances are; else the cache gives them.
        """
        now = tuple(names)
        if now != self.names:
            self._take(now, tuple(ids) if ids is not None else tuple([self.cache.id_for(name) for name in now]))

    def _take(self, names: tuple[str, ...], ids: tuple[int, ...]) -> None:
        self._id_of = dict(zip(names, ids, strict=True))
        if len(self._id_of) != len(names):
            raise ValueError(f"instance domain {self.id}: an instance is listed twice")
        self.names, self.ids = names, ids
        self._position = {instance: position for position, instance in enumerate(ids)}
        self.generation += 1
        self.cache.save()

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
        if found is not None:
            return found
        if name and " " not in name:
            for full, instance in self._id_of.items():
                if full.partition(" ")[0] == name:
                    return instance
        raise UnknownInstance(f"{name!r} in {self.id}")

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
