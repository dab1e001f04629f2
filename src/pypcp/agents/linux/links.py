"""/sys/class/net: what a network interface is and how it is set up. See: the kernel's Documentation/ABI/testing.

Only what a fetch asks for is read, an attribute at a time: some drivers take long to tell their speed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from operator import attrgetter
from typing import Any, Final

from pypcp.agents.linux.files import Files, Source
from pypcp.model.units import BYTE, MBYTE, SEC, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

UP: Final = 1
"""IFF_UP of the flags."""

WORKING: Final = frozenset({b"up", b"unknown"})
"""Operational states that count as running: drivers that do not know their state are taken to work."""

KEPT_OPEN: Final = 32
"""Up to so many interfaces have the files of their attributes kept open: some hosts have thousands."""

DUPLEX: Final = {b"half": 1, b"full": 2}

BYTES_A_MEGABIT: Final = 1_000_000 // 8

RUNNING_HELP: Final = """Does the interface work? 1 yes, 0 no
It is up, and as far as its driver can tell there is somebody at the other end."""

SPEED_HELP: Final = """Line speed, in units of 2 to the 20 bytes a second
No value where the kernel does not know it."""

TYPE_HELP: Final = """Kind of link: a number of ARPHRD_*
1 is Ethernet, 772 loopback, 65534 none."""


class Link:
    """One interface's attributes; None where the kernel has no answer.

    Each is read when it is first asked for, and again after :meth:`forget`, but for those that never change. With
    ``keep_open`` the files stay open, which is ten times faster and takes up to five descriptors.
    """

    def __init__(self, files: Files, name: str, *, keep_open: bool) -> None:
        self._files = files
        self._name = name
        self._texts: dict[str, bytes] = {}
        self._sources: dict[str, Source] | None = {} if keep_open else None

    def forget(self) -> None:
        """Attributes that can change may have changed."""
        self._texts.clear()

    def _text(self, attribute: str) -> bytes:
        found = self._texts.get(attribute)
        if found is None:
            found = self._texts[attribute] = self._read(f"sys/class/net/{self._name}/{attribute}")
        return found

    def _read(self, path: str) -> bytes:
        if self._sources is None:
            return self._files.read_once(path)
        source = self._sources.get(path)
        if source is None:
            source = self._sources[path] = self._files.open(path)
        return source.read().strip()

    def _number(self, attribute: str) -> int | None:
        text = self._text(attribute)
        return int(text, 0) if text else None

    def mtu(self) -> int | None:
        """Bytes of the largest packet."""
        return self._number("mtu")

    def baudrate(self) -> int | None:
        """Bytes a second."""
        megabits = self._number("speed")
        return megabits * BYTES_A_MEGABIT if megabits is not None and megabits >= 0 else None

    def speed(self) -> float | None:
        """Units of 2**20 bytes a second."""
        baudrate = self.baudrate()
        return baudrate / (1 << 20) if baudrate is not None else None

    def duplex(self) -> int | None:
        """1 for half, 2 for full."""
        return DUPLEX.get(self._text("duplex"))

    def up(self) -> int | None:
        """Has an administrator switched it on? 1 or 0."""
        flags = self._number("flags")
        return None if flags is None else flags & UP

    def running(self) -> int | None:
        """Does it work? 1 or 0."""
        state = self._text("operstate")  # "down" of whatever is switched off
        return int(state in WORKING) if state else None

    @cached_property
    def type(self) -> int | None:
        """A number of ARPHRD_*."""
        text = self._files.read_once(f"sys/class/net/{self._name}/type")
        return int(text) if text else None

    @cached_property
    def wireless(self) -> int:
        """1 or 0."""
        return int(self._files.exists(f"sys/class/net/{self._name}/wireless"))

    @cached_property
    def virtual(self) -> int:
        """1 if there is no device behind it, else 0."""
        return int(self._files.exists(f"sys/devices/virtual/net/{self._name}"))


U32: Final = ValueType.U32


Read = Callable[[Link], int | float | None]


def _each(read: Read) -> Callable[[Any], list[int | float | None]]:
    return lambda snapshot: [read(link) for link in snapshot.links]


def declare_links(cluster: Cluster, interfaces: Indom) -> None:
    """The attributes of network.interface, for a cluster whose snapshot has ``links``, one an interface."""
    instant = partial(cluster.metric, indom=interfaces)
    instant("network.interface.mtu", 21, U32, _each(Link.mtu), units=BYTE, help_="Size of the largest packet")
    up = "Is the interface switched on? 1 yes, 0 no"
    instant("network.interface.up", 25, U32, _each(Link.up), help_=up)
    instant("network.interface.running", 26, U32, _each(Link.running), help_=RUNNING_HELP)
    constant = partial(instant, sem=Semantics.DISCRETE)
    mbyte_s = Units(space=1, time=-1, scale_space=MBYTE.scale_space, scale_time=SEC.scale_time)
    constant("network.interface.speed", 22, ValueType.FLOAT, _each(Link.speed), units=mbyte_s, help_=SPEED_HELP)
    byte_s = Units(space=1, time=-1, scale_time=SEC.scale_time)
    rate = "Line speed, in bytes a second"
    constant("network.interface.baudrate", 23, ValueType.U64, _each(Link.baudrate), units=byte_s, help_=rate)
    constant("network.interface.duplex", 24, U32, _each(Link.duplex), help_="Duplex: 1 half, 2 full")
    constant(
        "network.interface.wireless",
        28,
        U32,
        _each(attrgetter("wireless")),
        help_="Is it a radio interface? 1 yes, 0 no",
    )
    constant("network.interface.type", 29, U32, _each(attrgetter("type")), help_=TYPE_HELP)
    virtual = "Is it made by software alone? 1 yes, 0 no"
    constant("network.interface.virtual", 30, U32, _each(attrgetter("virtual")), help_=virtual)
