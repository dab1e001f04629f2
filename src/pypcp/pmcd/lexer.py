"""The words of pmcd.conf: logical lines, quotes, comments. See: pmcd(1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pypcp.ipc.configuration import Problem

LINE_LIMIT: Final = 4096
"""A logical line, continued lines included, has at most so many characters (stock: 2200)."""

SPECIALS: Final = "[]:;,"
"""Characters that are words of their own in the access section."""

_ESCAPE: Final = re.compile(r'\\(["#])')


def _pattern(specials: str) -> re.Pattern[str]:
    special = f"[{re.escape(specials)}]" if specials else "(?!)"
    plain = rf'(?:\\["#]|[^\s#{re.escape(specials)}])+'
    quoted = r'"(?P<quoted>(?:\\"|[^"\n])*+)"'
    return re.compile(rf'\s*(?:(?P<comment>#)|{quoted}|(?P<open>")|(?P<special>{special})|(?P<word>{plain}))')


_AGENT_WORD: Final = _pattern("")
_ACCESS_WORD: Final = _pattern(SPECIALS)


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stands; a ``special`` one is a separator, which a quoted ``:`` is not."""

    text: str
    line: int
    special: bool = False

    def means(self, keyword: str) -> bool:
        """Is it this reserved word, in any case?"""
        return self.text.lower() == keyword

    def __str__(self) -> str:
        return f'"{self.text}"'


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with those that a backslash at their end continues, each with the number of its first.

    Parts stay apart by newlines, so that a position in a line still tells its number.
    """
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


def split(line: str, number: int, file: str, problems: list[Problem], *, access: bool = False) -> list[Word]:
    """The words of a logical line that starts at line ``number``; what is wrong is appended to ``problems``.

    A comment runs to the end of the logical line. Quotes matter at the start of a word only. ``access``: as in the
    access section, where :data:`SPECIALS` separate words.
    """
    if len(line) > LINE_LIMIT:
        problems.append(Problem(file, number, f"a line of {len(line)} characters; the limit is {LINE_LIMIT}"))
        return []
    words = []
    for match in (_ACCESS_WORD if access else _AGENT_WORD).finditer(line):
        at = number + line.count("\n", 0, match.end())
        if match["comment"]:
            break
        if match["open"]:
            problems.append(Problem(file, at, 'a quote that is not closed; add the second "'))
            return []
        text = match["word"] if match["quoted"] is None else match["quoted"]
        words.append(Word(match["special"] or _ESCAPE.sub(r"\1", text), at, special=bool(match["special"])))
    return words
