"""The link to the resolver: when the kernel has no room for what is to be sent, and when the resolver dies."""

import os
import resource
import socket
import time
from typing import NoReturn

import pytest

from pypcp.root import workers as of_workers
from pypcp.root.audit import AuditLog
from pypcp.root.children import spawn
from pypcp.root.loop import Loop
from pypcp.root.workers import Workers
from pypcp.wire.root import Kind, LinkKind, LinkPacket, LookupReply, decode_link, encode, encode_link
from waiting import LIMIT_S

CLIENTS, IN_FLIGHT = 40, 10
NOBODY = 65534


class Bodies:
    """A resolver that takes what it is handed, but not at once, and says when it has everything."""

    def __init__(self, go_on: int, done: int) -> None:
        self.go_on = go_on
        self.done = done

    def reader(self, channel: socket.socket) -> NoReturn:
        channel.recv(1)
        os._exit(0)

    def in_doubt(self, ticket: int) -> bool:
        return False

    def voice(self) -> socket.socket | None:
        return None

    def resolver(self, link: socket.socket, reader: socket.socket, voice: socket.socket | None) -> NoReturn:
        os.read(self.go_on, 1)
        for _ in range(CLIENTS):
            _, descriptors, _, _ = socket.recv_fds(link, 5000, 2)
            assert len(descriptors) == 1
            os.close(descriptors[0])
        os.write(self.done, b".")
        link.recv(1)
        os._exit(0)


class DiesOnce(Bodies):
    """A resolver that dies of what it is asked first; its successor answers."""

    def resolver(self, link: socket.socket, reader: socket.socket, voice: socket.socket | None) -> NoReturn:
        asked = decode_link(link.recv(5000))
        if os.read(self.go_on, 1) == DIE:
            os._exit(1)
        link.send(encode_link(LinkPacket(LinkKind.RELAY, asked.ticket, encode(ANSWER))))
        link.recv(1)
        os._exit(0)


ANSWER = LookupReply(Kind.PROCESSID, 0, 7)
DIE, LIVE = b"1", b"2"


def ask_one_that_dies() -> NoReturn:
    loop = Loop()
    go_on, go = os.pipe()
    os.write(go, DIE + LIVE)
    workers = Workers(loop, AuditLog(), DiesOnce(go_on, -1), loop.stop, lambda ticket: None)
    answers: list[LookupReply | None] = []

    def answered(reply: LookupReply | None) -> None:
        answers.append(reply)
        loop.stop()

    workers.start()
    workers.relay(0, b"", answered)
    loop.call_later(LIMIT_S, loop.stop)
    loop.run()
    workers.stop()
    os._exit(answers != [ANSWER])


def hand_over_more_than_the_kernel_lets_fly() -> NoReturn:
    """As an ordinary account, which may have no more descriptors on their way than it may have open."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    loop = Loop()
    (go_on, go), (finished, done) = os.pipe(), os.pipe()
    workers = Workers(loop, AuditLog(), Bodies(go_on, done), loop.stop, lambda ticket: None)
    workers.start()
    try:
        _hand_over(loop, workers, go, finished)
    finally:
        workers.stop()
    os._exit(0)


def _hand_over(loop: Loop, workers: Workers, go: int, finished: int) -> None:
    pairs = [socket.socketpair() for _ in range(CLIENTS)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (IN_FLIGHT, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    for ticket, (client, _) in enumerate(pairs):
        workers.hand_over(ticket, client, 0)
    assert workers._outbox, "the kernel took them all"
    os.write(go, b".")
    loop.watch(finished, 1, lambda _: loop.stop())
    loop.call_later(10, loop.stop)
    before = time.process_time()
    loop.run()
    assert time.process_time() - before < 1, "the processor was kept busy"
    assert not workers._outbox
    assert os.read(finished, 1) == b"."


def test_what_is_asked_of_a_resolver_that_dies_is_answered_by_its_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_workers, "RELAY_LIMIT_S", LIMIT_S)
    pid, pidfd = spawn(ask_one_that_dies)
    os.close(pidfd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_clients_that_could_not_be_handed_over_at_once_are_a_moment_later() -> None:
    pid, pidfd = spawn(hand_over_more_than_the_kernel_lets_fly)
    os.close(pidfd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
