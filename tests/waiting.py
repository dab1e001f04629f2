"""Waiting for what must come true; every test waits by these."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

LIMIT_S: Final = 30.0
"""No machine is so busy that what a test waits for takes longer; only what never comes costs the time."""


def wait_until(condition: Callable[[], object], what: object = "what must come true", limit_s: float = LIMIT_S) -> None:
    """Return once the condition is true; ``what`` says what it is, or is a function that says what there is instead."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, _said(what, limit_s)
        time.sleep(0.005)


async def until(
    condition: Callable[[], object], what: object = "what must come true", limit_s: float = LIMIT_S
) -> None:
    """The same where others of this event loop have to have their turn meanwhile."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, _said(what, limit_s)
        await asyncio.sleep(0.002)


def _said(what: object, limit_s: float) -> str:
    return f"not within {limit_s:g} s: {what() if callable(what) else what}"
