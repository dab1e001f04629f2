"""The resolver at work: engines in threads, one loop for everybody who asks, and a watch over what changes."""

from __future__ import annotations

import mmap
import os
import socket
import threading
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import NoReturn

from pypcp.errors import RemoteProtocolError
from pypcp.resolver.clients import Client, Loop
from pypcp.resolver.container import Container
from pypcp.resolver.engine_task import EngineTask, Findings, Key, key_of
from pypcp.resolver.engines import Engine
from pypcp.resolver.ground_watch import Ground
from pypcp.resolver.host_names import HostNames
from pypcp.resolver.inotify import Inotify
from pypcp.resolver.lookups import LookUps
from pypcp.resolver.processes import LiveProcess
from pypcp.resolver.renewals import Renewals
from pypcp.resolver.snapshot import Snapshot
from pypcp.wire.root import MAX_LINK_PACKET, LinkKind, LinkPacket, LookupReply, decode_link, encode, encode_link

NEW_GROUND = 75
"""Exit status that asks the starter for a successor at once: there is state that our confinement shuts us out from."""
RESTART_S = 1.0
"""After a fault of ours in an engine's thread."""
FIRST_LOOK_S = 1.0
"""An engine whose first scan takes longer does not hold up the others."""
_READ = 1
_FD_BYTES = 4


class Resolver:
    """Everything but the engines runs in one thread; what they find comes in by a queue."""

    def __init__(
        self,
        loop: Loop,
        link: socket.socket,
        reader: socket.socket,
        engines: list[tuple[Engine, Ground]],
        note: Callable[..., None],
        confined: str,
        renewals: Renewals,
        doubts: mmap.mmap,
    ) -> None:
        self._loop = loop
        self._doubts = doubts
        self._link = link
        self._note = note
        self._renewals = renewals
        self._host_names = HostNames(loop, reader)
        self.look_ups = LookUps(self._host_names, note)
        self._inotify = Inotify()
        self.tasks = [EngineTask(engine, ground, self._inotify, self._deliver) for engine, ground in engines]
        self._findings = {task: Findings([], {}) for task in self.tasks}
        self._delivered: list[tuple[EngineTask, Findings | None]] = []
        self._lock = threading.Lock()
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._outgrown: set[EngineTask] = set()
        self._confined = confined
        self._unseen = set(self.tasks)

    def start(self, serve: Callable[[], None]) -> None:
        """Begin to watch and to scan; serve, and call ``serve``, once every engine was looked at or took too long."""
        self._loop.watch(self._wake, _READ, lambda _: self._take_findings())
        self._loop.watch(self._inotify.fileno(), _READ, lambda _: self._hear_changes())
        for task in self.tasks:
            task.start()
        self._serve: Callable[[], None] | None = serve
        self._loop.call_later(FIRST_LOOK_S, self._open)

    def close(self) -> None:
        """Scan no more, and let go of every descriptor of our own (the process itself just ends, see :func:`leave`)."""
        for task in self.tasks:
            task.stop()
        for fd in (self._wake, self._inotify.fileno()):
            self._loop.forget(fd)
        for fd in (self._wake, self._waker):
            os.close(fd)
        self._inotify.close()

    def _open(self) -> None:
        """Whoever has waited since before is heard now: nobody is told that what was not looked at does not exist."""
        serve, self._serve = self._serve, None
        if serve is None:
            return
        self._link.setblocking(False)
        self._loop.watch(self._link.fileno(), _READ, lambda _: self._hear_starter())
        self._tell(LinkPacket(LinkKind.READY, os.getpid(), self._confined.encode()))
        serve()

    def containers(self) -> list[tuple[Container, LiveProcess | None]]:
        """Every container, and the process held for it if it lives."""
        return [(container, self.look_ups.facts(container)) for container in self.look_ups.snapshot.containers]

    # The starter.

    def _hear_starter(self) -> None:
        while True:
            try:
                raw, descriptors, _, _ = socket.recv_fds(self._link, MAX_LINK_PACKET, 1)
            except BlockingIOError:
                return
            except OSError:
                raw, descriptors = b"", []
            if not raw:
                leave(0)  # the starter is gone, and a resolver without one serves nobody
            self._obey(decode_link(raw), descriptors[0] if descriptors else None)

    def _obey(self, packet: LinkPacket, descriptor: int | None) -> None:
        if packet.kind == LinkKind.RELAY:
            self._relay(packet)
        elif descriptor is None:
            self._note("link-misused", kind=packet.kind)
        elif packet.kind == LinkKind.HANDOVER:
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            uid = int.from_bytes(packet.payload, "little")
            Client(self._loop, connection, uid, self.look_ups, self._note, partial(self._doubt, packet.ticket))
        else:
            self._host_names.connect(socket.socket(fileno=descriptor))

    def _doubt(self, ticket: int, doubt: bool) -> None:
        """Remember that a reply may be on its way, for the starter, which then ends that connection if we die."""
        self._doubts[ticket % len(self._doubts)] = doubt

    def _relay(self, packet: LinkPacket) -> None:
        """A question of a client that the starter keeps: root's daemon."""

        def reply(answer: LookupReply) -> None:
            self._tell(LinkPacket(LinkKind.RELAY, packet.ticket, encode(answer)))

        try:
            self.look_ups.answer(packet.payload[4:], int.from_bytes(packet.payload[:4], "little"), reply)
        except RemoteProtocolError as fault:
            self._note("relay-refused", reason=fault.detail)

    def _tell(self, packet: LinkPacket) -> None:
        try:
            self._link.send(encode_link(packet))
        except OSError:
            leave(0)

    # The engines.

    def _deliver(self, task: EngineTask, findings: Findings | None) -> None:
        """In the engine's thread."""
        with self._lock:
            self._delivered.append((task, findings))
        try:
            os.write(self._waker, b".")
        except BlockingIOError:
            return  # a wake-up is due already

    def _take_findings(self) -> None:
        os.read(self._wake, 4096)
        with self._lock:
            delivered, self._delivered = self._delivered, []
        changed = [self._take(task, findings) for task, findings in delivered]
        if any(changed):
            self._publish()
        self._unseen -= {task for task, _ in delivered}
        if not self._unseen:
            self._open()
        self._forget_folders()

    def _take(self, task: EngineTask, findings: Findings | None) -> bool:
        """Whether something changed by it. A thread that failed begins anew, and its last findings hold until then."""
        if findings is None:
            self._note("engine-failed", engine=task.engine.name, again_s=RESTART_S)
            self._loop.call_later(RESTART_S, partial(self._restart, task))
            return False
        before = self._findings[task]
        self._findings[task] = findings
        self._exchange(task, before.live, findings.live)
        if findings.outgrown:
            self._renew_for(task)
        return before.containers != findings.containers or before.live != findings.live

    def _restart(self, task: EngineTask) -> None:
        task.start()

    def _exchange(self, task: EngineTask, before: dict[Key, LiveProcess], after: dict[Key, LiveProcess]) -> None:
        """Hold the processes that are new, let go of those that are no more."""
        kept = set(map(id, after.values()))
        for process in before.values():
            if id(process) not in kept:
                self._loop.forget(process.pidfd)
                process.close()
        old = set(map(id, before.values()))
        for process in after.values():
            if id(process) not in old:
                self._loop.watch(process.pidfd, _READ, partial(self._ended, task, process.pidfd))

    def _ended(self, task: EngineTask, pidfd: int, _: int) -> None:
        """A container's first process ended: its engine will have something to say about that."""
        self._loop.forget(pidfd)
        task.look_again()

    def _publish(self) -> None:
        self.look_ups.snapshot = Snapshot(once(findings.containers for findings in self._findings.values()))
        self.look_ups.live = {
            key: process for findings in self._findings.values() for key, process in findings.live.items()
        }

    # Changes.

    def _forget_folders(self) -> None:
        """The threads watch what they want; what none wants any more is forgotten here."""
        watched = self._inotify.watched
        for folder in watched.difference(*(task.folders | task.neighbourhood for task in self.tasks)):
            self._inotify.forget(folder)

    def _hear_changes(self) -> None:
        changed = self._inotify.changed()
        for task in self.tasks:
            if changed is None or changed & task.folders:
                task.look_again()
            elif changed & task.neighbourhood:
                task.look_later()

    def _renew_for(self, task: EngineTask) -> None:
        """Ask for a successor that may read what is new, though not too soon."""
        if task not in self._outgrown:
            self._outgrown.add(task)
            self._loop.call_later(self._renewals.wait_s(task.engine.owner), partial(self._renew_if_still, task))

    def _renew_if_still(self, task: EngineTask) -> None:
        self._outgrown.discard(task)
        if self._findings[task].outgrown:
            self._renewals.count()
            leave(NEW_GROUND)


def once(lists: Iterable[list[Container]]) -> Iterable[Container]:
    """Each container once: an engine's socket tells again what its files do, and counts if it alone has a process."""
    known: dict[Key, Container] = {}
    for container in chain.from_iterable(lists):
        key = key_of(container)
        if key not in known or (container.pid and not known[key].pid):
            known[key] = container
    return known.values()


def leave(status: int) -> NoReturn:
    """End the process, whatever its threads are doing."""
    os._exit(status)
