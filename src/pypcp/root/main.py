"""Put the helper together: options, policy, socket; then the guard, which forks the starter, which forks the others."""

from __future__ import annotations

import importlib
import mmap
import os
import pwd
import resource
import signal
import socket
import stat
import sys
from argparse import Namespace
from typing import Final, NoReturn

from pypcp.root import confine, landlock, namespaces, pcp_conf, seccomp
from pypcp.root.audit import AuditLog, open_log
from pypcp.root.configured import BadConfiguration
from pypcp.root.daemon_keeper import LABEL, DaemonKeeper
from pypcp.root.ground import UntrustedGround, check
from pypcp.root.guard import Diary, Guard
from pypcp.root.listener import Occupied, listen, passed_by_systemd
from pypcp.root.loop import HANGUP, READ, Loop
from pypcp.root.monitor import ORPHAN_GRACE_S, Monitor
from pypcp.root.options import parser
from pypcp.root.peers import Household, account_ids, parent_identity
from pypcp.root.policy import Policy, load
from pypcp.root.starter import Starter
from pypcp.root.workers import UNCONFINED, Workers

RESOLVER: Final = "pypcp.resolver.main"
"""Loaded in the resolver's process only, after its privileges are gone: the starter never sees this code."""

_NOBODY: Final = (65534, 65534)
_CONVERSATION_BYTES: Final = 8 << 20
_LOOK_AGAIN_S: Final = 0.1


class Refusal(Exception):
    """The helper does not start; the text says why and what to do."""


class Helper:
    """What all processes of one helper are made of: decided once, before the first fork."""

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.owner = os.geteuid()
        if self.owner and not options.trust_environment:
            raise Refusal("must be run as root (--trust-environment tries it out as an ordinary user)")
        self.pipe = not options.foreground and "LISTEN_FDS" not in os.environ and _is_pipe(0)
        self.policy = self._policy()
        self.household = Household(
            account_ids(self._served_accounts()), parent_identity(), unit=self.policy.control_unit, owner=self.owner
        )
        self.conversation = mmap.mmap(-1, _CONVERSATION_BYTES)  # shared: it outlives each of the processes
        self.renewals = memoryview(mmap.mmap(-1, 1))
        self.folder = self._agents_folder()
        _send_log_to(options.log or ("root.log" if self.pipe else None))
        self.audit = AuditLog(path=options.audit)
        if options.trust_environment:
            self.audit.record("environment-trusted", warning="whoever can change this program can act as its user")
        self.listener = passed_by_systemd() or listen(options.socket, self._group(), self.owner)

    def _policy(self) -> Policy:
        if self.options.policy:
            return load(os.path.abspath(self.options.policy), self.owner)
        configured = os.environ.get("PCP_PMCDCONF_PATH")
        policy = Policy(owner=self.owner)
        return policy._replace(agent_files=(configured,)) if configured else policy

    def _served_accounts(self) -> tuple[str, ...]:
        """Who may look up: the policy's accounts, and the daemon's own."""
        own = (self.options.daemon_account,) if self.options.daemon else ()
        return (*own, *self.policy.lookup_accounts)

    def _group(self) -> int:
        """The group that may reach the socket: the first served account's."""
        try:
            return pwd.getpwnam(self._served_accounts()[0]).pw_gid
        except (KeyError, IndexError):
            return 0 if self.owner == 0 else os.getegid()

    def _agents_folder(self) -> str:
        default = (
            "/var/log/pypcp/agents" if self.owner == 0 else os.path.join(os.path.dirname(self.options.socket), "agents")
        )
        folder = os.path.abspath(self.options.agents_folder or default)
        os.makedirs(folder, 0o755, exist_ok=True)
        return check(folder, self.owner)

    def complain(self, process: str, fault: str) -> None:
        """A confinement that cannot be had: in the log, and the end where the sandbox is required. (The audit file is
        the starter's alone, so this does not go there.)"""
        self.audit.note("not-confined", process=process, fault=fault)
        if self.options.require_sandbox:
            os._exit(UNCONFINED)

    # The processes.

    def starter(self, diary: Diary) -> int:
        """The privileged process, until it is asked to end. Its exit status."""
        loop = Loop()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        starter = Starter(loop, self.audit, diary, self.folder, path_owner=self.owner)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        confine.not_dumpable()
        workers = Workers(loop, self.audit, self, loop.stop)
        monitor = Monitor(loop, self.listener, self.household, self.policy, starter, workers, self.audit)
        monitor.max_clients = min(monitor.max_clients, hard // 4)
        keeper = self._keeper(loop, diary, monitor)
        for note in diary.children.values():
            if note.label != LABEL:
                starter.adopt(note.pid, note.owner, note.label)
        _hear_of_the_adopted(loop, diary, starter, keeper)
        self._obey_signals(loop, monitor, workers)
        if self.pipe:
            self._end_with_pipe(loop, monitor, starter)
        workers.start()
        if keeper:
            _start_or_adopt(keeper, diary)
        self.audit.note("serving", socket=self.options.socket, policy=self.policy.source)
        self.audit.note("loaded", process="starter", modules=frozenset(sys.modules))
        loop.run()
        workers.stop()
        if keeper:
            keeper.stop()
        return 1 if workers.refused else 0

    def _keeper(self, loop: Loop, diary: Diary, monitor: Monitor) -> DaemonKeeper | None:
        """Whoever keeps the daemon that was given after ``--``, if one was."""
        if not self.options.daemon:
            return None

        def known(identity: int) -> None:
            monitor.household = monitor.household._replace(child=identity)

        account = self.options.daemon_account
        keeper = DaemonKeeper(loop, self.audit, diary, self.options.daemon, account, known)
        keeper.ended = lambda code: loop.stop()
        return keeper

    def _obey_signals(self, loop: Loop, monitor: Monitor, workers: Workers) -> None:
        wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

        def obey(_: int) -> None:
            for number in os.read(wake, 4096):
                if number == signal.SIGHUP:
                    self._reload(monitor)
                    workers.renew()
                elif number != signal.SIGCHLD:
                    loop.stop()

        loop.watch(wake, READ, obey)

    def _reload(self, monitor: Monitor) -> None:
        try:
            self.policy = monitor.policy = self._policy()
        except (UntrustedGround, BadConfiguration, OSError) as fault:
            self.audit.record("policy-kept", fault=str(fault))
        else:
            accounts = account_ids(self._served_accounts())
            monitor.household = monitor.household._replace(accounts=accounts, unit=monitor.policy.control_unit)
            self.audit.record("policy-loaded", source=monitor.policy.source)

    def _end_with_pipe(self, loop: Loop, monitor: Monitor, starter: Starter) -> None:
        """The daemon closed our pipe: end, once it is alone, or its agents had their time."""

        def pipe_ended(_: int) -> None:
            loop.forget(0)
            starter.orphaned(self.household.parent, ORPHAN_GRACE_S)
            loop.call_later(3 * ORPHAN_GRACE_S, loop.stop)
            leave_when_alone()

        def leave_when_alone() -> None:
            if monitor.controls or starter.count():
                loop.call_later(_LOOK_AGAIN_S, leave_when_alone)
            else:
                loop.stop()

        loop.watch(0, HANGUP, pipe_ended)

    def reader(self, channel: socket.socket) -> NoReturn:
        """The name-space reader."""
        _keep_descriptors({2, channel.fileno()})
        namespaces.run(channel, _NOBODY if self.owner == 0 else None, lambda fault: self.complain("reader", fault))

    def resolver(self, link: socket.socket, reader: socket.socket) -> NoReturn:
        """The resolver: privileges go first, then its code is loaded, then the doors close behind it."""
        _keep_descriptors({2, link.fileno(), reader.fileno(), *((0, 1) if self.pipe else ())})
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        sockets = [(engine, path, self._group_of(path)) for engine, path in self.policy.engine_sockets]
        if self.owner == 0:
            confine.drop_to(*_NOBODY, ["DAC_READ_SEARCH"], {group for *_, group in sockets if group >= 0})
        else:
            confine.no_new_privileges()
        for name, value in pcp_conf.read(os.environ.get("PCP_CONF", "/etc/pcp.conf"), self.owner).items():
            os.environ.setdefault(name, value)
        body = importlib.import_module(RESOLVER)
        body.run(
            Loop(),
            link,
            reader,
            pipe=(0, 1) if self.pipe else None,
            memory=self.conversation,
            domain=self.options.domain,
            seal=self.seal_resolver,
            renewals=self.renewals,
            sockets=sockets,
            note=self.audit.note,
        )
        os._exit(0)

    def _group_of(self, path: str) -> int:
        """Whom an engine's socket lets in beside its owner, -1 where there is none yet."""
        try:
            status = os.stat(path)
        except OSError:
            return -1
        if not status.st_mode & stat.S_IWGRP:
            self.audit.note("engine-socket-closed", path=path, reason="its group may not write to it")
        return status.st_gid

    def seal_resolver(self, readable: list[str | int]) -> str:
        """Confine the resolver to these directories and to harmless calls; what is in force, in words."""
        in_force = []
        try:
            in_force.append(f"landlock {landlock.restrict(readable)}")
        except confine.NotConfined as fault:
            self.complain("resolver", str(fault))
        try:
            asking = seccomp.ENGINE_SOCKETS if self.policy.engine_sockets else []
            seccomp.restrict([*seccomp.RESOLVER, *asking], deadly=False)
            in_force.append("seccomp")
        except confine.NotConfined as fault:
            self.complain("resolver", str(fault))
        return ", ".join(in_force) or "nothing"


def _start_or_adopt(keeper: DaemonKeeper, diary: Diary) -> None:
    """The daemon of a predecessor goes on; else there is a new one."""
    running = [note.pid for note in diary.children.values() if note.label == LABEL]
    if running:
        keeper.adopt(running[-1])
    else:
        keeper.start()


def _hear_of_the_adopted(loop: Loop, diary: Diary, starter: Starter, keeper: DaemonKeeper | None) -> None:
    """Children of a predecessor are reaped by the guard, which tells us."""

    def hear(_: int) -> None:
        ended = diary.gone()
        if ended is None:
            loop.forget(diary.channel.fileno())
        elif not (keeper and keeper.gone(*ended)):
            starter.ended(*ended)

    loop.watch(diary.channel.fileno(), READ, hear)


def _keep_descriptors(kept: set[int]) -> None:
    """Close every other descriptor. What else we inherited of objects is never touched again in this process."""
    previous = -1
    for fd in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
        if previous + 1 < fd:  # an empty range is taken for an endless one
            os.closerange(previous + 1, fd)
        previous = fd
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for fd in {0, 1} - kept:
        os.dup2(null, fd)


def _is_pipe(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _send_log_to(path: str | None) -> None:
    if path is None:
        return
    try:
        log = open_log(path)
    except OSError as error:
        print(f"pmdaroot: log {path}: {error.strerror}; standard error is used", file=sys.stderr)
        return
    os.dup2(log, 2)
    os.close(log)


def main(argv: list[str]) -> int:
    """Run the helper, or a policy command. Exit status as a program's."""
    options = parser().parse_args(argv)
    try:
        helper = Helper(options)
    except (Refusal, UntrustedGround, BadConfiguration, Occupied) as fault:
        print(f"pmdaroot: {fault}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"pmdaroot: {error.filename or options.socket}: {error.strerror}", file=sys.stderr)
        return 1
    return Guard(helper.starter).run()
