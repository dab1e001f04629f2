"""The door when there is not even a descriptor to say no with."""

import mmap
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pypcp.root.audit import AuditLog
from pypcp.root.diary import Diary
from pypcp.root.loop import Loop
from pypcp.root.monitor import SHED_PAUSE_S, Monitor
from pypcp.root.peers import Household
from pypcp.root.policy import Policy
from pypcp.root.starter import Starter
from pypcp.wire.root import LookupReply


class NoLookUps:
    """Nobody gets that far."""

    def hand_over(self, ticket: int, client: socket.socket, uid: int) -> None:
        raise AssertionError

    def relay(self, uid: int, frame: bytes, done: Callable[[LookupReply | None], None]) -> None:
        raise AssertionError


@pytest.fixture
def door(tmp_path: Path) -> Iterator[tuple[Loop, Monitor, socket.socket]]:
    loop, audit = Loop(), AuditLog(path=str(tmp_path / "audit"))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    with ours, theirs, socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        diary, doubts = Diary(ours, {}), mmap.mmap(-1, 4096)
        starter = Starter(loop, audit, diary, str(tmp_path))
        nobody = Household(frozenset(), owner=-1)
        monitor = Monitor(loop, listener, nobody, Policy(), starter, NoLookUps(), audit, diary, doubts)
        client.connect(str(tmp_path / "socket"))
        client.settimeout(5)
        yield loop, monitor, client
        if monitor._spare is not None:
            os.close(monitor._spare)
        loop._epoll.close()
        audit._syslog.close()
        os.close(audit._file or -1)


def test_a_door_without_any_descriptor_waits_and_opens_again(
    door: tuple[Loop, Monitor, socket.socket], tmp_path: Path
) -> None:
    loop, _, client = door
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    rounds = 5
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        loop.call_later(rounds * SHED_PAUSE_S, loop.stop)
        loop.run()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    record = (tmp_path / "audit").read_text()
    assert 0 < record.count("client-shed") <= rounds + 1
    assert "client-refused" not in record
    loop.call_later(2 * SHED_PAUSE_S, loop.stop)
    loop.run()
    assert "client-refused" in (tmp_path / "audit").read_text()
    assert client.recv(1) == b""
