import array
import fcntl
import os
import socket
from collections.abc import Iterator

import pytest

from pypcp.errors import ChannelClosed, RemoteProtocolError, RequestTimeout
from pypcp.ipc.fdpass import receive_descriptors, send_descriptors

LIMIT_S = 5.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_descriptors_arrive_with_their_frame_and_are_closed_on_exec(pair, pipe):
    send_descriptors(pair[0], b"frame", pipe, LIMIT_S)
    frame, received = receive_descriptors(pair[1], 5, 2, LIMIT_S)
    try:
        assert frame == b"frame"
        assert [fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for fd in received] == [fcntl.FD_CLOEXEC] * 2
        os.write(received[1], b"x")
        assert os.read(pipe[0], 1) == b"x"
    finally:
        for descriptor in received:
            os.close(descriptor)


def test_a_frame_without_descriptors_before_one_with_them_is_not_joined_to_it(pair, pipe):
    send_descriptors(pair[0], b"cccc", [], LIMIT_S)
    send_descriptors(pair[0], b"dddd", pipe[:1], LIMIT_S)
    assert receive_descriptors(pair[1], 4, 0, LIMIT_S) == (b"cccc", [])
    frame, received = receive_descriptors(pair[1], 4, 1, LIMIT_S)
    os.close(*received)
    assert frame == b"dddd"


def test_a_frame_in_pieces_is_put_together(pair, pipe):
    send_descriptors(pair[0], b"a", pipe[:1], LIMIT_S)
    pair[0].sendall(b"bc")
    frame, received = receive_descriptors(pair[1], 3, 1, LIMIT_S)
    os.close(*received)
    assert frame == b"abc"


@pytest.mark.parametrize(("sent", "expected"), [(0, 1), (1, 2), (1, 0), (2, 1), (2, 0), (250, 1)])
def test_any_other_number_of_descriptors_is_refused_and_none_stays_open(pair, pipe, sent, expected):
    send_descriptors(pair[0], b"x", pipe[:1] * sent, LIMIT_S)
    with pytest.raises(RemoteProtocolError):
        receive_descriptors(pair[1], 1, expected, LIMIT_S)


def test_descriptors_in_the_middle_of_a_frame_that_has_none_are_refused(pair, pipe):
    pair[0].sendall(b"a")
    assert receive_descriptors(pair[1], 1, 0, LIMIT_S) == (b"a", [])
    pair[0].sendmsg([b"b"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", pipe[:1]))])
    with pytest.raises(RemoteProtocolError, match="more descriptors"):
        receive_descriptors(pair[1], 1, 0, LIMIT_S)


def test_too_many_descriptors_are_refused_at_the_first_piece_of_a_frame(pair, pipe):
    send_descriptors(pair[0], b"a", pipe, LIMIT_S)
    with pytest.raises(RemoteProtocolError, match="more descriptors"):
        receive_descriptors(pair[1], 2, 1, LIMIT_S)


def test_descriptors_of_a_frame_that_never_ends_are_closed(pair, pipe):
    send_descriptors(pair[0], b"x", pipe[:1], LIMIT_S)
    pair[0].close()
    with pytest.raises(ChannelClosed):
        receive_descriptors(pair[1], 2, 1, LIMIT_S)


def test_waiting_for_a_frame_ends(pair, pipe):
    send_descriptors(pair[0], b"x", pipe[:1], LIMIT_S)
    with pytest.raises(RequestTimeout):
        receive_descriptors(pair[1], 2, 1, 0.01)
    with pytest.raises(RequestTimeout):
        receive_descriptors(pair[1], 1, 0, 0)


def test_sending_to_a_peer_that_does_not_read_ends(pair):
    with pytest.raises(RequestTimeout):
        send_descriptors(pair[0], bytes(10_000_000), [], 0.05)


def test_sending_to_a_peer_that_is_gone_is_told(pair, pipe):
    pair[1].close()
    with pytest.raises(ChannelClosed):
        send_descriptors(pair[0], b"x", pipe, LIMIT_S)


def test_descriptors_cannot_travel_without_bytes(pair, pipe):
    with pytest.raises(ValueError, match="at least one"):
        send_descriptors(pair[0], b"", pipe, LIMIT_S)
