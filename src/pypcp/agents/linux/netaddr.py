"""The addresses of network interfaces: IPv4, IPv6, hardware. See: netdevice(7), proc(5)."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster

SCOPES: Final = {0x00: "Global", 0x10: "Host", 0x20: "Link", 0x40: "Site", 0x80: "Compat"}

SIOCGIFADDR: Final = 0x8915
REQUEST_SIZE: Final = 40
IPV4: Final = slice(20, 24)
"""Where the answer has the address: after the name (16 bytes), a family and a port."""

IPV6_HELP: Final = """IPv6 address and the length of its prefix
Of several addresses the one that the kernel lists last."""


@dataclass(slots=True)
class Ipv6:
    """An interface's address, as ``2001:db8::1/64``, and how far it is valid."""

    address: str
    scope: str


def parse_if_inet6(text: bytes) -> dict[str, Ipv6]:
    """By interface; of several addresses the last counts, as with stock. ``ValueError`` for a line that breaks off."""
    found = {}
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        digits, _, prefix, scope, _, name = line.split()
        address = IPv6Address(int(digits, 16))
        found[name] = Ipv6(f"{address}/{int(prefix, 16)}", SCOPES.get(int(scope, 16), "Unknown"))
    return found


class Ipv4:
    """Asks the kernel for the IPv4 addresses of interfaces; of several the first."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def addresses(self, names: Sequence[str]) -> list[str | None]:
        """None for an interface that has none."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return [self._address(self._socket, name) for name in names]

    def __del__(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _address(self, asked: socket.socket, name: str) -> str | None:
        request = name.encode("utf-8", "surrogateescape").ljust(REQUEST_SIZE, b"\0")
        try:
            answer = fcntl.ioctl(asked, SIOCGIFADDR, request)
        except OSError:
            return None
        return socket.inet_ntop(socket.AF_INET, answer[IPV4])


def declare(agent: Agent, files: Files) -> None:
    """The addresses of network.interface."""
    interfaces = agent.indom(
        17,
        persistent=True,
        help_="Network interfaces that may have addresses",
        labels={"device_type": "interface", "indom_name": "per interface"},
    )

    def names() -> tuple[str, ...]:
        interfaces.replace(files.list_directory("sys/class/net"))
        return interfaces.names

    hardware = files.of_each(lambda name: f"sys/class/net/{name}/address")
    # IPv4 addresses are asked of the kernel, which knows this system only, not a recorded one.
    ipv4 = Ipv4().addresses if files.root == Path("/") else lambda names: [None] * len(names)
    listed = agent.cluster(33, names)
    string = partial(listed.metric, type_=ValueType.STRING, indom=interfaces, sem=Semantics.DISCRETE)
    string("network.interface.inet_addr", 0, read=ipv4, help_="IPv4 address")
    string(
        "network.interface.hw_addr",
        3,
        read=lambda names: [text.decode().strip() or None for text in hardware.read(names)],
        help_="Hardware (MAC) address",
    )
    addresses = files.parsed("proc/net/if_inet6", parse_if_inet6)
    _declare_ipv6(agent.cluster(33, lambda _: addresses(), after=listed), interfaces)


def _declare_ipv6(cluster: Cluster, interfaces: Indom) -> None:
    string = partial(cluster.metric, type_=ValueType.STRING, indom=interfaces, sem=Semantics.DISCRETE)
    string("network.interface.ipv6_addr", 1, read=_of_each("address"), help_=IPV6_HELP)
    string("network.interface.ipv6_scope", 2, read=_of_each("scope"), help_="How far the IPv6 address is valid")


def _of_each(attribute: str) -> Callable[[dict[str, Ipv6]], dict[str, str]]:
    return lambda now: {name: getattr(ipv6, attribute) for name, ipv6 in now.items()}
