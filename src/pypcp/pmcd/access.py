"""Access control: who may connect, fetch and store, and how many at a time. See: pmcd(1), __pmAccAddHost(3).

Hosts: from the widest pattern to the narrowest, each that matches overrides the operations it specifies; what none
specifies is allowed. Accounts: as soon as one user (or group) is named, all others are refused unless ``*`` says
otherwise; what any matching entry denies is denied, on top of what the host is denied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Final

from pypcp.errors import ConnectionLimit, PermissionDenied
from pypcp.ipc.configuration import Problem
from pypcp.pmcd.access_hosts import Family, Hosts, Pattern
from pypcp.pmcd.access_statements import ALL_OPERATIONS, NO_OPERATION, Operation, Permissions

_REFUSED_LIMIT: Final = 1000
"""So many addresses are remembered as refused; more would only be worth a flood of log lines."""


@dataclass(frozen=True, eq=False, slots=True)
class HostEntry:
    """What holds for the clients of one pattern."""

    name: str
    pattern: Pattern
    permissions: Permissions
    line: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class AccountEntry:
    """What holds for a user (group); ``ident`` None is the wildcard. ``members``: its groups (users), by number."""

    name: str
    ident: int | None
    permissions: Permissions
    members: Mapping[int, str] = field(default_factory=dict)
    line: int = 0


Entry = HostEntry | AccountEntry


@dataclass(frozen=True, slots=True)
class Access:
    """What a client is denied by its host or its account.

    ``counted``: the entries with a limit that it counts for; ``limiting``: those of them that may refuse it.
    """

    denied: Operation = NO_OPERATION
    counted: tuple[Entry, ...] = ()
    limiting: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class AccessRules:
    """The rules, as :func:`pypcp.pmcd.access_compiler.compile_rules` makes them.

    ``hosts`` are ordered from the narrowest pattern to the widest, accounts with the wildcard (if any) first.
    """

    hosts: tuple[HostEntry, ...] = ()
    users: tuple[AccountEntry, ...] = ()
    groups: tuple[AccountEntry, ...] = ()
    names: Hosts = field(default_factory=lambda: Hosts(lambda name: ()))
    warnings: tuple[Problem, ...] = ()

    @property
    def needs_credentials(self) -> bool:
        """Must a client say who it is (CREDS_REQD)?"""
        return bool(self.users or self.groups)

    def for_host(self, address: str | None) -> Access:
        """What holds for a client from this IP address, None for the Unix socket."""
        return _joined(self._for_address(*client) for client in self.names.of_client(address))

    def _for_address(self, family: Family, number: int) -> Access:
        matching = [entry for entry in self.hosts if entry.pattern.matches(family, number)]
        denied = NO_OPERATION
        for entry in reversed(matching):
            denied = denied & ~entry.permissions.specified | entry.permissions.denied
        limited = _limited(matching)
        return Access(denied, limited, limited[:1])

    def for_account(self, uid: int | None, gid: int | None) -> Access:
        """What holds for a client's account, on top of its host's; None: not known, and refused where it has to be."""
        if not self.needs_credentials:
            return Access()
        if uid is None and gid is None:
            return Access(ALL_OPERATIONS)
        by_user = _for_account(
            self.users,
            named=[entry for entry in self.users if entry.ident is not None and entry.ident == uid],
            # Stock takes an entry for a user to be about everybody in one of that user's groups. What it denies them is
            # denied here too; but it does not stand in for an entry of their own, or allowing one lets in many.
            besides=[entry for entry in self.users if entry.ident != uid and gid in entry.members],
        )
        by_group = _for_account(
            self.groups,
            named=[e for e in self.groups if e.ident is not None and (e.ident == gid or uid in e.members)],
        )
        return _joined((by_user, by_group))


def _limited(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.permissions.maximum)


def _for_account(
    entries: Sequence[AccountEntry], *, named: Sequence[AccountEntry], besides: Sequence[AccountEntry] = ()
) -> Access:
    """What the entries about an account say; where there is none, the wildcard."""
    chosen = named or [entry for entry in entries if entry.ident is None]
    denied = reduce(or_, (entry.permissions.denied for entry in (*chosen, *besides)), NO_OPERATION)
    return Access(denied, _limited(chosen), _limited(chosen))


def _joined(parts: Iterable[Access]) -> Access:
    denied = NO_OPERATION
    counted: dict[Entry, None] = {}
    limiting: dict[Entry, None] = {}
    for part in parts:
        denied |= part.denied
        counted |= dict.fromkeys(part.counted)
        limiting |= dict.fromkeys(part.limiting)
    return Access(denied, tuple(counted), tuple(limiting))


class Connections:
    """Who is connected now, by the entries with a limit; and which addresses have been refused before."""

    def __init__(self) -> None:
        self._counts: Counter[Entry] = Counter()
        self._refused: set[str | None] = set()

    def admit(self, access: Access) -> None:
        """Count a client in. ``PermissionDenied``: it may do nothing; ``ConnectionLimit``: there are too many."""
        if access.denied == ALL_OPERATIONS:
            raise PermissionDenied()
        for entry in access.limiting:
            if self._counts[entry] >= entry.permissions.maximum:
                raise ConnectionLimit(f"{entry.name}: {entry.permissions.maximum} connections")
        self._counts.update(access.counted)

    def release(self, access: Access) -> None:
        """Count out a client that was counted in."""
        self._counts.subtract(access.counted)

    def count(self, entry: Entry) -> int:
        """The clients that count for an entry; entries without a limit have no count."""
        return self._counts[entry]

    def first_refusal(self, address: str | None) -> bool:
        """Is this the first time that a client from ``address`` is refused? Then it is worth a line in the log."""
        first = address not in self._refused and len(self._refused) < _REFUSED_LIMIT
        if first:
            self._refused.add(address)
        return first
