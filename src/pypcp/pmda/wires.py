"""The descriptors an agent talks on, taken from standard input and output before anything else can."""

from __future__ import annotations

import io
import os
import sys

from pypcp.pmda.serve import Wires


def take_pipe() -> Wires:
    """Move standard input and output out of everybody's way.

    Afterwards reading gives nothing, and what is printed, here or by a child process, goes where errors go. To be
    called before the agent's own code is imported: one stray ``print`` in a reply ends an agent.
    """
    sys.stdout.flush()
    wires = Wires(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return wires
