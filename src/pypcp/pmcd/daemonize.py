"""Becoming a daemon: a process in a session of its own, and a word to whoever started it. See: daemon(7).

Stock's pmcd lets its caller go at once and with success, whatever becomes of it. Here the caller waits until clients
can come, and hears why they cannot.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

Start = Callable[[Callable[[], None]], str]
"""Serves until it is told to stop, and calls its argument when clients can come. Gives why it failed, or ""."""

_SERVES: Final = b"+"
_FAILED: Final = b"-"
_NULL: Final = "/dev/null"


class _Word:
    """The one thing that the daemon says to who waits for it: the first one that there is to say."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def say(self, what: bytes) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # nobody waits any more
                os.write(self._descriptor, what)
            os.close(self._descriptor)
            self._descriptor = -1


def daemonize(start: Start) -> str:
    """Run ``start`` in a daemon; returns "" in the caller when it serves, and why it does not when it has ended.

    There may be neither thread nor event loop yet. The daemon's standard input is empty; its output is still the
    caller's (see :func:`speak_to`). The daemon's process does not return from here.
    """
    hears, says = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(says)
        return _heard_from(child, hears)
    os.close(hears)
    os.setsid()
    os.umask(0o022)
    _stand_in(_NULL, os.O_RDONLY, 0)
    word = _Word(says)
    failure = start(lambda: word.say(_SERVES))
    word.say(_FAILED + failure.encode(errors="replace"))
    sys.exit(1 if failure else 0)


def speak_to(log: int) -> None:
    """Let all that this process and its agents say without being asked go to an open log."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)


def _stand_in(path: str, flags: int, descriptor: int) -> None:
    opened = os.open(path, flags)
    os.dup2(opened, descriptor)
    if opened != descriptor:
        os.close(opened)


def _heard_from(child: int, hears: int) -> str:
    with open(hears, "rb") as pipe:
        try:
            said = pipe.read()
        except KeyboardInterrupt:
            os.kill(child, signal.SIGTERM)
            return "interrupted before it served"
    if said == _SERVES:
        return ""
    _, status = os.waitpid(child, 0)
    if said.startswith(_FAILED) and len(said) > 1:
        return said[1:].decode(errors="replace")
    return f"it ended before it served ({_ending(os.waitstatus_to_exitcode(status))})"


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"
