"""Taking clients in: a few at a time, and those there is no descriptor for are told so and closed.

The event loops have servers of their own, but those take all who wait at once, and where descriptors run out they log a
traceback for each and stop for a second (asyncio), or close without a word (uvloop).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from pypcp.errors import ConnectionLimit
from pypcp.pmcd.descriptors import is_for_client
from pypcp.wire.handshake import Challenge
from pypcp.wire.pdu import encode

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
"""How many may wait to be taken in: whoever finds no room tries again a second later. The system has a limit too."""
_AT_ONCE: Final = 16
_PAUSE_S: Final = 0.1
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REFUSAL: Final = encode(Challenge(ConnectionLimit.code))


class Acceptor:
    """Makes a connection with ``factory`` for each client that comes to one of ``listeners``, until it is closed."""

    def __init__(self, listeners: Sequence[socket.socket], factory: Callable[[], asyncio.Protocol]) -> None:
        self._listeners = listeners
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[object]] = set()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._is_crowded = False
        self._is_paused = False
        for listener in listeners:
            listener.setblocking(False)
            listener.listen(BACKLOG)
            self._watch(listener)

    def close(self) -> None:
        """Take nobody any more, and close the listeners."""
        for pause in self._pauses.values():
            pause.cancel()
        for task in self._coming:
            task.cancel()
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()

    def _watch(self, listener: socket.socket) -> None:
        self._pauses.pop(listener, None)
        self._loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _ = listener.accept()
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._pause(listener, error)
                return  # nobody waits, or whoever did is gone
            self._is_paused = False
            self._take(client)

    def _take(self, client: socket.socket) -> None:
        crowded = not is_for_client(client.fileno())
        if crowded and not self._is_crowded:
            log.warning("no descriptor is left for more clients; those who come are told so")
        self._is_crowded = crowded
        client.setblocking(False)
        if crowded:
            with client, contextlib.suppress(OSError):
                client.send(_REFUSAL)
            return
        if client.family != socket.AF_UNIX:
            # asyncio does so only for sockets that were made with the protocol's number.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task: asyncio.Task[object] = self._loop.create_task(self._loop.connect_accepted_socket(self._factory, client))
        self._coming.add(task)
        task.add_done_callback(partial(self._came, client))

    def _came(self, client: socket.socket, task: asyncio.Task[object]) -> None:
        self._coming.discard(task)
        if task.cancelled():
            client.close()
        elif (error := task.exception()) is not None:
            client.close()
            log.warning("a client could not be let in: %s", error)

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        if not self._is_paused:
            log.warning("nobody can be let in now: %s; it is tried again every %g s", error.strerror, _PAUSE_S)
        self._is_paused = True
        self._loop.remove_reader(listener)
        self._pauses[listener] = self._loop.call_later(_PAUSE_S, self._watch, listener)
