"""pmcd.conf: which agents there are, how to reach them, and who may do what. See: pmcd(1)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Final

from pypcp.ipc.configuration import ConfigurationError, PathLike, Problem, read_text
from pypcp.model.ids import MAX_DOMAIN
from pypcp.pmcd.access_statements import Statement, parse_section, parse_statements
from pypcp.pmcd.lexer import Word, logical_lines, split
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2

_NOT_READY: Final = "notready"
_VERSION_1: Final = "version1"

# What two specifications must have in common for a reload to keep the agent is what takes part in their comparison.


@dataclass(frozen=True, slots=True)
class DsoAgent:
    """``LABEL DOMAIN dso ENTRY PATH``: a shared object in stock's daemon."""

    label: str = field(compare=False)
    domain: int
    entry: str
    path: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SocketAgent:
    """``LABEL DOMAIN socket inet|ipv6|unix ADDRESS [version1] [COMMAND]``: an agent that listens on this host.

    ``address`` is a port number, or the path of a Unix socket. ``command`` starts the agent; empty: it runs already.
    ``version`` is that of the protocol it speaks.
    """

    label: str = field(compare=False)
    domain: int
    family: str
    address: int | str
    command: tuple[str, ...] = ()
    version: int = PDU_VERSION2
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PipeAgent:
    """``LABEL DOMAIN pipe binary [notready] [version1] COMMAND``: a child that talks on its standard input and output.

    ``not_ready``: it answers nothing until it has said that it is ready. ``version`` is that of the protocol it speaks.
    """

    label: str = field(compare=False)
    domain: int
    command: tuple[str, ...]
    not_ready: bool = field(default=False, compare=False)
    version: int = PDU_VERSION2
    line: int = field(default=0, compare=False)


AgentSpec = DsoAgent | SocketAgent | PipeAgent


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the files say; ``statements`` is what :func:`pypcp.pmcd.access_compiler.compile_rules` takes."""

    agents: tuple[AgentSpec, ...] = ()
    statements: tuple[Statement, ...] = ()


def load(path: PathLike) -> Configuration:
    """The configuration of a file, and of the statements in ``<path>.access`` where that exists.

    ``OSError``: the file cannot be read. ``ConfigurationError``: everything that is wrong in either.
    """
    file = os.fspath(path)
    text = read_text(path)
    more = Path(f"{file}.access")
    access = read_text(more) if more.exists() else None
    return parse(text, file, access, str(more))


def parse(text: str, file: str, access_text: str | None = None, access_file: str = "") -> Configuration:
    """The configuration in a text; ``ConfigurationError`` with everything that is wrong."""
    problems: list[Problem] = []
    agents: list[AgentSpec] = []
    statements: list[Statement] = []
    lines = logical_lines(text)
    for number, line in lines:
        if line.lstrip().startswith("["):
            statements += parse_section(_access_words([(number, line), *lines], file, problems), file, problems)
        elif words := split(line, number, file, problems):
            _add_agent(agents, words, file, problems)
    if access_text is not None:
        words = _access_words(logical_lines(access_text), access_file, problems)
        statements += parse_statements(words, access_file, problems)
    if problems:
        raise ConfigurationError(problems)
    return Configuration(tuple(agents), tuple(statements))


def _access_words(lines: Iterable[tuple[int, str]], file: str, problems: list[Problem]) -> list[Word]:
    return [word for number, line in lines for word in split(line, number, file, problems, access=True)]


def _add_agent(agents: list[AgentSpec], words: list[Word], file: str, problems: list[Problem]) -> None:
    try:
        agent = _agent(_Line(words))
        for other in agents:
            if other.domain == agent.domain:
                raise _Mistake(f"domain {agent.domain} belongs to {other.label!r} of line {other.line}; take another")
    except _Mistake as mistake:
        problems.append(Problem(file, words[0].line, str(mistake)))
    else:
        agents.append(agent)


class _Mistake(Exception):
    """What is wrong with a line."""


class _Line:
    """The words of an agent's line, taken one after another."""

    def __init__(self, words: list[Word]) -> None:
        self.number = words[0].line
        self._words = iter(words)

    def take(self, what: str) -> str:
        """The next word; there has to be one."""
        word = next(self._words, None)
        if word is None:
            raise _Mistake(f"the line ends where {what} should be")
        return word.text

    def rest(self) -> tuple[str, ...]:
        """All words that are left."""
        return tuple(word.text for word in self._words)


def _agent(line: _Line) -> AgentSpec:
    label = line.take("the agent's name")
    domain = line.take(f"the domain of {label!r}")
    # int() takes digits of any script, signs and underscores.
    if not (domain.isascii() and domain.isdecimal() and len(domain) < 10 and int(domain) <= MAX_DOMAIN):
        raise _Mistake(f"{domain!r} is no domain for {label!r}; write a number from 0 to {MAX_DOMAIN}")
    kind = line.take("the kind of agent: dso, socket or pipe")
    if kind.lower() not in _KINDS:
        raise _Mistake(f"{kind!r} is no kind of agent; write dso, socket or pipe")
    return _KINDS[kind.lower()](label, int(domain), line)


def _dso(label: str, domain: int, line: _Line) -> DsoAgent:
    entry, path = line.take("the name of the DSO's init function"), line.take("the DSO's path")
    if not path.startswith("/"):
        raise _Mistake(f"the path {path!r} is not absolute; write it from the root, /...")
    if extra := line.rest():
        raise _Mistake(f"nothing may follow the path of a DSO; take {' '.join(extra)!r} away")
    return DsoAgent(label, domain, entry, path, line.number)


def _socket(label: str, domain: int, line: _Line) -> SocketAgent:
    family = line.take("the socket's family: inet, ipv6 or unix").lower()
    if family not in ("inet", "ipv6", "unix"):
        raise _Mistake(f"{family!r} is no family of sockets; write inet, ipv6 or unix")
    where = line.take("the socket's path" if family == "unix" else "the port")
    address = where if family == "unix" else _port(where)
    said, command = _said_first(line.rest(), {_VERSION_1})
    return SocketAgent(label, domain, family, address, command, _version(said), line.number)


def _port(where: str) -> int:
    if where.isascii() and where.isdecimal():
        port = int(where[:6])
    else:
        try:
            port = socket.getservbyname(where, "tcp")
        except (OSError, UnicodeError):
            raise _Mistake(f"no service is called {where!r}; write the number of the port") from None
    if not 0 < port < 65536:
        raise _Mistake(f"{where} is no port; write a number from 1 to 65535")
    return port


def _pipe(label: str, domain: int, line: _Line) -> PipeAgent:
    if (pdus := line.take("the word binary")).lower() != "binary":
        raise _Mistake(f"{pdus!r} stands where binary must; PCP has no other kind of pipe any more")
    said, command = _said_first(line.rest(), {_NOT_READY, _VERSION_1})
    if not command:
        raise _Mistake(f"the command that starts {label!r} is missing")
    return PipeAgent(label, domain, command, _NOT_READY in said, _version(said), line.number)


def _said_first(words: tuple[str, ...], known: Container[str]) -> tuple[set[str], tuple[str, ...]]:
    """Which of the ``known`` words stand before a command, in any order, and the command."""
    said = set(takewhile(known.__contains__, map(str.lower, words)))
    return said, tuple(dropwhile(lambda word: word.lower() in said, words))


def _version(said: Container[str]) -> int:
    return PDU_VERSION1 if _VERSION_1 in said else PDU_VERSION2


_KINDS: Final[dict[str, Callable[[str, int, _Line], AgentSpec]]] = {"dso": _dso, "socket": _socket, "pipe": _pipe}
