"""/sys/class/net: what a network interface is and how it is set up. See: the kernel's Documentation/ABI/testing.

Only what a fetch asks for is read, an attribute at a time: some drivers take long to tell their speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any, Final

from pypcp.agents.linux.files import EachOf, Files
from pypcp.model.units import BYTE, MBYTE, SEC, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

UP: Final = 1
LOOPBACK: Final = 8
"""IFF_UP and IFF_LOOPBACK of the flags."""

RATES: Final = frozenset({"speed", "duplex"})
"""Attributes that the kernel asks the device's driver for."""

WORKING: Final = frozenset({"up", "unknown"})
"""Operational states that count as running: drivers that do not know their state are taken to work."""

DUPLEX: Final = {"half": 1, "full": 2}

BYTES_A_MEGABIT: Final = 1_000_000 // 8

RUNNING_HELP: Final = """Does the interface work? 1 yes, 0 no
It is up, and as far as its driver can tell there is somebody at the other end."""

SPEED_HELP: Final = """Line speed, in units of 2 to the 20 bytes a second
No value where the kernel does not know it."""

TYPE_HELP: Final = """Kind of link: a number of ARPHRD_*
1 is Ethernet, 772 loopback, 65534 none."""


class Links:
    """Attributes of the interfaces ``names``: each is read when it is first asked for, and again after a refresh."""

    def __init__(self, files: Files, names: Sequence[str]) -> None:
        self.names = list(names)
        self._files = files
        self._each: dict[str, EachOf] = {}
        self._texts: dict[str, list[bytes]] = {}

    def refresh(self) -> None:
        """Attributes that can change may have changed."""
        self._texts.clear()

    def texts(self, attribute: str) -> list[bytes]:
        """What each interface has in the file of that name; empty where the kernel has no answer."""
        found = self._texts.get(attribute)
        if found is None:
            found = self._read_rate(attribute) if attribute in RATES else self._read(attribute, self.names)
            self._texts[attribute] = found
        return found

    def _read(self, attribute: str, names: Sequence[str]) -> list[bytes]:
        each = self._each.get(attribute)
        if each is None:
            each = self._each[attribute] = self._files.of_each(lambda name: f"sys/class/net/{name}/{attribute}")
        return each.read(names)

    def _read_rate(self, attribute: str) -> list[bytes]:
        """Asked of those only that have a rate: to refuse takes the kernel as long as to answer, and us longer."""
        asked = [name for name, flags in zip(self.names, self.texts("flags"), strict=True) if has_rate(flags)]
        answers = dict(zip(asked, self._read(attribute, asked), strict=True))
        return [answers.get(name, b"") for name in self.names]

    @cached_property
    def types(self) -> list[int | None]:
        """Numbers of ARPHRD_*; what a device is never changes."""
        texts = [self._files.read_once(f"sys/class/net/{name}/type") for name in self.names]
        return [int(text) if text else None for text in texts]

    @cached_property
    def wireless(self) -> list[int]:
        """1 or 0."""
        return [int(self._files.exists(f"sys/class/net/{name}/wireless")) for name in self.names]

    @cached_property
    def virtual(self) -> list[int]:
        """1 if there is no device behind it, else 0."""
        return [int(self._files.exists(f"sys/devices/virtual/net/{name}")) for name in self.names]


# What the kernel's texts mean. They are few, and each is looked at again with every fetch.


@lru_cache
def has_rate(flags: bytes) -> bool:
    """Is the interface up (the kernel does not know the rate of others), and no loopback (which has none)?"""
    return not flags or int(flags, 0) & (UP | LOOPBACK) == UP


@lru_cache
def mtu(text: bytes) -> int | None:
    """Bytes of the largest packet."""
    return int(text) if text else None


@lru_cache
def baudrate(speed: bytes) -> int | None:
    """Bytes a second."""
    megabits = int(speed) if speed else -1
    return megabits * BYTES_A_MEGABIT if megabits >= 0 else None


@lru_cache
def mbytes_a_second(speed: bytes) -> float | None:
    """Units of 2**20 bytes a second."""
    bytes_a_second = baudrate(speed)
    return bytes_a_second / (1 << 20) if bytes_a_second is not None else None


@lru_cache
def duplex(text: bytes) -> int | None:
    """1 for half, 2 for full."""
    return DUPLEX.get(text.decode().strip())


@lru_cache
def up(flags: bytes) -> int | None:
    """Has an administrator switched it on? 1 or 0."""
    return int(flags, 0) & UP if flags else None


@lru_cache
def running(operstate: bytes) -> int | None:
    """Does it work? 1 or 0."""
    return int(operstate.decode().strip() in WORKING) if operstate else None  # "down" of whatever is switched off


Meaning = Callable[[bytes], int | float | None]


def _each(attribute: str, meaning: Meaning) -> Callable[[Any], list[int | float | None]]:
    return lambda snapshot: list(map(meaning, snapshot.links.texts(attribute)))


U32: Final = ValueType.U32


def declare_links(cluster: Cluster, interfaces: Indom) -> None:
    """The attributes of network.interface, for a cluster whose snapshot has ``links``."""
    instant = partial(cluster.metric, indom=interfaces)
    instant("network.interface.mtu", 21, U32, _each("mtu", mtu), units=BYTE, help_="Size of the largest packet")
    switched = "Is the interface switched on? 1 yes, 0 no"
    instant("network.interface.up", 25, U32, _each("flags", up), help_=switched)
    instant("network.interface.running", 26, U32, _each("operstate", running), help_=RUNNING_HELP)
    constant = partial(instant, sem=Semantics.DISCRETE)
    mbyte_s = Units(space=1, time=-1, scale_space=MBYTE.scale_space, scale_time=SEC.scale_time)
    speed = _each("speed", mbytes_a_second)
    constant("network.interface.speed", 22, ValueType.FLOAT, speed, units=mbyte_s, help_=SPEED_HELP)
    byte_s = Units(space=1, time=-1, scale_time=SEC.scale_time)
    rate = "Line speed, in bytes a second"
    constant("network.interface.baudrate", 23, ValueType.U64, _each("speed", baudrate), units=byte_s, help_=rate)
    constant("network.interface.duplex", 24, U32, _each("duplex", duplex), help_="Duplex: 1 half, 2 full")
    wireless = "Is it a radio interface? 1 yes, 0 no"
    constant("network.interface.wireless", 28, U32, lambda now: now.links.wireless, help_=wireless)
    constant("network.interface.type", 29, U32, lambda now: now.links.types, help_=TYPE_HELP)
    virtual = "Is it made by software alone? 1 yes, 0 no"
    constant("network.interface.virtual", 30, U32, lambda now: now.links.virtual, help_=virtual)
