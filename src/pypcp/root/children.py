"""Processes of ours: forked so that nothing of them runs on as we, known by their pidfds, signalled by nothing else."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

CRASHED = 70
"""Exit status of a child whose body raised."""


def spawn(body: Callable[[], NoReturn]) -> tuple[int, int]:
    """A child that runs ``body`` and ends with it, whatever it raises: its pid and its pidfd, which is ours to close.

    ``OSError``: there is no child.
    """
    pid = os.fork()
    if pid == 0:
        try:
            body()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            raise
        finally:
            os._exit(CRASHED)
    try:
        return pid, os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
        os.waitpid(pid, 0)
        raise


def send_signal(pidfd: int, number: int) -> bool:
    """Signal the process. False where it is gone: whoever reaped it may not have told us yet."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True
