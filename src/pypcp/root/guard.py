"""The guard: waits beside the starter, and brings it back should it be killed, with its children and clients.

Orphans of the starter become the guard's children (it is their subreaper), so that agents live on; it reaps them and
tells the new starter. It keeps a descriptor of each client, which the new starter inherits, and it leads the
conversation with the daemon, so that no reply is lost or sent twice whoever else dies. Should the guard itself be
killed, the starter takes its place. It looks at nothing that comes from outside the helper, but for lengths.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

from pypcp.root.children import CRASHED
from pypcp.root.confine import adopt_orphans, not_dumpable
from pypcp.root.conversation import Conversation, Ended
from pypcp.root.descriptors import close_others, open_descriptors
from pypcp.root.diary import BORN, CAME, DIED, GONE, LEFT, OVER, VOICE, WIRES, Diary, Kept, Note, channel, hear, tell
from pypcp.root.peers import parent_of

PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""To the starter, which is forked with these blocked: it has no handlers of its own yet."""

_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.1, 30.0


class Guard:
    """``starter`` is the body of the guarded process; it gets a :class:`Diary` and returns its exit status.

    ``wires`` are the daemon's requests and our replies, where a daemon started us.
    """

    def __init__(self, starter: Callable[[Diary], int], wires: tuple[int, int] | None = None) -> None:
        self._body = starter
        self._children: dict[int, Note] = {}
        self._clients: dict[int, Kept] = {}
        self._conversation = Conversation(*wires) if wires else None
        self._unused: socket.socket | None = None
        """Of a resolver that is ready to answer, should a daemon ask."""
        self._channel: socket.socket
        self._wakes: tuple[int, ...] = ()
        self._pid = 0
        self._signals: list[int] = []
        """Not yet passed on: only between two looks at who ended is the starter's number surely still its own."""
        self._ending = False

    @classmethod
    def succeeding(cls, starter: Callable[[Diary], int], diary: Diary) -> Guard:
        """A guard in the place of one that was killed, by the starter that was left alone."""
        guard = cls(starter)
        guard._children = {pid: note for pid, note in diary.children.items() if _is_ours(pid)}
        guard._clients = diary.clients
        diary.channel.close()
        return guard

    def run(self) -> int:
        """Until the starter ends of its own will, or we are asked to end; its exit status."""
        adopt_orphans()
        not_dumpable()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._wakes = wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        for number in PASSED_ON:
            signal.signal(number, self._asked)
        delay_s = _FIRST_DELAY_S
        while True:
            born = time.monotonic()
            self._fork()
            status = self._watch(wake)
            code = os.waitstatus_to_exitcode(status)
            if code not in (CRASHED, *(-number for number in signal.valid_signals())):
                return code
            delay_s = _FIRST_DELAY_S if time.monotonic() - born > 10 else min(2 * delay_s, _LONGEST_DELAY_S)
            self._pause(wake, delay_s)
            if self._ending:
                return 0

    def _pause(self, wake: int, delay_s: float) -> None:
        """Until the next attempt is due, or we are asked to end."""
        end = time.monotonic() + delay_s
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        while not self._ending and (rest_s := end - time.monotonic()) > 0:
            if poll.poll(rest_s * 1000):
                os.read(wake, 4096)

    def _asked(self, number: int, _frame: object) -> None:
        self._ending = self._ending or number in (signal.SIGTERM, signal.SIGINT)
        self._signals.append(number)

    def _pass_on(self) -> None:
        while self._signals:
            os.kill(self._pid, self._signals.pop(0))

    def _fork(self) -> None:
        ours, theirs = channel()
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._be_starter(theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        theirs.close()
        self._channel, self._pid = ours, pid

    def _be_starter(self, end: socket.socket) -> None:
        """In the child: the rest of its life."""
        signal.set_wakeup_fd(-1)
        for fd in self._wakes:
            os.close(fd)
        code = CRASHED
        try:
            diary = Diary(end, self._children, self._clients, conversing=self._conversation is not None)
            for held in (self._conversation, self._unused):
                if held is not None:
                    held.close()
            before = open_descriptors()
            code = self._body(diary)
            if diary.alone:
                signal.set_wakeup_fd(-1)  # or children that end now would be told to a number that is closed
                close_others(before | {client.connection.fileno() for client in diary.clients.values()})
                code = Guard.succeeding(self._body, diary).run()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            raise
        finally:
            os._exit(code)

    def _watch(self, wake: int) -> int:
        """Remember what the starter says and carry the daemon's requests, until the starter ends; its wait status."""
        heard = True
        while (status := self._reap()) is None:  # whoever ended before this waits to be reaped, and wakes nobody
            self._pass_on()
            for fd, events in self._poll(wake, heard):
                if fd == wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake, 4096)
                elif fd == self._channel.fileno():
                    heard = self._listen()
                else:
                    self._converse(fd, events)
        self._listen()
        self._channel.close()
        return status

    def _poll(self, wake: int, heard: bool) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        if heard:
            poll.register(self._channel, select.POLLIN)
        if self._conversation is not None:
            for fd, events in self._conversation.interests().items():
                poll.register(fd, events)
        return poll.poll()

    def _converse(self, fd: int, events: int) -> None:
        if self._conversation is None or fd not in self._conversation.interests():
            return  # an earlier event of this round ended that
        try:
            self._conversation.ready(fd, events)
        except Ended:
            self._conversation.close()
            self._conversation = None
            tell(self._channel, Note(OVER))

    # The starter.

    def _listen(self) -> bool:
        """Take what the starter says; False at its end."""
        while True:
            try:
                heard = hear(self._channel)
            except BlockingIOError:
                return True
            if heard is None:
                return False
            self._take(*heard)

    def _take(self, note: Note, descriptors: list[int]) -> None:
        if note.kind == BORN:
            self._children[note.number] = note
        elif note.kind == DIED:
            self._children.pop(note.number, None)
        elif note.kind == CAME and descriptors:
            connection = socket.socket(fileno=descriptors[0])
            self._clients[note.number] = Kept(connection, note.status, int(note.label), note.owner)
        elif note.kind == LEFT and note.number in self._clients:
            self._clients.pop(note.number).connection.close()
        elif note.kind == VOICE and descriptors:
            self._connect(socket.socket(fileno=descriptors[0]))
        elif note.kind == WIRES and len(descriptors) == 2:
            if self._conversation is not None:
                self._conversation.close()
            self._conversation = Conversation(*descriptors)
            if self._unused is not None:
                self._conversation.connect(self._unused)
                self._unused = None

    def _connect(self, voice: socket.socket) -> None:
        if self._conversation is not None:
            self._conversation.connect(voice)
            return
        if self._unused is not None:
            self._unused.close()
        self._unused = voice

    def _reap(self) -> int | None:
        """Reap whoever ended: the starter's status, if it was the starter; others are told to it."""
        found = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if not pid:
                return found
            if pid == self._pid:
                found, self._pid = status, 0
            elif self._children.pop(pid, None):  # a dead starter's successor has no use for this child
                tell(self._channel, Note(GONE, pid, status))


def _is_ours(pid: int) -> bool:
    try:
        return parent_of(pid) == os.getpid()
    except OSError:
        return False
