"""What the processes beside the starter do: the resolver and the name-space reader, from their fork to their end."""

from __future__ import annotations

import importlib
import mmap
import os
import signal
import socket
import stat
from typing import Final, NoReturn

from pypcp.root import confine, landlock, namespaces, pcp_conf, seccomp
from pypcp.root.audit import AuditLog
from pypcp.root.descriptors import keep_descriptors
from pypcp.root.diary import Diary
from pypcp.root.guard import PASSED_ON
from pypcp.root.loop import Loop
from pypcp.root.policy import Policy
from pypcp.root.workers import UNCONFINED

RESOLVER: Final = "pypcp.resolver.main"
"""Loaded in the resolver's process only, after its privileges are gone: the starter never sees this code."""

_NOBODY: Final = (65534, 65534)
_CONVERSATION_BYTES: Final = 2 << 20
_DOUBTS: Final = 1 << 16


class WorkerBodies:
    """The :class:`pypcp.root.workers.Bodies` of one helper, made before its first fork.

    ``expects_daemon``: one may come to converse. ``policy`` is the one in force, ``diary`` that of this starter;
    ``listening``: the resolver waits for a conversation to begin.
    """

    diary: Diary

    def __init__(
        self, policy: Policy, audit: AuditLog, owner: int, domain: int, *, expects_daemon: bool, require_sandbox: bool
    ) -> None:
        self.policy = policy
        self.listening = False
        self._audit = audit
        self._owner = owner
        self._domain = domain
        self._expects_daemon = expects_daemon
        self._require_sandbox = require_sandbox
        # Shared: these outlive each of the processes.
        self._conversation = mmap.mmap(-1, _CONVERSATION_BYTES)
        self.doubts = mmap.mmap(-1, _DOUBTS)
        self._renewals = memoryview(mmap.mmap(-1, 1))

    # In the starter

    def in_doubt(self, ticket: int) -> bool:
        """Whether a resolver died when this client's reply was sent, or was not."""
        at = ticket % _DOUBTS
        doubt, self.doubts[at] = self.doubts[at], 0
        return bool(doubt)

    def voice(self) -> socket.socket | None:
        """A stream to the guard, for a resolver that answers a daemon, or will; None where none is to be expected."""
        if not (self.diary.conversing or self._expects_daemon):
            return None
        self.listening = not self.diary.conversing
        ours, theirs = socket.socketpair()
        with theirs:
            self.diary.answered_by(theirs)
        return ours

    # In processes of their own

    def reader(self, channel: socket.socket) -> NoReturn:
        """The name-space reader."""
        keep_descriptors({2, channel.fileno()})
        _ignore_signals()
        account = _NOBODY if self._owner == 0 else None
        namespaces.run(channel, account, lambda fault: self._complain("reader", fault))

    def resolver(self, link: socket.socket, reader: socket.socket, voice: socket.socket | None) -> NoReturn:
        """The resolver: privileges go first, then its code is loaded, then the doors close behind it."""
        keep_descriptors({2, link.fileno(), reader.fileno(), *([voice.fileno()] if voice else [])})
        _ignore_signals()
        sockets = [(engine, path, self._group_of(path)) for engine, path in self.policy.engine_sockets]
        if self._owner == 0:
            confine.drop_to(*_NOBODY, ["DAC_READ_SEARCH"], {group for *_, group in sockets if group >= 0})
        else:
            confine.no_new_privileges()
        for name, value in pcp_conf.read(os.environ.get("PCP_CONF", "/etc/pcp.conf"), self._owner).items():
            os.environ.setdefault(name, value)
        body = importlib.import_module(RESOLVER)
        body.run(
            Loop(),
            link,
            reader,
            voice=voice,
            memory=self._conversation,
            doubts=self.doubts,
            domain=self._domain,
            seal=self._seal_resolver,
            renewals=self._renewals,
            sockets=sockets,
            note=self._audit.note,
        )
        os._exit(0)

    def _group_of(self, path: str) -> int:
        """Whom an engine's socket lets in beside its owner, -1 where there is none yet."""
        try:
            status = os.stat(path)
        except OSError:
            return -1
        if not status.st_mode & stat.S_IWGRP:
            self._audit.note("engine-socket-closed", path=path, reason="its group may not write to it")
        return status.st_gid

    def _seal_resolver(self, readable: list[str | int]) -> str:
        """Confine the resolver to these directories and to harmless calls; what is in force, in words."""
        in_force = []
        try:
            in_force.append(f"landlock {landlock.restrict(readable)}")
        except confine.NotConfined as fault:
            self._complain("resolver", str(fault))
        try:
            asking = seccomp.ENGINE_SOCKETS if self.policy.engine_sockets else []
            seccomp.restrict([*seccomp.RESOLVER, *asking], deadly=False)
            in_force.append("seccomp")
        except confine.NotConfined as fault:
            self._complain("resolver", str(fault))
        return ", ".join(in_force) or "nothing"

    def _complain(self, process: str, fault: str) -> None:
        """A confinement that cannot be had: in the log, and the end where the sandbox is required. (The audit file is
        the starter's alone, so this does not go there.)"""
        self._audit.note("not-confined", process=process, fault=fault)
        if self._require_sandbox:
            os._exit(UNCONFINED)


def _ignore_signals() -> None:
    """What a terminal or an operator has to say is said to the guard: a worker ends with its starter."""
    signal.set_wakeup_fd(-1)
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_IGN)
