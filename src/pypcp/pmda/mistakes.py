"""An author's mistakes: where one is, without the machinery around his file, and what the log hears of it."""

from __future__ import annotations

import logging
import sysconfig
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from pypcp.errors import PcpError

_PYPCP: Final = Path(__file__).parents[1]
_PYTHON: Final = Path(sysconfig.get_path("stdlib"))
_INSTALLED: Final = {"site-packages", "dist-packages"}

log = logging.getLogger(__name__)

AGAIN_S: Final = 60.0
"""How long the log hears nothing more of a mistake that goes on being made."""
_MOST: Final = 64


def mistake_in(error: BaseException) -> str:
    """Where it is and what: ``FILE:LINE: ERROR``; what it is alone, where none of his lines was on the way."""
    said = str(error) if isinstance(error, PcpError) else f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    raised = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    return f"{raised[-1].filename}:{raised[-1].lineno}: {said}" if raised else said


def author_traceback(error: BaseException) -> str:
    """The traceback from the author's first line on; whole, if there is none."""
    at: TracebackType | None = error.__traceback__
    while at is not None and _is_machinery(at.tb_frame.f_code.co_filename):
        at = at.tb_next
    # Of what cannot be compiled no line was ever run: that it is his is in the error itself.
    first = at if at is not None or isinstance(error, SyntaxError) else error.__traceback__
    return "".join(traceback.format_exception(type(error), error, first))


def _is_machinery(file: str) -> bool:
    """Is it nobody's mistake that this file is on the way: pypcp's own code, Python's?"""
    path = Path(file)
    pythons = path.is_relative_to(_PYTHON) and _INSTALLED.isdisjoint(path.parts)
    return file.startswith("<") or pythons or path.is_relative_to(_PYPCP)


class Complaints:
    """What the log hears of the mistakes in an agent: of each at once, and then once in ``again_s`` seconds.

    Clients can have the same one made a hundred times a second.
    """

    def __init__(self, again_s: float = AGAIN_S) -> None:
        self._again_s = again_s
        self._told: dict[object, tuple[float, int]] = {}
        """By the place of a mistake: when the log heard of it last, and how often it was made since."""

    def tell(self, what: str, error: Exception) -> None:
        """``what`` met with ``error``, where it must not fail."""
        place = what, type(error), _raised_at(error)
        at, more = self._told.pop(place, (0.0, 0))
        now = time.monotonic()
        if at and now - at < self._again_s:
            self._told[place] = at, more + 1
            return
        if len(self._told) >= _MOST:
            del self._told[next(iter(self._told))]
        self._told[place] = now, 0
        again = f" ({more} times more since it was told last)" if more else ""
        log.error("%s: the agent's code failed%s: %s", what, again, error, exc_info=error)


def _raised_at(error: Exception) -> tuple[str, int] | None:
    at = error.__traceback__
    if at is None:
        return None
    while at.tb_next is not None:
        at = at.tb_next
    return at.tb_frame.f_code.co_filename, at.tb_lineno
