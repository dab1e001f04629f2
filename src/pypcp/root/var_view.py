"""A view of stock's ``PCP_VAR_DIR`` in which the helper's socket is ours.

Stock's agents look for the helper at ``$PCP_VAR_DIR/pmcd/root.socket`` and nowhere else. Where we serve another place,
because stock's own helper has that one, the agents that we start get a directory of links: all is stock's but that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Final

SUFFIX: Final = ".var"
_FOLDER, _SOCKET = "pmcd", "root.socket"


def place(socket: str) -> str:
    """Where the view for the helper at ``socket`` is."""
    return os.path.splitext(socket)[0] + SUFFIX


def build(stock: str, socket: str) -> str:
    """Make the view anew, or as far as stock's directory is there; where it is. ``OSError`` where it cannot be made."""
    view = place(socket)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(view)
    folder = os.path.join(view, _FOLDER)
    os.makedirs(folder, 0o755)
    _link(stock, view, _FOLDER)
    _link(os.path.join(stock, _FOLDER), folder, _SOCKET)
    os.symlink(socket, os.path.join(folder, _SOCKET))
    return view


def _link(stock: str, view: str, own: str) -> None:
    """Everything of one directory by links in the other, but what is our ``own``."""
    try:
        names = os.listdir(stock)
    except FileNotFoundError:
        return
    for name in names:
        if name != own:
            os.symlink(os.path.join(stock, name), os.path.join(view, name))
