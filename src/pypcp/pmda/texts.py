"""Long texts, for terminals: pminfo(1) shows them as they come."""

from __future__ import annotations

from typing import Final

COLUMNS: Final = 79


def folded(text: str) -> str:
    """The text with its long lines broken between words; what is indented stays so. See: newhelp(1)."""
    return "\n".join(line if len(line) <= COLUMNS else _folded(line) for line in text.split("\n"))


def _folded(line: str) -> str:
    import textwrap  # for few lines, and seldom asked

    indent = line[: len(line) - len(line.lstrip(" "))]
    return textwrap.fill(line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
