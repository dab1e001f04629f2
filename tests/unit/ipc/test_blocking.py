import errno
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from peers import free_port
from pypcp.errors import ChannelClosed, OsError, ProtocolError, RemoteProtocolError, RequestTimeout, TlsError, TooBig
from pypcp.ipc.address import TcpEndpoint, UnixEndpoint
from pypcp.ipc.blocking import BlockingStream

LIMIT_S = 5.0


def frame(body: bytes = b"") -> bytes:
    return struct.pack(">iii", 12 + len(body), 0x7000, 0) + body


@contextmanager
def running(action) -> Iterator[None]:
    """`action` in a thread, which has ended, without an error, when the block ends."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    yield
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.fixture
def peers() -> Iterator[tuple[BlockingStream, socket.socket]]:
    """A stream, and the bare socket at its other end."""
    one, other = socket.socketpair()
    other.settimeout(LIMIT_S)
    with BlockingStream(one, limit=1000) as stream, other:
        yield stream, other


def test_what_is_sent_arrives_as_it_is(peers):
    stream, peer = peers
    stream.send(frame(b"hello"), LIMIT_S)
    assert peer.recv(1000) == frame(b"hello")


def test_pdus_are_received_one_by_one_however_they_were_sent(peers):
    stream, peer = peers
    peer.sendall(frame(b"one") + frame(b"two") + frame(b"three")[:5])
    assert stream.receive(LIMIT_S) == frame(b"one")
    assert stream.receive(LIMIT_S) == frame(b"two")
    peer.sendall(frame(b"three")[5:])
    assert stream.receive(LIMIT_S) == frame(b"three")


def test_waiting_for_a_pdu_ends_and_the_pdu_can_be_received_later(peers):
    stream, peer = peers
    with pytest.raises(RequestTimeout):
        stream.receive(0.01)
    peer.sendall(frame(b"late")[:14])
    with pytest.raises(RequestTimeout):
        stream.receive(0.01)
    peer.sendall(frame(b"late")[14:])
    assert stream.receive(LIMIT_S) == frame(b"late")


def test_a_header_that_trickles_in_does_not_extend_its_deadline(peers):
    stream, peer = peers

    sent, timed_out = [], threading.Event()

    def trickle() -> None:
        for byte in frame(b"")[:11]:
            if timed_out.wait(0.4):  # the pace of the peer is what is tested
                return
            peer.sendall(bytes([byte]))
            sent.append(byte)

    with running(trickle):
        with pytest.raises(RequestTimeout):
            stream.receive(0.5)
        timed_out.set()
    assert len(sent) < 11


def test_the_body_has_a_deadline_of_its_own(peers):
    stream, peer = peers

    began = []

    def header_only() -> None:
        time.sleep(0.1)  # so much of the time for the header is gone
        began.append(time.monotonic())
        peer.sendall(frame(b"body")[:12])

    with running(header_only), pytest.raises(RequestTimeout):
        stream.receive(1.0)
    assert time.monotonic() - began[0] > 0.95


def test_the_end_between_two_pdus_is_the_end_of_the_channel(peers):
    stream, peer = peers
    peer.sendall(frame(b"last"))
    peer.close()
    assert stream.receive(LIMIT_S) == frame(b"last")
    with pytest.raises(ChannelClosed):
        stream.receive(LIMIT_S)


def test_the_end_within_a_pdu_breaks_the_protocol(peers):
    stream, peer = peers
    peer.sendall(frame(b"half")[:14])
    peer.close()
    with pytest.raises(RemoteProtocolError, match="within a PDU"):
        stream.receive(LIMIT_S)


def test_a_pdu_over_the_limit_is_refused_before_it_arrives(peers):
    stream, peer = peers
    peer.sendall(struct.pack(">iii", 1001, 0x7000, 0))
    with pytest.raises(TooBig):
        stream.receive(LIMIT_S)


def test_sending_to_a_peer_that_does_not_read_ends(peers):
    stream, _ = peers
    with pytest.raises(RequestTimeout):
        stream.send(bytes(10_000_000), 0.05)


def test_sending_to_a_peer_that_is_gone_is_told(peers):
    stream, peer = peers
    peer.close()
    with pytest.raises(ChannelClosed):
        stream.send(frame(), LIMIT_S)


def test_the_descriptor_can_be_waited_on_until_it_is_closed(peers):
    stream, _ = peers
    assert stream.fileno() >= 0
    stream.close()
    stream.close()
    assert stream.fileno() == -1


# Connecting.


def test_tcp_and_unix_sockets_are_connected_to(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        for server, endpoint in ((tcp, TcpEndpoint(*tcp.getsockname())), (unix, UnixEndpoint(str(tmp_path / "s")))):
            with BlockingStream.connect([endpoint], LIMIT_S) as stream:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(frame(b"hello"))
                    assert stream.receive(LIMIT_S) == frame(b"hello")
                assert stream.where == endpoint


def test_tcp_does_not_wait_to_fill_packets():
    with socket.create_server(("127.0.0.1", 0)) as server:
        bare = socket.create_connection(server.getsockname())
        with BlockingStream(bare):
            assert bare.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_first_endpoint_that_works_is_used(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        works = TcpEndpoint(*server.getsockname())
        endpoints = [UnixEndpoint(str(tmp_path / "nosuch")), TcpEndpoint("127.0.0.1", free_port()), works]
        with BlockingStream.connect(endpoints, LIMIT_S) as stream:
            assert stream.where == works


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        (UnixEndpoint("/nosuch/socket"), -errno.ENOENT),
        (TcpEndpoint("127.0.0.1", 1), -errno.ECONNREFUSED),
        (TcpEndpoint("nosuch.invalid", 44321), -errno.EHOSTUNREACH),
        (TcpEndpoint("a..b", 44321), -errno.EHOSTUNREACH),
        (TcpEndpoint("a" * 70, 44321), -errno.EHOSTUNREACH),
    ],
)
def test_the_error_of_connecting_is_the_systems_and_names_the_endpoint(endpoint, code):
    with pytest.raises(OsError) as caught:
        BlockingStream.connect([endpoint], LIMIT_S)
    assert caught.value.code == code
    assert str(endpoint) in caught.value.detail


def test_without_endpoints_there_is_an_error():
    with pytest.raises(OsError, match="no address"):
        BlockingStream.connect([], LIMIT_S)


# Behind a proxy.


@contextmanager
def proxied(answer: bytes, expect: bytes) -> Iterator[TcpEndpoint]:
    """A pmproxy that answers so, wants to read `expect` then, and is pmcd from there on."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(LIMIT_S)
                assert connection.recv(17, socket.MSG_WAITALL) == b"pmproxy-client 1\n"
                connection.sendall(answer)
                assert connection.recv(100) == expect
                connection.sendall(frame(b"challenge")[: 100 * len(expect)])

        with running(serve):
            yield TcpEndpoint(*server.getsockname(), ("web", 44321))


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_a_proxy_is_asked_for_the_pmcd_beyond_it(end):
    with (
        proxied(b"pmproxy-server 1" + end, b"web 44321\n") as endpoint,
        BlockingStream.connect([endpoint], LIMIT_S) as stream,
    ):
        assert stream.receive(LIMIT_S) == frame(b"challenge")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\n", bytes(64), b"\n"])
def test_what_is_no_proxy_is_found_out(answer):
    with proxied(answer, b"") as endpoint, pytest.raises(ProtocolError, match="this is no pmproxy"):
        BlockingStream.connect([endpoint], LIMIT_S)


def test_a_proxy_that_hangs_up_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(17, socket.MSG_WAITALL) == b"pmproxy-client 1\n"

        with running(hang_up), pytest.raises(ChannelClosed):
            BlockingStream.connect([TcpEndpoint(*server.getsockname(), ("web", 1))], LIMIT_S)


# TLS.


def serve_tls(peer: socket.socket, context) -> None:
    with context.wrap_socket(peer, server_side=True) as secured:
        secured.settimeout(LIMIT_S)
        secured.sendall(secured.recv(1000))


def test_pdus_travel_under_tls_once_it_is_started(peers, tls):
    stream, peer = peers
    with running(lambda: serve_tls(peer, tls.server)):
        stream.start_tls(tls.client, "collector", LIMIT_S)
        stream.send(frame(b"secret"), LIMIT_S)
        assert stream.receive(LIMIT_S) == frame(b"secret")
        with pytest.raises(ChannelClosed):
            stream.receive(LIMIT_S)


@pytest.mark.parametrize(("trusting", "name"), [(False, "collector"), (True, "another")])
def test_a_certificate_that_is_no_good_is_refused(peers, tls, trusting, name):
    stream, peer = peers

    def serve() -> None:
        with pytest.raises(OSError):
            serve_tls(peer, tls.server)

    with running(serve):
        with pytest.raises(TlsError):
            stream.start_tls(tls.client if trusting else tls.distrustful, name, LIMIT_S)
        stream.close()


def test_bytes_in_clear_behind_the_agreement_on_tls_are_refused(peers, tls):
    stream, peer = peers
    peer.sendall(frame(b"agreed") + b"injected")
    stream.receive(LIMIT_S)
    with pytest.raises(ProtocolError, match="in clear"):
        stream.start_tls(tls.client, "collector", LIMIT_S)


def test_a_handshake_that_does_not_go_on_ends(peers, tls):
    stream, _ = peers
    with pytest.raises(RequestTimeout):
        stream.start_tls(tls.client, "collector", 0.05)
