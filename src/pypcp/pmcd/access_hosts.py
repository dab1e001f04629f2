"""What a host's name in an access statement stands for: addresses and masks. See: pmcd(1)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Family(Enum):
    """Where a client comes from."""

    INET = "inet"
    IPV6 = "ipv6"
    UNIX = "unix"


Resolver = Callable[[str], Sequence[str]]
"""The addresses of a host's name as text; ``OSError`` where there are none."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A range of addresses: those that equal ``address`` in the bits of ``mask``.

    ``level`` counts the parts left open: 0 for one address, 4 (IPv4) or 8 (IPv6) for all of a family, 1 for the Unix
    socket.
    """

    family: Family
    address: int
    mask: int
    level: int

    def matches(self, family: Family, address: int) -> bool:
        """Is this address in the range?"""
        return family is self.family and address & self.mask == self.address

    def texts(self) -> tuple[str, str]:
        """Address and mask as stock's log shows them."""
        if self.family is Family.UNIX:
            return "/", "/"
        class_ = ipaddress.IPv4Address if self.family is Family.INET else ipaddress.IPv6Address
        return str(class_(self.address)), str(class_(self.mask))


UNIX: Final = Pattern(Family.UNIX, 0, 0, 1)
ALL_INET: Final = Pattern(Family.INET, 0, 0, 4)
ALL_IPV6: Final = Pattern(Family.IPV6, 0, 0, 8)

LOOPBACK: Final = ("127.0.0.1", "::1")


class BadPattern(ValueError):
    """What is wrong with a host's name, and what to write instead."""


class UnknownHost(BadPattern):
    """A name that has no address now; stock goes on without the statement."""


@dataclass(frozen=True)
class Hosts:
    """Names of hosts to patterns.

    ``own`` are this host's addresses, by its name: ``localhost`` and every loopback client mean them, so that wildcards
    hold for local clients too. None: the loopback addresses themselves.
    """

    resolve: Resolver
    own: Sequence[str] = LOOPBACK

    def patterns(self, name: str) -> list[tuple[str, Pattern]]:
        """Every pattern that ``name`` stands for, with the name stock shows it by. ``BadPattern``, ``UnknownHost``."""
        if name == "*":
            return [(".*", ALL_INET), (":*", ALL_IPV6), ("unix:", UNIX)]
        if name.startswith("unix:"):
            return [("unix:", UNIX)]
        if name.startswith("local:"):
            return [("unix:", UNIX), *self.patterns("localhost")]
        if "*" in name:
            return [(name, _wildcard(name))]
        return [(name, _exact(address)) for address in self._addresses(name)]

    def _addresses(self, name: str) -> Sequence[str]:
        if name.lower() == "localhost":
            return self.own
        if _is_address(name):
            return [name]
        try:
            return self.resolve(name)
        except (OSError, UnicodeError) as error:
            raise UnknownHost(
                f"the host {name!r} has no address ({error}); nothing is allowed or refused to it"
            ) from error

    def of_client(self, address: str | None) -> list[tuple[Family, int]]:
        """What a client's address counts as; None for a Unix socket. Loopback counts as each of the own addresses."""
        if address is None:
            return [(Family.UNIX, 0)]
        client = parsed(address)
        if client.is_loopback:
            return [_number(parsed(own)) for own in self.own]
        return [_number(client)]


def parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its scope; one of IPv4 that came by IPv6 is one of IPv4."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def _number(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[Family, int]:
    return Family.INET if address.version == 4 else Family.IPV6, int(address)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _exact(text: str) -> Pattern:
    address = parsed(text)
    family, number = _number(address)
    return Pattern(family, number, (1 << address.max_prefixlen) - 1, 0)


def _wildcard(name: str) -> Pattern:
    if name.index("*") != len(name) - 1:
        raise BadPattern(f'the * of {name!r} is not its end; only addresses have wildcards, such as 10.1.* or "fe80:*"')
    return _wild_ipv6(name) if ":" in name else _wild_inet(name)


_INET_PREFIX: Final = re.compile(r"\.|(?:[0-9]{1,3}\.){1,3}")


def _wild_inet(name: str) -> Pattern:
    prefix = name[:-1]
    parts = [int(part) for part in prefix.split(".") if part] if _INET_PREFIX.fullmatch(prefix) else [256]
    if max(parts, default=0) > 255:
        raise BadPattern(f"{name!r} is no IPv4 wildcard; write .* or one to three numbers, such as 10.1.*")
    free = 8 * (4 - len(parts))
    address = int.from_bytes(bytes(parts), "big") << free
    return Pattern(Family.INET, address, (1 << 32) - (1 << free), 4 - len(parts))


def _wild_ipv6(name: str) -> Pattern:
    """As stock reads it: what ``::`` leaves out is left open too, so ``1::3:*`` is any 1:?:?:?:?:?:3:?."""
    prefix = name[:-1]
    colons = prefix.count(":")
    end = "0" if "::" in prefix or colons == 7 else ":"
    try:
        address = int(ipaddress.IPv6Address(prefix + end))
        mask = int(ipaddress.IPv6Address(re.sub("[0-9a-fA-F]+", "ffff", prefix) + end))
    except ValueError as error:
        raise BadPattern(f'{name!r} is no IPv6 wildcard ({error}); write one such as "fe80:*"') from error
    return Pattern(Family.IPV6, address, mask, 8 - colons if mask else 8)
