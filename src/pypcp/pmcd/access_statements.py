"""The grammar of access control: ``allow`` and ``disallow`` statements. See: pmcd(1).

::

    allow    [user|users|group|groups|host|hosts] NAME [, NAME]... : OPERATIONS ;
    disallow

    OPERATIONS: fetch | store | all | all except fetch | maximum N connections; several apart by commas
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import Final

from pypcp.ipc.configuration import Problem
from pypcp.pmcd.lexer import Word

MAXIMUM_CONNECTIONS: Final = 2**31 - 1


class Operation(IntFlag):
    """What a client can be kept from."""

    FETCH = 1
    STORE = 2


NO_OPERATION: Final = Operation(0)
ALL_OPERATIONS: Final = Operation.FETCH | Operation.STORE


class Kind(Enum):
    """What the names of a statement name."""

    HOST = "host"
    USER = "user"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Permissions:
    """``denied`` of the operations that are ``specified``; the others are left as they are.

    ``maximum`` connections at a time, 0: no limit.
    """

    specified: Operation = NO_OPERATION
    denied: Operation = NO_OPERATION
    maximum: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; ``line`` of ``file`` is where it begins."""

    kind: Kind
    names: tuple[str, ...]
    permissions: Permissions
    file: str
    line: int


def parse_section(words: Sequence[Word], file: str, problems: list[Problem]) -> list[Statement]:
    """The statements of ``words`` that begin with ``[access]``; what is wrong is appended to ``problems``."""
    reader = _Reader(words, file)
    try:
        for expected in ("[", "access", "]"):
            word = reader.next('"[access]"')
            if not word.means(expected):
                raise _Mistake(word.line, f'{word} stands where "{expected}" of [access] must')
        if not reader.more():
            raise _Mistake(word.line, "the section [access] is empty; write a statement, or take the heading away")
    except _Mistake as mistake:
        problems.append(Problem(file, mistake.line, str(mistake)))
        return []
    return _statements(reader, problems)


def parse_statements(words: Sequence[Word], file: str, problems: list[Problem]) -> list[Statement]:
    """The statements of ``words``; what is wrong is appended to ``problems``."""
    return _statements(_Reader(words, file), problems)


class _Mistake(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class _Reader:
    """Words, one after another."""

    def __init__(self, words: Sequence[Word], file: str) -> None:
        self.file = file
        self._words = words
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._words)

    def next(self, what: str) -> Word:
        """The next word; there has to be one."""
        if not self.more():
            line = self._words[-1].line if self._words else 1
            raise _Mistake(line, f"the file ends where {what} should be")
        self._at += 1
        return self._words[self._at - 1]

    def take(self, special: str) -> bool:
        """Step over this separator if it comes next."""
        taken = self.more() and _is(self._words[self._at], special)
        self._at += taken
        return taken

    def take_keyword(self, keyword: str) -> bool:
        """Step over this reserved word if it comes next."""
        taken = self.more() and self._words[self._at].means(keyword)
        self._at += taken
        return taken

    def leave_statement(self) -> None:
        """Go on behind the end of the statement in which the last word stood."""
        if self._at and _is(self._words[self._at - 1], ";"):
            return
        while self.more() and not _is(self.next(""), ";"):
            pass


def _is(word: Word, special: str) -> bool:
    return word.special and word.text == special


def _statements(reader: _Reader, problems: list[Problem]) -> list[Statement]:
    statements = []
    while reader.more():
        try:
            statements.append(_statement(reader))
        except _Mistake as mistake:
            problems.append(Problem(reader.file, mistake.line, str(mistake)))
            reader.leave_statement()
    return statements


def _statement(reader: _Reader) -> Statement:
    first = reader.next("a statement")
    allow = first.means("allow")
    if not allow and not first.means("disallow"):
        raise _Mistake(
            first.line, f"{first} begins no statement; write allow or disallow (and only those from here on)"
        )
    kind, names = _names(reader)
    permissions = _operations(reader, allow=allow)
    return Statement(kind, tuple(names), permissions, reader.file, first.line)


_KINDS: Final = {word: kind for kind in Kind for word in (kind.value, f"{kind.value}s")}


def _names(reader: _Reader) -> tuple[Kind, list[str]]:
    word = reader.next("a name")
    kind = _KINDS.get(word.text.lower())
    if kind is not None:
        word = reader.next("a name")
    names: list[str] = []
    while True:
        if word.special:
            raise _Mistake(word.line, f"{word} stands where a name must; put addresses with colons in quotes")
        names.append(word.text)
        if reader.take(":"):
            return kind or Kind.HOST, names
        if not reader.take(","):
            after = reader.next("':'")
            raise _Mistake(after.line, f"{after} follows {word}, where ',' or ':' must")
        word = reader.next("a name")


class _Operations:
    """The operations of one statement as they are read."""

    def __init__(self, *, allow: bool) -> None:
        self.allow = allow
        self.named = NO_OPERATION
        self.every = False
        self.excepted = False
        self.maximum = 0

    def permissions(self) -> Permissions:
        specified = ALL_OPERATIONS if self.every or self.excepted else self.named
        given = ALL_OPERATIONS & ~self.named if self.excepted else specified
        return Permissions(specified, specified & ~given if self.allow else given, self.maximum)


def _operations(reader: _Reader, *, allow: bool) -> Permissions:
    found = _Operations(allow=allow)
    while True:
        word = reader.next("an operation")
        _OPERATIONS.get("" if word.special else word.text.lower(), _no_operation)(found, word, reader)
        if reader.take(";"):
            return found.permissions()
        if not reader.take(","):
            after = reader.next("';'")
            raise _Mistake(after.line, f"{after} follows {word}, where ',' or ';' must")


def _no_operation(found: _Operations, word: Word, reader: _Reader) -> None:
    raise _Mistake(
        word.line, f"{word} is no operation; write fetch, store, all, all except ..., or maximum N connections"
    )


def _single(found: _Operations, word: Word, reader: _Reader) -> None:
    if found.every:
        raise _Mistake(word.line, f'"all" and {word} do not go together; write one of them')
    found.named |= Operation[word.text.upper()]


def _all(found: _Operations, word: Word, reader: _Reader) -> None:
    if found.named or found.excepted:
        raise _Mistake(word.line, '"all" does not go together with single operations; write one of them')
    if not reader.take_keyword("except"):
        found.every = True
        return
    found.excepted = True
    excepted = reader.next("the operation that is excepted")
    if excepted.text.lower() not in ("fetch", "store"):
        raise _Mistake(excepted.line, f'{excepted} cannot follow "all except"; write fetch or store')
    _single(found, excepted, reader)


def _maximum(found: _Operations, word: Word, reader: _Reader) -> None:
    number, unit = reader.next("the number of connections"), reader.next('"connections"')
    text = number.text
    if not (text.isascii() and text.isdecimal() and len(text) < 11 and 0 < int(text) <= MAXIMUM_CONNECTIONS):
        raise _Mistake(number.line, f"{number} is no limit; write a number from 1 to {MAXIMUM_CONNECTIONS}")
    if not unit.means("connections"):
        raise _Mistake(unit.line, f'{unit} stands where "connections" must')
    if not found.allow:
        raise _Mistake(
            word.line, "a disallow statement cannot limit connections; put the limit into an allow statement"
        )
    if found.maximum:
        raise _Mistake(word.line, "the number of connections is limited twice; take one limit away")
    found.maximum = int(text)


_OPERATIONS: Final = {"fetch": _single, "store": _single, "all": _all, "maximum": _maximum}
