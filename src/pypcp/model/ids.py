"""Metric and instance domain identifiers: pmID and pmInDom of PMAPI(3).

Both are 32-bit words; the top bit is a flag without meaning here and always zero in what we make. They are ``int``
subclasses, so a plain ``int`` finds them in a dict: hot paths use plain integers.
"""

from __future__ import annotations

from typing import Final, Self

DYNAMIC_DOMAIN: Final = 511
"""Pmid 511.D.0 in a name space is the root of a subtree whose names the agent of domain D serves."""

MAX_DOMAIN: Final = 510
"""The largest domain an agent can have."""

IN_NULL: Final = -1
"""PM_IN_NULL: the instance of a singular value."""

_NULL: Final = 0xFFFFFFFF


class Pmid(int):
    """A metric identifier: domain (9 bits), cluster (12 bits), item (10 bits). See: pmID_build(3)."""

    @classmethod
    def build(cls, domain: int, cluster: int, item: int) -> Self:
        """``ValueError`` when a part is out of range."""
        if not (0 <= domain < 512 and 0 <= cluster < 4096 and 0 <= item < 1024):
            raise ValueError(f"no pmid {domain}.{cluster}.{item}: at most 511.4095.1023")
        return cls(domain << 22 | cluster << 10 | item)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``domain.cluster.item``, as ``str()`` gives it."""
        if text == "PM_ID_NULL":
            return cls(_NULL)
        domain, cluster, item = (int(part) for part in text.split("."))
        return cls.build(domain, cluster, item)

    @property
    def domain(self) -> int:
        """The agent that owns the metric."""
        return self >> 22 & 0x1FF

    @property
    def cluster(self) -> int:
        """The agent's group of metrics."""
        return self >> 10 & 0xFFF

    @property
    def item(self) -> int:
        """The metric within its cluster."""
        return self & 0x3FF

    def __str__(self) -> str:
        if self == _NULL:
            return "PM_ID_NULL"
        return f"{self.domain}.{self.cluster}.{self.item}"

    def __repr__(self) -> str:
        return f"Pmid({self})"


class InDom(int):
    """An instance domain identifier: domain (9 bits), serial (22 bits). See: pmInDom_build(3)."""

    @classmethod
    def build(cls, domain: int, serial: int) -> Self:
        """``ValueError`` when a part is out of range."""
        if not (0 <= domain < 512 and 0 <= serial < 1 << 22):
            raise ValueError(f"no instance domain {domain}.{serial}: at most 511.4194303")
        return cls(domain << 22 | serial)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``domain.serial``, as ``str()`` gives it."""
        if text == "PM_INDOM_NULL":
            return cls(_NULL)
        domain, serial = (int(part) for part in text.split("."))
        return cls.build(domain, serial)

    @property
    def domain(self) -> int:
        """The agent that owns the instance domain."""
        return self >> 22 & 0x1FF

    @property
    def serial(self) -> int:
        """The instance domain within its agent."""
        return self & 0x3FFFFF

    def __str__(self) -> str:
        return "PM_INDOM_NULL" if self == _NULL else f"{self.domain}.{self.serial}"

    def __repr__(self) -> str:
        return f"InDom({self})"


PM_ID_NULL: Final = Pmid(_NULL)
PM_INDOM_NULL: Final = InDom(_NULL)


def dynamic_root(domain: int) -> Pmid:
    """The pmid that marks a subtree of names served by the agent of ``domain``."""
    return Pmid.build(DYNAMIC_DOMAIN, domain, 0)


def is_dynamic_root(pmid: int) -> bool:
    """Does this pmid of a name space mark a subtree that an agent serves?"""
    return pmid != _NULL and pmid >> 22 & 0x1FF == DYNAMIC_DOMAIN and pmid & 0x3FF == 0
