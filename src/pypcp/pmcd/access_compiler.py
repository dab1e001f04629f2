"""Access statements to rules: names looked up, contradictions found. See: pmcd(1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from pypcp.ipc.configuration import ConfigurationError, Problem
from pypcp.pmcd.access import AccessRules, AccountEntry, HostEntry
from pypcp.pmcd.access_hosts import LOOPBACK, BadPattern, Hosts, UnknownHost
from pypcp.pmcd.access_statements import ALL_OPERATIONS, Kind, Permissions, Statement

_NOBODY: Final = Permissions(ALL_OPERATIONS, ALL_OPERATIONS)


class Accounts(Protocol):
    """The accounts of this host. ``KeyError`` for an unknown name."""

    def user(self, name: str) -> tuple[int, Mapping[int, str]]:
        """Its uid, and the groups it is in: gid to name."""

    def group(self, name: str) -> tuple[int, Mapping[int, str]]:
        """Its gid, and the users in it: uid to name."""


def compile_rules(statements: Sequence[Statement], names: Hosts, accounts: Accounts) -> AccessRules:
    """The rules that the statements make.

    A host that cannot be resolved makes a warning, stock's way. ``ConfigurationError``: statements that contradict each
    other, unknown accounts, bad wildcards, or nothing left of a section that was to restrict something.
    """
    compiler = _Compiler(names, accounts)
    for statement in statements:
        for name in statement.names:
            compiler.add(statement, name)
    entries = compiler.hosts or compiler.users or compiler.groups
    if statements and not entries and not compiler.problems:
        first = statements[0]
        compiler.problem(first, "no statement of the access section is left; name hosts that have an address")
    if compiler.problems:
        raise ConfigurationError([*compiler.problems, *compiler.warnings])
    return AccessRules(
        tuple(sorted(compiler.hosts, key=lambda entry: entry.pattern.level)),
        _with_wildcard(compiler.users),
        _with_wildcard(compiler.groups),
        names,
        tuple(compiler.warnings),
    )


def _with_wildcard(entries: list[AccountEntry]) -> tuple[AccountEntry, ...]:
    wildcards = [entry for entry in entries if entry.ident is None]
    if entries and not wildcards:
        wildcards = [AccountEntry("*", None, _NOBODY)]
    return (*wildcards, *(entry for entry in entries if entry.ident is not None))


class _Contradiction(Exception):
    pass


class _Compiler:
    """The entries as they are added, statement by statement."""

    def __init__(self, names: Hosts, accounts: Accounts) -> None:
        self.hosts: list[HostEntry] = []
        self.users: list[AccountEntry] = []
        self.groups: list[AccountEntry] = []
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._names = names
        self._accounts = accounts

    def problem(self, statement: Statement, text: str) -> None:
        self.problems.append(Problem(statement.file, statement.line, text))

    def warning(self, statement: Statement, text: str) -> None:
        self.warnings.append(Problem(statement.file, statement.line, text))

    def add(self, statement: Statement, name: str) -> None:
        if statement.kind is Kind.HOST:
            self._add_host(statement, name)
        else:
            self._add_account(statement, name)

    def _add_host(self, statement: Statement, name: str) -> None:
        try:
            patterns = self._names.patterns(name)
        except UnknownHost as error:
            self.warning(statement, str(error))
            return
        except BadPattern as error:
            self.problem(statement, str(error))
            return
        self._warn_of_loopback(statement, name)
        clashes = []
        for shown, pattern in patterns:
            try:
                new = HostEntry(shown, pattern, statement.permissions, statement.line)
                _merge(self.hosts, new, [entry for entry in self.hosts if entry.pattern == pattern])
            except _Contradiction as error:
                clashes.append(str(error))
        # Of "*", the parts that an earlier statement is about are left to it, as stock does.
        report = self.warning if name == "*" and len(clashes) < len(patterns) else self.problem
        for clash in clashes:
            report(statement, clash)

    def _warn_of_loopback(self, statement: Statement, name: str) -> None:
        own = self._names.own
        if name in LOOPBACK and name not in own:
            self.warning(
                statement, f"no client is {name}: clients on this host count as {', '.join(own)}; write localhost"
            )

    def _add_account(self, statement: Statement, name: str) -> None:
        is_user = statement.kind is Kind.USER
        entries = self.users if is_user else self.groups
        ident: int | None = None
        members: Mapping[int, str] = {}
        try:
            if name != "*":
                ident, members = (self._accounts.user if is_user else self._accounts.group)(name)
            new = AccountEntry(name, ident, statement.permissions, members, statement.line)
            _merge(entries, new, [entry for entry in entries if entry.ident == ident])
        except KeyError:
            self.problem(statement, f"this host has no {statement.kind.value} {name!r}; correct the name or create it")
        except _Contradiction as error:
            self.problem(statement, str(error))


_E = TypeVar("_E", HostEntry, AccountEntry)


def _merge(entries: list[_E], new: _E, same: Sequence[_E]) -> None:
    """Add ``new``, or what it specifies to the entry (at most one) about the same clients."""
    if not same:
        entries.append(new)
        return
    old = same[0]
    before, now = old.permissions, new.permissions
    if before.specified & now.specified & (before.denied ^ now.denied):
        raise _Contradiction(f"{new.name!r} contradicts {old.name!r} of line {old.line}; keep one of the two")
    if before.maximum and now.maximum and before.maximum != now.maximum:
        raise _Contradiction(
            f"{new.name!r} and {old.name!r} of line {old.line} limit connections differently; keep one"
        )
    both = Permissions(before.specified | now.specified, before.denied | now.denied, before.maximum or now.maximum)
    entries[entries.index(old)] = replace(old, permissions=both)
