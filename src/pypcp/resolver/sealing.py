"""Open every engine's directories before the doors are closed, without waiting for any that hangs.

Landlock wants the directories themselves, and binds the threads that are started after it. So the opening, which a dead
file system can hold up for ever, is done by a child; what it has not sent in time stays shut until the next resolver.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

from pypcp.resolver.roots import Identity, Root, identity, open_root

OPENING_LIMIT_S = 1.0
_GRACE_S = 0.5
_PACKET_BYTES = 256


class Opened(NamedTuple):
    """The directories that may be read from now on."""

    descriptors: list[int]
    identities: dict[Root, Identity]
    late: list[int]
    """Which of the engines were not through in time."""


def open_in_time(wanted: Sequence[Sequence[Root]], limit_s: float = OPENING_LIMIT_S) -> Opened:
    """Each engine's directories, as far as they exist and answer within ``limit_s``. To be called before any thread."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a child that hangs
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        _open_all(theirs, wanted, limit_s)
    theirs.close()
    opened = Opened([], {}, [])
    unfinished = set(range(len(wanted)))
    with ours:
        for engine, which, found, descriptors in _packets(ours, limit_s):
            opened.descriptors.extend(descriptors)
            if which < 0:
                unfinished.discard(engine)
            else:
                opened.identities[wanted[engine][which]] = found
            if not unfinished:
                break
    opened.late.extend(sorted(unfinished))
    return opened


def _packets(channel: socket.socket, limit_s: float) -> Iterator[tuple[int, int, Identity, list[int]]]:
    end = time.monotonic() + limit_s
    while (left_s := end - time.monotonic()) > 0:
        channel.settimeout(left_s)
        try:
            raw, descriptors, _, _ = socket.recv_fds(channel, _PACKET_BYTES, 1)
        except TimeoutError:
            return
        if not raw:
            return
        engine, which, *found = json.loads(raw)
        yield engine, which, (found[0], found[1]), descriptors


def _open_all(channel: socket.socket, wanted: Sequence[Sequence[Root]], limit_s: float) -> NoReturn:
    """In the child: one thread for each engine, and an end in any case."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit_s + _GRACE_S)
    try:
        threads = [
            threading.Thread(target=_open_each, args=(channel, engine, roots), daemon=True)
            for engine, roots in enumerate(wanted)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os._exit(0)


def _open_each(channel: socket.socket, engine: int, roots: Sequence[Root]) -> None:
    for which, root in enumerate(roots):
        try:
            descriptor = open_root(root)
        except OSError:
            continue
        with contextlib.suppress(OSError):  # of a file system that died
            packet = json.dumps([engine, which, *identity(descriptor)]).encode()
            socket.send_fds(channel, [packet], [descriptor])
        os.close(descriptor)
    channel.send(json.dumps([engine, -1, 0, 0]).encode())
