"""The words by which a process is found in ps(1): stock's scripts look for a program of the name pmcd."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_ARG_START: Final = 45
"""Of the fields that follow the name in ``/proc/self/stat``: where the command line begins; the next is its end."""


def show_as(program: Path, options: Sequence[str]) -> None:
    """Have ps(1) and pidof(1) show ``program`` with its options, and not the interpreter that runs it.

    The command line has the room that it had: what is longer is cut off. Where the kernel does not tell the place of
    it all stays as it is.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(program.name)
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
        if room := end - start:
            text = b"\0".join(word.encode(errors="replace") for word in (str(program), *options))
            ctypes.memmove(start, text[: room - 1].ljust(room, b"\0"), room)
