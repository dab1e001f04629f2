"""Where an engine keeps its state: as our environment or its own configuration says, if that is a place at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from pypcp.resolver.untrusted_files import text

Note = Callable[..., None]


def place(settings: Mapping[str, Any], name: str, default: str, note: Note) -> str:
    """The directory that a setting names, ``default`` where there is no such setting.

    Where a relative path leads depends on a directory that we do not know: it is noted, and counts for nothing.
    """
    path = text(settings.get(name))
    if os.path.isabs(path):
        return path
    if path:
        note("path-not-absolute", setting=name, path=path, used=default)
    return default
