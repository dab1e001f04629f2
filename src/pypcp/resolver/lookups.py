"""One request about a container in, one reply out; every fact is asked of the kernel at that moment."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from pypcp.errors import ContainerNotFound, RemoteProtocolError
from pypcp.resolver.container import Container
from pypcp.resolver.engine_task import Key, key_of
from pypcp.resolver.host_names import HostNames
from pypcp.resolver.processes import LiveProcess
from pypcp.resolver.snapshot import Ambiguous, Snapshot
from pypcp.wire.root import MAX_NAME, Kind, LookupReply, LookupRequest, decode

Reply = Callable[[LookupReply], None]


class LookUps:
    """Answers from the snapshot, and from the processes that are held."""

    def __init__(self, host_names: HostNames, note: Callable[..., None]) -> None:
        self.snapshot = Snapshot()
        self.live: dict[Key, LiveProcess] = {}
        self._host_names = host_names
        self._note = note

    def answer(self, frame: bytes, uid: int, reply: Reply) -> None:
        """Call ``reply`` once, now or later. ``RemoteProtocolError`` for what nobody may ask here."""
        request = decode(frame)
        if not isinstance(request, LookupRequest):
            raise RemoteProtocolError("not a look-up")
        if not request.name:
            return self._by_pid(request, uid, reply)
        process = self._find(request)
        if isinstance(process, int):
            return reply(LookupReply(request.kind + 1, process, request.pid))
        return _FACTS[request.kind](self, request, process, reply)

    def _find(self, request: LookupRequest) -> LiveProcess | int:
        """The held process of the container, or a negative code."""
        try:
            # stock's agents count the NUL at the end of a name, stock's pmcd does not
            container = self.snapshot.find(request.name.removesuffix(b"\0").decode())
        except UnicodeDecodeError:
            return ContainerNotFound.code
        except Ambiguous as tie:
            self._note("container-ambiguous", name=request.name, candidates=str(tie))
            return ContainerNotFound.code
        if container is None:
            return ContainerNotFound.code
        process = self.live.get(key_of(container))
        return process if process and process.alive() else -errno.ESRCH

    def _by_pid(self, request: LookupRequest, uid: int, reply: Reply) -> None:
        """The host name that any process sees: root alone may ask, since root alone could look anyway."""
        if uid != 0:
            return reply(LookupReply(request.kind + 1, -errno.EPERM, request.pid))
        try:
            pidfd = os.pidfd_open(request.pid)
        except (OSError, OverflowError):
            return reply(LookupReply(request.kind + 1, -errno.ENOENT, request.pid))
        try:
            self._host_names.ask(
                pidfd, lambda status, name: reply(LookupReply(request.kind + 1, status, request.pid, name))
            )
        finally:
            os.close(pidfd)
        return None

    def _host_name(self, request: LookupRequest, process: LiveProcess, reply: Reply) -> None:
        def done(status: int, name: bytes) -> None:
            if status == -errno.EINVAL:
                self._note("host-name-refused", container=request.name, reason="control characters")
            reply(LookupReply(request.kind + 1, status, process.pid, name))

        self._host_names.ask(process.pidfd, done)

    def _process_id(self, request: LookupRequest, process: LiveProcess, reply: Reply) -> None:
        reply(LookupReply(request.kind + 1, 0, process.pid))

    def _cgroup(self, request: LookupRequest, process: LiveProcess, reply: Reply) -> None:
        """Without its leading slash. One that has no control group of its own has none: never the whole host's."""
        path = process.own_cgroup().lstrip("/")
        if not path:
            status = -errno.ENOENT if process.alive() else -errno.ESRCH
            return reply(LookupReply(request.kind + 1, status, process.pid))
        if len(path) > MAX_NAME or not path.isascii() or not path.isprintable():
            return reply(LookupReply(request.kind + 1, -errno.ENOENT, process.pid))
        return reply(LookupReply(request.kind + 1, 0, process.pid, path.encode()))

    def facts(self, container: Container) -> LiveProcess | None:
        """The held process of a container, if it lives."""
        process = self.live.get(key_of(container))
        return process if process and process.alive() else None


_FACTS: dict[int, Callable[[LookUps, LookupRequest, LiveProcess, Reply], None]] = {
    Kind.HOSTNAME_REQUEST: LookUps._host_name,
    Kind.PROCESSID_REQUEST: LookUps._process_id,
    Kind.CGROUPNAME_REQUEST: LookUps._cgroup,
}
