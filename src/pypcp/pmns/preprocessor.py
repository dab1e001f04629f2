"""The preprocessing of name space files: comments, macros, conditions, inclusion. See: pmcpp(1).

Stock runs ``pmcpp`` for this; here it is a function over text. Where pmcpp cannot do something that C's preprocessor
can (nested conditions, blanks before ``#``), this can; ``#shell`` is refused: reading names must not run commands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pypcp.errors import PmnsError, reason_of

MAX_DEPTH: Final = 5
"""How many files may be open at once, the first included: pmcpp's limit."""

MAX_CHARACTERS: Final = 64 << 20
"""How much text may be read, and how much may come out of macros; a full stock name space has 0.1 million."""

Include = Callable[[str], str]
"""From the name in ``#include`` to the text of that file; raises ``OSError`` when it cannot."""

_DIRECTIVE: Final = re.compile(r"\s*#\s*(\w*)(.*)", re.DOTALL)
_WORD: Final = re.compile(r"[A-Za-z0-9_]+")
_MACRO: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED: Final = re.compile(r"\"([^\"]*)\"|'([^']*)'|(\S*)")
_INCLUDED: Final = re.compile(r"\"([^\"]+)\"|<([^>]+)>")
_LINE_MARK: Final = re.compile(r"\d{1,9}\s+\"([^\"]*)\".*")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output and where it came from."""

    file: str
    number: int
    text: str

    def error(self, what: str) -> PmnsError:
        """The error ``file:line: what``."""
        return PmnsError(f"{self.file}:{self.number}: {what}")


def preprocess(text: str, file: str, include: Include, defines: Mapping[str, str] | None = None) -> Iterator[Line]:
    """The lines of ``text`` that remain, comments stripped and macros replaced, one after another.

    ``file`` names the text in errors. ``defines`` are macros defined beforehand (``pmcpp -D``). A macro's value is
    not searched for macros again. ``PmnsError`` with ``file:line: what is wrong``, at the first thing wrong.
    """
    return _Preprocessor(include, dict(defines or {})).lines(text, file, depth=1)


@dataclass(slots=True)
class _Condition:
    """An ``#ifdef`` that is open: whether its present branch, and all around it, is taken."""

    opened: Line
    around: bool
    taken: bool
    has_else: bool = False


class _Preprocessor:
    def __init__(self, include: Include, macros: dict[str, str]) -> None:
        self._include = include
        self._macros = macros
        self._read = 0
        self._expanded = 0

    def lines(self, text: str, file: str, depth: int) -> Iterator[Line]:
        self._read += len(text)
        if self._read > MAX_CHARACTERS:
            raise PmnsError(f"{file}:1: more than {MAX_CHARACTERS >> 20} million characters to read in all")
        conditions: list[_Condition] = []
        for number, raw in enumerate(_without_comments(text, file).split("\n"), 1):
            line = Line(file, number, raw)
            if directive := _DIRECTIVE.fullmatch(raw):
                yield from self._directive(line, directive[1], directive[2].strip(), conditions, depth)
            elif raw.strip() and (not conditions or conditions[-1].taken):
                yield self._replace_macros(line)
        if conditions:
            raise conditions[-1].opened.error("#endif is missing for this condition")

    def _directive(self, line: Line, word: str, rest: str, conditions: list[_Condition], depth: int) -> Iterator[Line]:
        if word in ("ifdef", "ifndef", "else", "endif"):
            self._condition(line, word, rest, conditions)
        elif conditions and not conditions[-1].taken:
            return
        elif word == "define":
            self._define(line, rest)
        elif word == "undef":
            self._macros.pop(_macro_name(line, rest), None)
        elif word == "include":
            yield from self._included(line, rest, depth)
        elif word == "shell":
            raise line.error("#shell is not supported: a name space does not run commands; #include its output")
        elif not _LINE_MARK.fullmatch(f"{word} {rest}"):
            raise line.error(f"unknown directive #{word[:100]}")

    def _condition(self, line: Line, word: str, rest: str, conditions: list[_Condition]) -> None:
        if word in ("ifdef", "ifndef"):
            around = not conditions or conditions[-1].taken
            defined = _macro_name(line, rest) in self._macros
            conditions.append(_Condition(line, around, around and defined == (word == "ifdef")))
            return
        if rest:
            raise line.error(f"nothing may follow #{word}")
        if not conditions:
            raise line.error(f"#{word} without #ifdef or #ifndef")
        if word == "endif":
            conditions.pop()
            return
        if conditions[-1].has_else:
            raise line.error("a second #else for one condition")
        conditions[-1].has_else = True
        conditions[-1].taken = conditions[-1].around and not conditions[-1].taken

    def _define(self, line: Line, rest: str) -> None:
        name, value = [*rest.split(None, 1), "", ""][:2]
        _macro_name(line, name)
        if name in self._macros:
            raise line.error(f"macro {name} is defined already; #undef it first")
        quoted = _QUOTED.fullmatch(value.strip())
        if quoted is None:
            raise line.error(f"the value of macro {name} must be one word, or be quoted")
        self._macros[name] = next((group for group in quoted.groups() if group), "")

    def _included(self, line: Line, rest: str, depth: int) -> Iterator[Line]:
        quoted = _INCLUDED.fullmatch(rest)
        if quoted is None:
            raise line.error('#include needs "file" or <file>')
        if depth >= MAX_DEPTH:
            raise line.error(f"#include is nested more than {MAX_DEPTH} files deep")
        name = quoted[1] or quoted[2]
        try:
            text = self._include(name)
        except (OSError, UnicodeError) as error:
            raise line.error(f"cannot include {name}: {reason_of(error)}") from error
        yield from self.lines(text, name, depth + 1)

    def _replace_macros(self, line: Line) -> Line:
        if not self._macros:
            return line
        text = _WORD.sub(lambda word: self._value(line, word[0]), line.text)
        return Line(line.file, line.number, text)

    def _value(self, line: Line, word: str) -> str:
        value = self._macros.get(word)
        if value is None:
            return word
        self._expanded += len(value)
        if self._expanded > MAX_CHARACTERS:
            raise line.error(f"macros expand to more than {MAX_CHARACTERS >> 20} million characters")
        return value


def _macro_name(line: Line, text: str) -> str:
    if not text:
        raise line.error("the name of a macro is missing")
    if not _MACRO.fullmatch(text):
        raise line.error(f"bad macro name {text[:100]!r}: a letter or underscore, then letters, digits, underscores")
    return text


def _without_comments(text: str, file: str) -> str:
    # Each comment becomes one blank and the ends of its lines, so that the lines keep their numbers.
    pieces = []
    at = 0
    while (start := text.find("/*", at)) >= 0:
        end = text.find("*/", start + 2)
        if end < 0:
            raise PmnsError(f"{file}:{text.count(chr(10), 0, start) + 1}: a comment begins here and never ends")
        pieces += [text[at:start], " ", "\n" * text.count("\n", start, end)]
        at = end + 2
    pieces.append(text[at:])
    return "".join(pieces)
