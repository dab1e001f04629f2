"""load, bigid, hordes, sysinfo: what is always the same, or is the system's."""

from __future__ import annotations

import ctypes
from typing import Final

from pypcp.agents.sample.bench import Bench
from pypcp.errors import AppVersion
from pypcp.pmda import I32

_HORDES: Final = 500
_SYSINFO_BYTES: Final = 112
"""``struct sysinfo`` on a machine of 64 bits, padding included."""


def system_information() -> bytes:
    """What the kernel puts into a ``struct sysinfo``. See: sysinfo(2)."""
    struct = ctypes.create_string_buffer(_SYSINFO_BYTES)
    if ctypes.CDLL(None).sysinfo(struct) != 0:
        raise AppVersion("no sysinfo(2) here")
    return struct.raw


def declare(bench: Bench) -> None:
    """Declare them."""
    agent = bench.agent
    hordes = bench.indom(5, "Hordes\nFive hundred of them.", fixed={each: str(each) for each in range(_HORDES)})

    @agent.metric("sample.load", item=4)
    def load() -> I32:
        """A load that is always 42"""
        return 42

    @agent.metric("sample.bigid", item=1023, units="count")
    def bigid() -> I32:
        """A metric with the largest item there is"""
        return 4194303

    @agent.metric("sample.sysinfo", item=39)
    def sysinfo() -> bytes:
        """What sysinfo(2) tells, byte by byte"""
        return system_information()

    @agent.metric("sample.hordes.one", item=52, indom=hordes)
    def hordes_one() -> list[I32]:
        """The number of each instance"""
        return list(range(_HORDES))

    @agent.metric("sample.hordes.two", item=53, indom=hordes)
    def hordes_two() -> list[I32]:
        """The numbers of the instances from behind"""
        return list(reversed(range(_HORDES)))
