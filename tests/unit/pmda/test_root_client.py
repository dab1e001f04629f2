"""The client of pmdaroot, when what comes is not what was agreed: no descriptor that was sent along stays open."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pypcp.errors import ChannelClosed, PcpError, RemoteProtocolError, RequestTimeout
from pypcp.pmda.rootclient import AsyncRootClient, RootClient
from pypcp.wire.root import Info, StartReply, encode

REPLY = encode(StartReply(0, 4242, b"x"))
Act = Callable[[socket.socket], None]


def half_and_silence(connection: socket.socket) -> None:
    send_descriptors(connection, REPLY[:50], 2)
    connection.recv(1)


def half_and_the_end(connection: socket.socket) -> None:
    send_descriptors(connection, REPLY[:50], 2)


def twice(connection: socket.socket) -> None:
    send_descriptors(connection, REPLY + REPLY, 2)


def with_one_descriptor(connection: socket.socket) -> None:
    send_descriptors(connection, REPLY, 1)


def with_three_descriptors(connection: socket.socket) -> None:
    send_descriptors(connection, REPLY, 3)


def in_two_pieces_with_too_many(connection: socket.socket) -> None:
    send_descriptors(connection, REPLY[:50], 2)
    send_descriptors(connection, REPLY[50:], 2)


def send_descriptors(connection: socket.socket, data: bytes, count: int) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    socket.send_fds(connection, [data], [null] * count)
    os.close(null)


@contextmanager
def helper(path: Path, act: Act) -> Iterator[None]:
    """Greets one client, hears one request, and does as told."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(encode(Info()))
            connection.recv(1000)
            act(connection)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join(10)


FAULTS: list[tuple[Act, type[PcpError]]] = [
    (half_and_silence, RequestTimeout),
    (half_and_the_end, ChannelClosed),
    (twice, RemoteProtocolError),
    (with_one_descriptor, RemoteProtocolError),
    (with_three_descriptors, RemoteProtocolError),
    (in_two_pieces_with_too_many, RemoteProtocolError),
]


@pytest.mark.parametrize(("act", "fault"), FAULTS)
def test_a_reply_that_fails_leaves_no_descriptor(tmp_path: Path, act: Act, fault: type[PcpError]) -> None:
    """What is left open the fixture for all tests finds."""
    client = RootClient(tmp_path / "socket", timeout_s=0.3)
    with helper(tmp_path / "socket", act), client, pytest.raises(fault):
        client.process_start("x", "/bin/x")


@pytest.mark.parametrize(("act", "fault"), FAULTS)
async def test_a_reply_that_fails_leaves_no_descriptor_with_asyncio(
    tmp_path: Path, act: Act, fault: type[PcpError]
) -> None:
    with helper(tmp_path / "socket", act):
        async with AsyncRootClient(tmp_path / "socket", timeout_s=0.3) as client:
            with pytest.raises(fault):
                await client.process_start("x", "/bin/x")


async def test_a_call_that_is_cancelled_leaves_no_descriptor(tmp_path: Path) -> None:
    sent = threading.Event()

    def half(connection: socket.socket) -> None:
        send_descriptors(connection, REPLY[:50], 2)
        sent.set()
        connection.recv(1)

    with helper(tmp_path / "socket", half):
        async with AsyncRootClient(tmp_path / "socket") as client:
            before = len(os.listdir("/proc/self/fd"))
            call = asyncio.create_task(client.process_start("x", "/bin/x"))
            while not sent.is_set() or len(os.listdir("/proc/self/fd")) < before + 2:
                await asyncio.sleep(0.005)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call


def test_a_reply_in_pieces_brings_its_descriptors(tmp_path: Path) -> None:
    def act(connection: socket.socket) -> None:
        send_descriptors(connection, REPLY[:50], 2)
        connection.sendall(REPLY[50:])

    with helper(tmp_path / "socket", act), RootClient(tmp_path / "socket") as client:
        process = client.process_start("x", "/bin/x")
        assert process.pid == 4242
        os.close(process.stdin)
        os.close(process.stdout)
