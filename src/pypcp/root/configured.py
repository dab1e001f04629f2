"""The agents that root configured: the command lines of a pmcd.conf. See: pmcd(1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_WORD = re.compile(r'\s*(?:(?P<comment>#)|"(?P<quoted>(?:\\"|[^"\n])*+)"|(?P<open>")|(?P<plain>(?:\\["#]|[^\s#])+))')
"""The daemon's own rule (:mod:`pypcp.pmcd.lexer`): one command line must not mean other words here than there."""

_ESCAPED = re.compile(r'\\(["#])')
_MAX_BYTES = 1 << 20

# Words before the command that say how to talk to the agent.
_ABOUT_A_PIPE = {"notready", "version1"}
_ABOUT_A_SOCKET = {"version1"}


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
        if line.lstrip().startswith("["):
            break  # access control is all that follows
        where = f"{source}:{number}"
        if agent := _agent(_words(line, where), where):
            agents.append(agent)
    return agents


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their first number; one that ends in a backslash goes on in the next."""
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        parts.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            yield first, "\n".join(parts)
            parts, first = [], number + 1
    if parts:
        yield first, "\n".join(parts)


def _words(line: str, where: str) -> list[str]:
    words = []
    for match in _WORD.finditer(line):
        if match["comment"]:
            break
        if match["open"]:
            raise BadConfiguration(f"{where}: a quote that is not closed")
        words.append(_ESCAPED.sub(r"\1", match["plain"] or match["quoted"]))
    return words


def _agent(words: list[str], source: str) -> AgentLine | None:
    if len(words) < 3 or words[2].lower() not in ("pipe", "socket"):
        return None
    pipe = words[2].lower() == "pipe"
    argv = words[4:] if pipe else words[5:]
    about = _ABOUT_A_PIPE if pipe else _ABOUT_A_SOCKET
    while argv and argv[0].lower() in about:
        argv = argv[1:]
    domain = int(words[1]) if words[1].isdecimal() else -1
    return AgentLine(words[0], pipe, tuple(argv), source, domain=domain) if argv else None
