"""File descriptors: as many as the system gives, and the last of them not for clients.

Without a reserve a crowd of clients would take the daemon's own: agents here could not open a file, agent processes
could not be started, and those who come could not even be told that there is no room.
"""

from __future__ import annotations

import contextlib
import resource
from typing import Final

_RESERVE: Final = 64
_AGENTS_LIMIT: Final = 1024
"""What programs expect that wait with select(2), or that close whatever they might have inherited."""


def raise_limit() -> None:
    """Have the soft limit as high as the hard one: nothing here waits with select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def usual_limit_for(pid: int) -> None:
    """Give an agent process that was just started the soft limit that programs expect."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError):  # it has ended already, or is no longer ours to limit
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(soft, _AGENTS_LIMIT), hard))


def is_for_client(descriptor: int) -> bool:
    """May a client have this one? The lowest free number is given out, so a high one says how many are in use."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return descriptor < soft - min(_RESERVE, soft // 3)
