"""``pypcp pmdaroot``: privileged services for pmcd and its agents. See: pmdaroot(1).

The helper is an interpreter of its own: isolated, without site packages, with nothing of ours but what it needs. So
this command is replaced by that one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

PACKAGE = "pypcp.root"


def main(argv: Sequence[str]) -> int:
    """Become the helper; returns only when that is not possible."""
    try:
        become(argv)
    except OSError as error:
        print(f"pypcp pmdaroot: {error.filename or sys.executable}: {error.strerror}", file=sys.stderr)
        return 1


def become(argv: Sequence[str]) -> NoReturn:
    """Execute the helper's own image with these options."""
    os.execv(sys.executable, command(argv))


def command(argv: Sequence[str]) -> list[str]:
    """The words that start it: -I and -S keep the environment's and the user's modules out, -B writes none."""
    return [sys.executable, "-I", "-S", "-B", str(image()), *argv]


def image() -> Path:
    """The file that the helper's interpreter is given."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise FileNotFoundError(2, "this installation has no privileged helper", PACKAGE)
    return Path(found.origin).with_name("__main__.py")
