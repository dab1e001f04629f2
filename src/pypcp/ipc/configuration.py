"""Configuration files: read within limits, and every mistake in them reported at once, by file and line."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SIZE_LIMIT: Final = 1 << 20
"""A configuration file has at most so many bytes."""

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: what is wrong and what to do. ``line`` is 0 where the file as a whole is meant."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


class ConfigurationError(Exception):
    """A configuration that cannot be used; ``problems`` are all that was found, ``str()`` has one on each line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a ``key = value`` line, and where it stands."""

    value: str
    line: int


def read_text(path: PathLike) -> str:
    """A file's text; bytes that are not UTF-8 survive as surrogates, so that paths in it stay what they are.

    ``OSError`` as the system gives it; ``ConfigurationError`` for one with NUL bytes or above :data:`SIZE_LIMIT`.
    """
    with Path(path).open("rb") as file:
        content = file.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        raise ConfigurationError([Problem(os.fspath(path), 0, f"is larger than {SIZE_LIMIT} bytes; make it smaller")])
    if (nul := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise ConfigurationError([Problem(os.fspath(path), line, "has a NUL byte; is this a text file?")])
    return content.decode(errors="surrogateescape")


_NAME: Final = re.compile(r"[\w.-]+")
_COMMENT: Final = re.compile(r"\s#")


def parse_settings(text: str, file: str) -> dict[str, dict[str, Setting]]:
    """``key = value`` lines by section; what stands before the first ``[section]`` is in the section ``""``.

    ``#`` and ``;`` at the start of a line begin a comment, ``#`` after a blank too. A key that is there twice keeps its
    last value. ``ConfigurationError``: lines that are none of this.
    """
    sections: dict[str, dict[str, Setting]] = {"": {}}
    current = sections[""]
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            current = sections.setdefault(line[1:-1].strip(), {})
            continue
        name, equals, value = line.partition("=")
        if equals and _NAME.fullmatch(name.strip()):
            current[name.strip()] = Setting(_COMMENT.split(value, 1)[0].strip(), number)
        else:
            problems.append(Problem(file, number, f"{line!r:.80} is no setting; write: name = value"))
    if problems:
        raise ConfigurationError(problems)
    return sections
