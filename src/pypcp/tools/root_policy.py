"""``pypcp root policy check|explain|show``: what the privileged helper would allow, and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pypcp.tools.pmdaroot import become

_USAGE = "usage: pypcp root policy check|explain|show [--policy FILE] [LABEL COMMAND]"


def main(argv: Sequence[str]) -> int:
    """Become the helper's own image with its policy command, so that what decides is what will decide."""
    if list(argv[:1]) in (["-h"], ["--help"]):
        print(_USAGE)
        return 0
    if list(argv[:1]) != ["policy"]:
        print(_USAGE, file=sys.stderr)
        return 2
    try:
        become(argv)
    except OSError as error:
        print(f"pypcp root: {error.filename or sys.executable}: {error.strerror}", file=sys.stderr)
        return 1
