"""Put the helper together: options, policy, socket; then the guard, which forks the starter, which forks the others.

And what the starter decides by signals, by the policy read anew and by the end of its daemon. What the others do is in
:mod:`pypcp.root.bodies`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import resource
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Final

from pypcp.root import confine
from pypcp.root.audit import AuditLog, open_log
from pypcp.root.bodies import WorkerBodies
from pypcp.root.configured import BadConfiguration
from pypcp.root.daemon_keeper import LABEL, DaemonKeeper
from pypcp.root.descriptors import is_pipe, take_wires
from pypcp.root.diary import GONE, Diary
from pypcp.root.ground import UntrustedGround, check
from pypcp.root.guard import PASSED_ON, Guard
from pypcp.root.listener import Occupied, listen, passed_by_systemd
from pypcp.root.loop import READ, Loop
from pypcp.root.monitor import ORPHAN_GRACE_S, Monitor
from pypcp.root.options import default_socket, parser, var_dir
from pypcp.root.peers import Household, account_ids, parent_identity
from pypcp.root.policy import Policy, load
from pypcp.root.starter import Started, Starter
from pypcp.root.var_view import build
from pypcp.root.workers import Workers

_LOOK_AGAIN_S: Final = 0.5
_DAEMON_LIMIT_S: Final = 10.0
"""What a daemon that we keep gets to end before we do."""


class Refusal(Exception):
    """The helper does not start; the text says why and what to do."""


class Helper:
    """What all processes of one helper are made of: decided once, before the first fork."""

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.owner = os.geteuid()
        if self.owner and not options.trust_environment:
            raise Refusal("must be run as root (--trust-environment tries it out as an ordinary user)")
        self.open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.pipe = not (options.foreground or options.daemon or "LISTEN_FDS" in os.environ) and is_pipe(0)
        self.parent = os.pidfd_open(os.getppid()) if self.pipe else -1
        self.policy = self._policy()
        self.household = Household(
            account_ids(self._served_accounts()), parent_identity(), unit=self.policy.control_unit, owner=self.owner
        )
        self.diary: Diary
        self.status = 0
        self.folder = self._agents_folder()
        self.stderr = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 3)  # the daemon's, if we keep one: its log is not ours
        _send_log_to(options.log or ("root.log" if self.pipe else None))
        self.audit = AuditLog(path=options.audit)
        self.bodies = WorkerBodies(
            self.policy,
            self.audit,
            self.owner,
            options.domain,
            expects_daemon=self.pipe or bool(options.daemon),
            require_sandbox=options.require_sandbox,
        )
        if options.trust_environment:
            self.audit.record("environment-trusted", warning="whoever can change this program can act as its user")
        self.listener = passed_by_systemd() or listen(options.socket, self._group(), self.owner)
        self.socket = os.path.abspath(self.listener.getsockname())
        self.agents_see = self._agents_view()

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

    def _agents_view(self) -> dict[str, str]:
        """What stock's agents are told, to find us where we are."""
        stock = var_dir()
        if self.socket == os.path.abspath(default_socket()) or not os.path.isdir(stock):
            return {}
        try:
            return {"PCP_VAR_DIR": build(os.path.abspath(stock), self.socket)}
        except OSError as error:
            self.audit.note("no-view", fault=f"{error.filename}: {error.strerror}; agents look for stock's helper")
            return {}

    def starter(self, diary: Diary) -> int:
        """The privileged process, until it is asked to end. Its exit status."""
        loop = Loop()
        self.diary = self.bodies.diary = diary
        starter = Starter(loop, self.audit, diary, self.folder, path_owner=self.owner)
        starter.open_files = self.open_files
        starter.told = self.agents_see
        confine.not_dumpable()
        workers = Workers(loop, self.audit, self.bodies, loop.stop, diary.left)
        doubts = self.bodies.doubts
        monitor = Monitor(loop, self.listener, self.household, self.policy, starter, workers, self.audit, diary, doubts)
        monitor.max_clients = min(monitor.max_clients, self.open_files[1] // 4)
        monitor.domain = self.options.domain
        monitor.converse = lambda: self._converse(workers)
        keeper = self._keeper(loop, diary, monitor)
        for note in diary.children.values():
            if note.label != LABEL:
                starter.adopt(note.number, note.owner, note.label)
        left = self._end_with_daemon(loop, monitor, starter) if self.pipe else lambda: None
        _hear_guard(loop, diary, starter, keeper, left)
        if self._is_outdated():
            self._reload(monitor)
        self._obey_signals(loop, monitor, workers, keeper)
        monitor.adopt()
        workers.start()
        if self.pipe and not diary.conversing:
            left()
        if keeper:
            _start_or_adopt(keeper, diary)
        self.audit.note("serving", socket=self.socket, policy=self.policy.source)
        self.audit.note("loaded", process="starter", modules=frozenset(sys.modules))
        loop.run()
        workers.stop()
        loop.close()
        return 1 if workers.refused else self.status

    def _keeper(self, loop: Loop, diary: Diary, monitor: Monitor) -> DaemonKeeper | None:
        """Whoever keeps the daemon that was given after ``--``, if one was."""
        if not self.options.daemon:
            return None

        def known(identity: int) -> None:
            monitor.household = monitor.household._replace(child=identity)

        account = self.options.daemon_account
        keeper = DaemonKeeper(loop, self.audit, diary, self.options.daemon, account, known, self.stderr)
        keeper.told = {"PMDA_ROOT_SOCKET": self.socket}

        def ended(code: int) -> None:
            self.status = code
            loop.stop()

        keeper.ended = ended
        return keeper

    def _obey_signals(self, loop: Loop, monitor: Monitor, workers: Workers, keeper: DaemonKeeper | None) -> None:
        wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in PASSED_ON:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)

        def obey(_: int) -> None:
            for number in os.read(wake, 4096):
                if number == signal.SIGHUP:
                    self._reload(monitor)
                    workers.renew()
                elif number == signal.SIGCHLD:
                    continue
                elif keeper:  # it has agents of ours to end first
                    loop.call_later(_DAEMON_LIMIT_S, loop.stop)
                    keeper.stop()
                else:
                    loop.stop()

        loop.watch(wake, READ, obey)

    def _is_outdated(self) -> bool:
        """Whether the policy is not the one we were all made with: a starter before us may have been told so."""
        try:
            return self._policy() != self.policy
        except (UntrustedGround, BadConfiguration, OSError):
            return True  # what is wrong, the reload says

    def _reload(self, monitor: Monitor) -> None:
        try:
            self.policy = self.bodies.policy = monitor.policy = self._policy()
        except (UntrustedGround, BadConfiguration, OSError) as fault:
            self.audit.record("policy-kept", fault=str(fault))
        else:
            accounts = account_ids(self._served_accounts())
            monitor.household = monitor.household._replace(accounts=accounts, unit=monitor.policy.control_unit)
            self._agents_view()
            self.audit.record("policy-loaded", source=monitor.policy.source)

    def _end_with_daemon(self, loop: Loop, monitor: Monitor, starter: Starter) -> Callable[[], None]:
        """The daemon that started us is dead: its agents have their time, then they are ended, and so are we. One
        that merely closed our pipe may want to speak with us again, for as long as it is connected or has agents.

        What to call when it closed the pipe.
        """

        def died(_: int) -> None:
            loop.forget(self.parent)
            starter.orphaned(self.household.parent, ORPHAN_GRACE_S)
            loop.call_later(3 * ORPHAN_GRACE_S, loop.stop)

        def leave_when_alone() -> None:
            if not (self.diary.conversing or monitor.controls or starter.count()):
                loop.stop()
            elif not self.diary.conversing:
                loop.call_later(_LOOK_AGAIN_S, leave_when_alone)

        loop.watch(self.parent, READ, died)
        return leave_when_alone

    def _converse(self, workers: Workers) -> Started:
        """Wires to the guard, which speaks with the daemon from now on. A resolver that was not started for that, or
        has spoken with another, is replaced."""
        try:
            requests, infd = os.pipe2(os.O_CLOEXEC)
            outfd, replies = os.pipe2(os.O_CLOEXEC)
        except OSError as error:
            return Started(-(error.errno or errno.EMFILE))
        self.diary.converse(requests, replies)
        os.close(requests)
        os.close(replies)
        if not self.bodies.listening:
            workers.renew()
        self.bodies.listening = False
        return Started(0, os.getppid(), infd, outfd)


def _start_or_adopt(keeper: DaemonKeeper, diary: Diary) -> None:
    """The daemon of a predecessor goes on; else there is a new one."""
    running = [note.number for note in diary.children.values() if note.label == LABEL]
    if running:
        keeper.adopt(running[-1])
    else:
        keeper.start()


def _hear_guard(
    loop: Loop, diary: Diary, starter: Starter, keeper: DaemonKeeper | None, left: Callable[[], None]
) -> None:
    """Children of a predecessor are reaped by the guard, which tells us; ``left``: the daemon closed the pipe."""

    def hear(_: int) -> None:
        note = diary.hear()
        if note is None:
            loop.stop()  # the guard was killed: we take its place
        elif note.kind != GONE:
            left()
        elif not (keeper and keeper.gone(note.number, note.status)):
            starter.ended(note.number, note.status)

    loop.watch(diary.channel.fileno(), READ, hear)


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
    return Guard(helper.starter, take_wires() if helper.pipe else None).run()
