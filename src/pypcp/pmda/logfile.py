"""The log of an agent process, as PCP's agents write theirs. See: pmdaOpenLog(3)."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def agent_log(name: str, path: Path | None, *, verbose: bool = False) -> Iterator[None]:
    """Have all that is logged or printed go to ``path``; None: where it goes anyway.

    Standard output must be nobody's by now (:func:`pypcp.pmda.wires.take_pipe`). A log that cannot be written costs
    the log, not the agent.
    """
    opened = path is not None and _redirect(path)
    logging.basicConfig(
        format=f"[%(asctime)s] pmda{name}(%(process)d) %(levelname)s: %(message)s",
        datefmt="%a %b %d %H:%M:%S",
        level=logging.DEBUG if verbose else logging.INFO,
        force=True,
    )
    if opened:
        _write(f"Log for pmda{name} on {os.uname().nodename} started {time.ctime()}\n\n")
    try:
        yield
    finally:
        if opened:
            _write(f"\nLog finished {time.ctime()}\n")


def _redirect(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    except OSError as error:
        print(f"the log {path} cannot be written: {error.strerror}", file=sys.stderr)
        return False
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    return True


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
