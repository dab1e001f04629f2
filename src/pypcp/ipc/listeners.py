"""The sockets a daemon listens on: TCP by address and port, and one UNIX socket; or those that systemd passed in.

What somebody else serves is never taken over: the error names who has it. See: pmcd(1).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from pypcp.errors import BadArgument, OsError, PcpError
from pypcp.ipc.activation import passed_sockets
from pypcp.ipc.address import MAX_UNIX_PATH_BYTES
from pypcp.ipc.holders import holder_of_tcp_port, holder_of_unix_socket

BACKLOG: Final = 128
ANY_ADDRESS: Final = ("0.0.0.0", "::")

_LOCK_LIMIT_S: Final = 2.0
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_NOT_OURS: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


@dataclass
class Listeners:
    """Listening sockets and where they are; closing them removes the UNIX socket's file too.

    ``skipped`` says, a line each, which addresses this machine does not have.
    """

    sockets: list[socket.socket] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    _unix_file: tuple[Path, int] | None = None

    @classmethod
    def open(
        cls,
        *,
        addresses: Iterable[str] = ANY_ADDRESS,
        ports: Iterable[int] = (),
        unix_path: str | os.PathLike[str] | None = None,
        unix_mode: int = 0o666,
        backlog: int = BACKLOG,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Listen on every port of every address and on a UNIX socket, or on what systemd passed in instead.

        With port 0 the system chooses one, the same for all addresses. An address that this machine does not have is
        skipped as long as another one works. ``OsError`` (EADDRINUSE) says who has a port or socket and what to do.
        """
        listeners = cls()
        try:
            listeners.sockets += passed_sockets(environ)
            if not listeners.sockets:
                listeners._open_tcp(list(addresses), ports, backlog)
                if unix_path is not None:
                    listeners._open_unix(Path(unix_path), unix_mode, backlog)
        except BaseException:
            listeners.close()
            raise
        return listeners

    @property
    def ports(self) -> list[int]:
        """The TCP ports, each once."""
        inet = (socket.AF_INET, socket.AF_INET6)
        return list(dict.fromkeys(sock.getsockname()[1] for sock in self.sockets if sock.family in inet))

    def close(self) -> None:
        """Stop listening. The UNIX socket's file is removed if it is still the one made here."""
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()
        if self._unix_file is not None:
            path, inode = self._unix_file
            with contextlib.suppress(OSError):
                if path.lstat().st_ino == inode:
                    path.unlink()
            self._unix_file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open_tcp(self, addresses: list[str], ports: Iterable[int], backlog: int) -> None:
        for port in ports:
            opened = 0
            last: PcpError | None = None
            for address in addresses:
                try:
                    sock = listen_tcp(address, port, backlog)
                except OsError as error:
                    if -error.code not in _NOT_OURS:
                        raise
                    self.skipped.append(error.detail)
                    last = error
                else:
                    self.sockets.append(sock)
                    port, opened = sock.getsockname()[1], opened + 1
            if not opened and last is not None:
                raise last

    def _open_unix(self, path: Path, mode: int, backlog: int) -> None:
        self.sockets.append(listen_unix(path, mode, backlog))
        self._unix_file = path, path.lstat().st_ino


def listen_tcp(address: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """Listen on one numeric IPv4 or IPv6 address; an IPv6 socket takes no IPv4. Non-blocking.

    ``OsError`` with the system's reason; ``BadArgument`` for what is no address or port.
    """
    where = f"TCP port {port} on {address}"
    family, place = _resolve(address, port)
    with _closed_on_failure(family, where) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind(place)
            sock.listen(backlog)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise _taken(where, holder_of_tcp_port(address, port), "use another port") from error
    return sock


def _resolve(address: str, port: int) -> tuple[int, Any]:
    if not 0 <= port < 65536:
        raise BadArgument(f"{port} is no TCP port: 0 to 65535")
    try:
        # An interface may be part of an IPv6 address (fe80::1%eth0), which only the resolver understands.
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=_NUMERIC)[0]
    except socket.gaierror as error:
        raise BadArgument(f"{address!r} is no IPv4 or IPv6 address: {error.strerror}") from error
    return family, place


def listen_unix(path: str | os.PathLike[str], mode: int = 0o666, backlog: int = BACKLOG) -> socket.socket:
    """Listen on a UNIX socket; only users whom ``mode`` lets write can ever connect. Non-blocking.

    A file left behind by a daemon that is gone is replaced; a socket that somebody serves, or a file that is no
    socket, is an ``OsError`` (EADDRINUSE, EEXIST) and is left alone.
    """
    path = Path(path)
    where = f"the socket {path}"
    if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
        raise BadArgument(f"{where} has a path of more than {MAX_UNIX_PATH_BYTES} bytes: use a shorter one")
    with _closed_on_failure(socket.AF_UNIX, where) as sock, _locked(path.parent):
        _clear_way(path, where)
        # The file has its mode from its first moment; a daemon that starts has no other thread to disturb.
        before = os.umask(0o777 & ~mode)
        try:
            sock.bind(os.fspath(path))
        finally:
            os.umask(before)
        sock.listen(backlog)
    return sock


def _clear_way(path: Path, where: str) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise OsError(-errno.EEXIST, f"{path} is there and is no socket: remove it, or use another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # its queue is full: somebody is there
        raise _taken(where, holder_of_unix_socket(probe), "use another path")


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    # Of two daemons that start at once and both see a stale file, the second would remove the live socket of the
    # first. Anybody may hold this lock, so the wait for it is short.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _LOCK_LIMIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise OSError(errno.EAGAIN, f"another daemon is starting in {directory}") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _closed_on_failure(family: int, where: str) -> Iterator[socket.socket]:
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        yield sock
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise OsError(-(error.errno or errno.EIO), f"cannot listen on {where}: {error.strerror}") from error
        raise


def _taken(where: str, holder: str, instead: str) -> OsError:
    return OsError(-errno.EADDRINUSE, f"{where} is served by {holder}: stop that, or {instead}")
