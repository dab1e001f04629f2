"""The socket: bound where only root can have put it, with no moment at which others could reach it."""

from __future__ import annotations

import os
import socket
import stat

from pypcp.root.ground import check

BACKLOG = 128
_FIRST_PASSED_FD = 3


class Occupied(Exception):
    """Somebody serves there already."""


def passed_by_systemd() -> socket.socket | None:
    """The listening socket that systemd opened for us. See: sd_listen_fds(3)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    os.set_inheritable(_FIRST_PASSED_FD, False)
    return socket.socket(fileno=_FIRST_PASSED_FD)


def listen(path: str, group: int, owner: int = 0) -> socket.socket:
    """Bind and listen. :class:`Occupied` if a server answers there; a dead one's socket is replaced.

    The directory is made 0710 and the socket 0660 for ``group``; a directory that is there must be root's alone.
    """
    folder = os.path.dirname(path)
    _make_folder(folder, group, owner)
    check(folder, owner)
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        if owner == 0:
            os.chown(path, 0, group)
        os.chmod(path, 0o660)
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def _make_folder(folder: str, group: int, owner: int) -> None:
    if not os.path.isdir(folder):
        os.makedirs(folder, 0o710)
        if owner == 0:
            os.chown(folder, 0, group)


def _clear(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Occupied(f"{path} is in the way, and no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise Occupied(f"{path}: {error.strerror or error}") from None
    raise Occupied(f"{path}: another pmdaroot serves there")
