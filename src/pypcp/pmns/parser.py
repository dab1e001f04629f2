"""Name space files: text -> :class:`Tree`. See: PMNS(5).

A file is blocks, in any order, one for each node that is not a leaf::

    root {
        kernel
        mem         60:1:0
        mmv         70:*:*
    }
    kernel {
        ...
    }

``d:c:i`` is a pmid, ``d:*:*`` a dynamic root. Tokens are separated by blanks; blanks around ``:`` do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pypcp.errors import PmnsError
from pypcp.model.ids import MAX_DOMAIN, Pmid, dynamic_root, is_dynamic_root
from pypcp.pmns.preprocessor import Include, Line, preprocess
from pypcp.pmns.tree import Tree, is_component

_PMID: Final = re.compile(r"(\d{1,9}):(?:(\d{1,9}):(\d{1,9})|\*:\*)")
_BLANK_COLON: Final = re.compile(r"[ \t]*:[ \t]*")


@dataclass(slots=True)
class _Entry:
    where: Line
    pmid: Pmid | None = None


@dataclass(slots=True)
class _Block:
    opened: Line
    entries: dict[str, _Entry] = field(default_factory=dict)


def parse(
    text: str,
    *,
    file: str = "pmns",
    include: Include | None = None,
    defines: Mapping[str, str] | None = None,
    duplicates: bool = True,
) -> Tree:
    """The tree of a name space file's text.

    ``file`` names the text in errors; ``include`` gives the text of ``#include`` files (none: inclusion is an
    error); ``defines`` are macros defined beforehand. With ``duplicates`` false no two names may have the same pmid
    (``pmcd -N``); dynamic roots may. ``PmnsError`` says ``file:line: what is wrong``, at the first thing wrong.

    Stricter than stock in one thing: a last block without its ``}`` is an error, for such a file was cut short.
    """
    lines = preprocess(text, file, include or _no_inclusion, defines)
    blocks = _read_blocks(_tokens(lines))
    if "root" not in blocks:
        raise PmnsError(f"{file}:1: there is no block 'root {{ ... }}'")
    return _build(blocks, duplicates)


def _no_inclusion(name: str) -> str:
    raise FileNotFoundError(f"{name}: nothing can be included here")


def _tokens(lines: Iterable[Line]) -> Iterator[tuple[Line, str]]:
    for line in lines:
        for token in _BLANK_COLON.sub(":", line.text).split():
            yield line, token


def _read_blocks(tokens: Iterator[tuple[Line, str]]) -> dict[str, _Block]:
    blocks: dict[str, _Block] = {}
    for line, path in tokens:
        if not all(map(is_component, path.split("."))):
            raise line.error(f"{path[:200]!r} found where the full name of a block should be")
        if path in blocks:
            raise line.error(f"a second block for {path}; the first is in line {blocks[path].opened.number}")
        where, brace = next(tokens, (line, ""))
        if brace != "{":
            raise where.error(f"'{{' should follow {path}")
        blocks[path] = _Block(line)
        _read_entries(path, blocks[path], tokens)
    return blocks


def _read_entries(path: str, block: _Block, tokens: Iterator[tuple[Line, str]]) -> None:
    last: _Entry | None = None
    for line, token in tokens:
        if token == "}":
            return
        if is_component(token):
            if token in block.entries:
                raise line.error(f"{token} is named twice in the block of {path}")
            last = block.entries[token] = _Entry(line)
        elif last is not None and last.pmid is None:
            last.pmid = _parse_pmid(line, token)
        else:
            raise line.error(f"{token[:200]!r} found where a name or '}}' should be")
    raise block.opened.error(f"the block of {path} has no '}}'")


def _parse_pmid(line: Line, token: str) -> Pmid:
    match = _PMID.fullmatch(token)
    if match is None:
        raise line.error(f"{token[:200]!r} found where a name, '}}' or a pmid (d:c:i or d:*:*) should be")
    domain, cluster, item = (int(part or 0) for part in match.groups())
    for what, value, most in (("domain", domain, MAX_DOMAIN), ("cluster", cluster, 4095), ("item", item, 1023)):
        if value > most:
            raise line.error(f"the {what} of pmid {token} is above {most}")
    return dynamic_root(domain) if match[2] is None else Pmid.build(domain, cluster, item)


def _build(blocks: dict[str, _Block], duplicates: bool) -> Tree:
    tree = Tree()
    unused = dict(blocks)
    # A stack and not recursion: the file chooses how deep it goes.
    stack = [("", iter(unused.pop("root").entries.items()))]
    while stack:
        prefix, entries = stack[-1]
        for part, entry in entries:
            name = prefix + part
            if entry.pmid is None:
                stack.append((f"{name}.", iter(_block_of(name, entry, unused).entries.items())))
                break
            _insert(tree, name, entry, duplicates)
        else:
            stack.pop()
    for path, block in unused.items():
        raise block.opened.error(f"the block of {path} belongs nowhere: no block above names it without a pmid")
    return tree


def _block_of(name: str, entry: _Entry, unused: dict[str, _Block]) -> _Block:
    if name not in unused:
        raise entry.where.error(f"{name} has no pmid, so it needs a block '{name} {{ ... }}', and there is none")
    return unused.pop(name)


def _insert(tree: Tree, name: str, entry: _Entry, duplicates: bool) -> None:
    assert entry.pmid is not None
    if not duplicates and not is_dynamic_root(entry.pmid) and tree.has_pmid(entry.pmid):
        raise entry.where.error(f"{name} has the same pmid {entry.pmid} as {tree.names(entry.pmid)[0]}")
    tree.insert(name, entry.pmid)
