"""Where an author's mistake is, in one line: what the machinery around his file has to do with it says nothing."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from pypcp.errors import PcpError

_PYPCP: Final = Path(__file__).parents[1]
_PYTHON: Final = Path(sysconfig.get_path("stdlib"))
_INSTALLED: Final = {"site-packages", "dist-packages"}


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
