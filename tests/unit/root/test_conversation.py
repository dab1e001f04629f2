"""Requests of the daemon and their answers, carried between it and whichever resolver lives."""

import os
import select
import socket
import struct
from collections.abc import Iterator

import pytest

from pypcp.root.conversation import HEAD, MAX_ANSWER, Conversation, Ended


def pdu(body: bytes) -> bytes:
    return struct.pack("!I", 4 + len(body)) + body


ASKED, NEXT, HELLO = pdu(b"question 1"), pdu(b"question 2"), pdu(b"who I am")


class Peers:
    """A conversation with the daemon's ends of its pipes, and a way to play resolvers."""

    def __init__(self) -> None:
        requests, self.to = os.pipe()
        self.out, replies = os.pipe()
        os.set_blocking(self.out, False)
        self.conversation = Conversation(requests, replies)

    def resolver(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.settimeout(5)
        self.conversation.connect(ours)
        return theirs

    def turn(self) -> None:
        """Until there is nothing more to do."""
        while True:
            poll = select.poll()
            for fd, events in self.conversation.interests().items():
                poll.register(fd, events)
            ready = poll.poll(0)
            if not ready:
                return
            for fd, events in ready:
                if fd in self.conversation.interests():
                    self.conversation.ready(fd, events)

    def heard(self, resolver: socket.socket) -> tuple[bytes, int]:
        """What the resolver is asked, and the number of that."""
        self.turn()
        size, serial = HEAD.unpack(resolver.recv(HEAD.size))
        return (resolver.recv(size) if size else b""), serial

    def answer(self, resolver: socket.socket, answer: bytes, serial: int) -> None:
        resolver.sendall(HEAD.pack(len(answer), serial) + answer)
        self.turn()

    def got(self) -> bytes:
        try:
            return os.read(self.out, 100_000)
        except BlockingIOError:
            return b""

    def greeted(self) -> socket.socket:
        resolver = self.resolver()
        assert self.heard(resolver) == (b"", 0)
        self.answer(resolver, HELLO, 0)
        assert self.got() == HELLO
        return resolver


@pytest.fixture
def peers() -> Iterator[Peers]:
    peers = Peers()
    yield peers
    for fd in (peers.to, peers.out):
        os.close(fd)
    peers.conversation.close()


def test_a_resolver_that_dies_over_a_request_has_its_successor_asked_and_the_daemon_gets_one_answer(
    peers: Peers,
) -> None:
    first = peers.greeted()
    os.write(peers.to, ASKED)
    asked = peers.heard(first)
    assert asked[0] == ASKED
    first.sendall((HEAD.pack(len(ASKED), asked[1]) + ASKED)[:-3])
    peers.turn()
    first.close()
    peers.turn()
    with peers.resolver() as second:
        assert peers.heard(second) == asked
        peers.answer(second, ASKED, asked[1])
        assert peers.got() == ASKED
        peers.answer(second, ASKED, asked[1])
        assert peers.got() == b""


def test_a_resolver_that_dies_after_its_answer_was_taken_leaves_nothing_to_repeat(peers: Peers) -> None:
    with peers.greeted() as first:
        os.write(peers.to, ASKED)
        _, serial = peers.heard(first)
        peers.answer(first, ASKED, serial)
    with peers.resolver() as second:
        peers.turn()
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.recv(1)
        assert peers.got() == ASKED


def test_credentials_are_sent_once_whoever_dies(peers: Peers) -> None:
    peers.greeted().close()
    with peers.resolver() as second:
        os.write(peers.to, NEXT)
        assert peers.heard(second)[0] == NEXT
    assert peers.got() == b""


def test_requests_in_one_write_are_asked_one_after_the_other(peers: Peers) -> None:
    with peers.greeted() as resolver:
        os.write(peers.to, ASKED + NEXT[:5])
        _, serial = peers.heard(resolver)
        os.write(peers.to, NEXT[5:])
        peers.answer(resolver, b"", serial)  # as to a profile
        question, serial = peers.heard(resolver)
        assert question == NEXT
        peers.answer(resolver, NEXT, serial)
        assert peers.got() == NEXT


def test_a_daemon_that_does_not_read_is_not_waited_for_and_gets_all_of_it_later(peers: Peers) -> None:
    long = pdu(b"x" * 1_000_000)
    with peers.greeted() as resolver:
        os.write(peers.to, ASKED)
        _, serial = peers.heard(resolver)
        resolver.setblocking(False)
        unsent, got = HEAD.pack(len(long), serial) + long, b""
        while len(got) < len(long):
            if unsent:
                unsent = unsent[resolver.send(unsent) :]
            peers.turn()
            got += peers.got()
        assert got == long


@pytest.mark.parametrize("nonsense", [b"\0\0\0\x0b", b"\xff\xff\xff\xff", b"\0\x20\0\0"])
def test_what_no_daemon_says_is_the_end(peers: Peers, nonsense: bytes) -> None:
    with peers.greeted():
        os.write(peers.to, nonsense)
        with pytest.raises(Ended):
            peers.turn()


def test_a_resolver_that_announces_more_than_any_answer_has_is_hung_up_on(peers: Peers) -> None:
    with peers.greeted() as resolver:
        os.write(peers.to, ASKED)
        _, serial = peers.heard(resolver)
        resolver.sendall(HEAD.pack(MAX_ANSWER + 1, serial))
        peers.turn()
        assert resolver.recv(1) == b""
