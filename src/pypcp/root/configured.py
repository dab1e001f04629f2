"""The agents that root configured: the command lines of a pmcd.conf. See: pmcd(1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|((?:[^\s"#\\]|\\.)+)|(#.*)')
_ACCESS = re.compile(r"\s*\[\s*access\s*\]", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([\"#\\])")
_MAX_BYTES = 1 << 20


class AgentLine(NamedTuple):
    """One agent: what the daemon calls it, whether it speaks through a pipe, its words, and where that is written."""

    label: str
    pipe: bool
    argv: tuple[str, ...]
    source: str
    account: str = "root"
    domain: int = -1

    @property
    def command(self) -> str:
        """The command line as the daemon sends it: the words with one blank between."""
        return " ".join(self.argv)


class BadConfiguration(Exception):
    """A file that root wrote says something that cannot be meant. The text names the file, the line and the fault."""


def parse(text: str, source: str) -> list[AgentLine]:
    """The agents of a pmcd.conf that are programs, in order of the file; dso agents start nothing and are left out."""
    if len(text) > _MAX_BYTES:
        raise BadConfiguration(f"{source}: more than {_MAX_BYTES} bytes")
    agents = []
    for number, line in _logical_lines(text):
        if _ACCESS.match(line):
            break
        if agent := _agent(_words(line), f"{source}:{number}"):
            agents.append(agent)
    return agents


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their first number; one that ends in a backslash goes on in the next."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if begun else number
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        yield first, begun + line
        begun = ""
    if begun:
        yield first, begun


def _words(line: str) -> list[str]:
    words = []
    for quoted, plain, comment in _WORD.findall(line):
        if comment:
            break
        words.append(_ESCAPED.sub(r"\1", quoted or plain))
    return words


def _agent(words: list[str], source: str) -> AgentLine | None:
    if len(words) < 3 or words[2].lower() not in ("pipe", "socket"):
        return None
    pipe = words[2].lower() == "pipe"
    argv = words[4:] if pipe else words[5:]
    while pipe and argv and argv[0].lower() == "notready":
        argv = argv[1:]
    domain = int(words[1]) if words[1].isdecimal() else -1
    return AgentLine(words[0], pipe, tuple(argv), source, domain=domain) if argv else None
