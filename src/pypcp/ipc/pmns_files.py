"""Reading name space files from disk. See: PMNS(5)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pypcp.errors import NoPmns, reason_of
from pypcp.pmns.parser import parse
from pypcp.pmns.preprocessor import MAX_CHARACTERS
from pypcp.pmns.tree import Tree


def load_name_space(
    path: str | os.PathLike[str],
    *,
    include_dirs: Iterable[str | os.PathLike[str]] = (),
    defines: Mapping[str, str] | None = None,
    duplicates: bool = True,
    opened: Callable[[Path], object] = lambda path: None,
) -> Tree:
    """The name space of a file; options as for :func:`pypcp.pmns.parser.parse`.

    ``#include`` looks for the name as it is, then in the directory of ``path``, then in ``include_dirs`` in order.
    ``opened`` is told of each file before it is read.
    ``NoPmns``: the file cannot be read. ``PmnsError``: something is wrong in it. See: pmLoadASCIINameSpace(3)
    """
    places = [Path(), Path(path).parent, *map(Path, include_dirs)]
    opened(Path(path))
    try:
        text = _read(Path(path))
    except (OSError, UnicodeError) as error:
        raise NoPmns(f"cannot read {os.fspath(path)}: {reason_of(error)}") from error
    return parse(
        text,
        file=os.fspath(path),
        include=lambda name: _included(name, places, opened),
        defines=defines,
        duplicates=duplicates,
    )


def _included(name: str, places: list[Path], opened: Callable[[Path], object]) -> str:
    for place in places:
        if (place / name).is_file():
            opened(place / name)
            return _read(place / name)
    raise FileNotFoundError(f"not found in {', '.join(dict.fromkeys(str(place) for place in places))}")


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_CHARACTERS + 1)
    if len(content) > MAX_CHARACTERS:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content.decode()
