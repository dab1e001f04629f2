import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from peers import free_port
from pypcp.errors import ChannelClosed, OsError, ProtocolError, RemoteProtocolError, RequestTimeout, TlsError, TooBig
from pypcp.ipc import asynchronous
from pypcp.ipc.address import TcpEndpoint, UnixEndpoint
from pypcp.ipc.asynchronous import AsyncStream

pytestmark = pytest.mark.anyio

LIMIT_S = 5.0


def frame(body: bytes = b"") -> bytes:
    return struct.pack(">iii", 12 + len(body), 0x7000, 0) + body


@pytest.fixture
async def peers() -> AsyncIterator[tuple[AsyncStream, socket.socket]]:
    """A stream, and the bare non-blocking socket at its other end."""
    one, other = socket.socketpair()
    other.setblocking(False)
    with other:
        async with await AsyncStream.over(one, limit=1000) as stream:
            yield stream, other


async def put(peer: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(peer, data)


async def test_what_is_sent_arrives_as_it_is(peers):
    stream, peer = peers
    await stream.send(frame(b"hello"), LIMIT_S)
    assert await asyncio.get_running_loop().sock_recv(peer, 1000) == frame(b"hello")


async def test_pdus_are_received_one_by_one_however_they_were_sent(peers):
    stream, peer = peers
    await put(peer, frame(b"one") + frame(b"two") + frame(b"three")[:5])
    assert await stream.receive(LIMIT_S) == frame(b"one")
    assert await stream.receive(LIMIT_S) == frame(b"two")
    await put(peer, frame(b"three")[5:])
    assert await stream.receive(LIMIT_S) == frame(b"three")


async def test_waiting_for_a_pdu_ends_and_the_pdu_can_be_received_later(peers):
    stream, peer = peers
    with pytest.raises(RequestTimeout):
        await stream.receive(0.01)
    await put(peer, frame(b"late")[:14])
    with pytest.raises(RequestTimeout):
        await stream.receive(0.01)
    await put(peer, frame(b"late")[14:])
    assert await stream.receive(LIMIT_S) == frame(b"late")


async def test_a_wait_that_is_cancelled_loses_nothing(peers):
    stream, peer = peers
    waiting = asyncio.create_task(stream.receive())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await put(peer, frame(b"kept"))
    assert await stream.receive(LIMIT_S) == frame(b"kept")


async def test_a_header_that_trickles_in_does_not_extend_its_deadline(peers):
    stream, peer = peers

    async def trickle() -> None:
        for byte in frame(b"")[:11]:
            await put(peer, bytes([byte]))
            await asyncio.sleep(0.05)  # the pace of the peer is what is tested

    trickling = asyncio.create_task(trickle())
    with pytest.raises(RequestTimeout):
        await stream.receive(0.2)
    assert not trickling.done()
    trickling.cancel()
    await asyncio.wait([trickling])


async def test_the_body_has_a_deadline_of_its_own(peers):
    stream, peer = peers
    loop = asyncio.get_running_loop()

    async def header_only() -> float:
        await asyncio.sleep(0.1)  # so much of the time for the header is gone
        began = loop.time()
        await put(peer, frame(b"body")[:12])
        return began

    sending = asyncio.create_task(header_only())
    with pytest.raises(RequestTimeout):
        await stream.receive(1.0)
    assert loop.time() - await sending > 0.95


async def test_the_end_between_two_pdus_is_the_end_of_the_channel(peers):
    stream, peer = peers
    await put(peer, frame(b"last"))
    peer.close()
    assert await stream.receive(LIMIT_S) == frame(b"last")
    for _ in range(2):
        with pytest.raises(ChannelClosed):
            await stream.receive(LIMIT_S)
    with pytest.raises(ChannelClosed):
        await stream.send(frame(), LIMIT_S)


async def test_the_end_within_a_pdu_breaks_the_protocol(peers):
    stream, peer = peers
    await put(peer, frame(b"half")[:14])
    peer.close()
    with pytest.raises(RemoteProtocolError, match="within a PDU"):
        await stream.receive(LIMIT_S)


async def test_a_pdu_over_the_limit_ends_the_connection_and_says_why(peers):
    stream, peer = peers
    await put(peer, struct.pack(">iii", 1001, 0x7000, 0))
    with pytest.raises(TooBig):
        await stream.receive(LIMIT_S)
    assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""
    with pytest.raises(TooBig):
        await stream.send(frame(), LIMIT_S)


@pytest.mark.parametrize("body", [b"", bytes(900)])
async def test_a_peer_that_sends_faster_than_we_take_is_held_back(peers, monkeypatch, body):
    monkeypatch.setattr(asynchronous, "MAX_BYTES", 10_000)
    stream, peer = peers
    sent = 0
    # Until the queue here and the kernel's buffers, some hundred kilobytes, are full.
    with pytest.raises(TimeoutError):
        while sent < 10_000:
            async with asyncio.timeout(0.2):
                await put(peer, frame(body))
            sent += 1
            await asyncio.sleep(0)
    for _ in range(sent):
        assert await stream.receive(LIMIT_S) == frame(body)


async def test_sending_to_a_peer_that_does_not_read_ends(peers):
    stream, _ = peers
    with pytest.raises(RequestTimeout, match="does not take"):
        await stream.send(bytes(10_000_000), 0.05)


async def test_sending_waits_for_a_slow_reader(peers):
    stream, peer = peers
    sending = asyncio.create_task(stream.send(frame(bytes(4_000_000)), LIMIT_S))
    received = 0
    while received < 4_000_012:
        received += len(await asyncio.get_running_loop().sock_recv(peer, 1 << 20))
    await sending


async def test_closing_cuts_off_a_peer_that_does_not_read(peers, monkeypatch):
    monkeypatch.setattr(asynchronous, "_CLOSE_LIMIT_S", 0.05)
    stream, _ = peers
    with pytest.raises(RequestTimeout):
        await stream.send(bytes(10_000_000), 0.01)
    async with asyncio.timeout(LIMIT_S):
        await stream.close()
        await stream.close()


async def test_closing_sends_what_is_queued(peers):
    stream, peer = peers
    await stream.send(frame(b"bye"))
    await stream.close()
    assert await asyncio.get_running_loop().sock_recv(peer, 1000) == frame(b"bye")
    assert await asyncio.get_running_loop().sock_recv(peer, 1000) == b""


async def test_a_stream_that_was_never_connected_is_closed():
    stream = AsyncStream()
    with pytest.raises(ChannelClosed):
        await stream.send(frame())
    await stream.close()


# Connecting.


async def test_tcp_and_unix_sockets_are_connected_to(tmp_path):
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        for server, endpoint in ((tcp, TcpEndpoint(*tcp.getsockname())), (unix, UnixEndpoint(str(tmp_path / "s")))):
            server.setblocking(False)
            async with await AsyncStream.connect([endpoint], LIMIT_S) as stream:
                connection, _ = await loop.sock_accept(server)
                with connection:
                    await put(connection, frame(b"hello"))
                    assert await stream.receive(LIMIT_S) == frame(b"hello")
                assert stream.where == endpoint


async def test_a_server_can_make_one_for_each_connection():
    loop = asyncio.get_running_loop()
    accepted: list[AsyncStream] = []

    def accept() -> AsyncStream:
        accepted.append(AsyncStream("a client"))
        return accepted[-1]

    server = await loop.create_server(accept, "127.0.0.1", 0)
    async with server, await AsyncStream.connect([TcpEndpoint(*server.sockets[0].getsockname())], LIMIT_S) as stream:
        await stream.send(frame(b"hi"))
        while not accepted:
            await asyncio.sleep(0)
        assert await accepted[0].receive(LIMIT_S) == frame(b"hi")
        await accepted[0].close()
        with pytest.raises(ChannelClosed):
            await stream.receive(LIMIT_S)


async def test_the_first_endpoint_that_works_is_used(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        works = TcpEndpoint(*server.getsockname())
        endpoints = [UnixEndpoint(str(tmp_path / "nosuch")), TcpEndpoint("127.0.0.1", free_port()), works]
        async with await AsyncStream.connect(endpoints, LIMIT_S) as stream:
            assert stream.where == works


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        (UnixEndpoint("/nosuch/socket"), -errno.ENOENT),
        (TcpEndpoint("127.0.0.1", 1), -errno.ECONNREFUSED),
        (TcpEndpoint("nosuch.invalid", 44321), -errno.EHOSTUNREACH),
    ],
)
async def test_the_error_of_connecting_is_the_systems_and_names_the_endpoint(endpoint, code):
    with pytest.raises(OsError) as caught:
        await AsyncStream.connect([endpoint], LIMIT_S)
    assert caught.value.code == code
    assert str(endpoint) in caught.value.detail


async def test_without_endpoints_there_is_an_error():
    with pytest.raises(OsError, match="no address"):
        await AsyncStream.connect([], LIMIT_S)


# Behind a proxy.


async def through_proxy(answer: bytes) -> bytes:
    """What the client says to a proxy that answers so, and what the client makes of the challenge that follows."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        endpoint = TcpEndpoint(*server.getsockname(), ("web", 44321))
        connecting = asyncio.create_task(AsyncStream.connect([endpoint], LIMIT_S))
        connection, _ = await loop.sock_accept(server)
        with connection:
            assert await loop.sock_recv(connection, 100) == b"pmproxy-client 1\n"
            await put(connection, answer)
            if not answer:
                connection.shutdown(socket.SHUT_RDWR)
            said = await loop.sock_recv(connection, 100)
            if said:
                await put(connection, frame(b"challenge"))
            async with await connecting as stream:
                assert await stream.receive(LIMIT_S) == frame(b"challenge")
            return said


@pytest.mark.parametrize("end", [b"\n", b"\r"])
async def test_a_proxy_is_asked_for_the_pmcd_beyond_it(end):
    assert await through_proxy(b"pmproxy-server 1" + end) == b"web 44321\n"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\n", bytes(64), b"\n"])
async def test_what_is_no_proxy_is_found_out(answer):
    with pytest.raises(ProtocolError, match="this is no pmproxy"):
        await through_proxy(answer)


async def test_a_proxy_that_hangs_up_is_told():
    with pytest.raises(ChannelClosed):
        await through_proxy(b"")


async def test_a_proxy_that_says_nothing_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(RequestTimeout):
        await AsyncStream.connect([TcpEndpoint(*server.getsockname(), ("web", 1))], 0.05)


# TLS.


@pytest.fixture
async def pair() -> AsyncIterator[tuple[AsyncStream, AsyncStream]]:
    """The two ends of one connection."""
    one, other = socket.socketpair()
    async with await AsyncStream.over(one) as client, await AsyncStream.over(other) as server:
        yield client, server


async def test_pdus_travel_under_tls_once_both_ends_start_it(pair, tls):
    client, server = pair
    secured = asyncio.create_task(server.start_tls(tls.server, server_side=True, timeout_s=LIMIT_S))
    await client.start_tls(tls.client, server_hostname="collector", timeout_s=LIMIT_S)
    await secured
    await client.send(frame(b"question"), LIMIT_S)
    assert await server.receive(LIMIT_S) == frame(b"question")
    await server.send(frame(b"answer"), LIMIT_S)
    assert await client.receive(LIMIT_S) == frame(b"answer")
    await server.close()
    with pytest.raises(ChannelClosed):
        await client.receive(LIMIT_S)


@pytest.mark.parametrize(("trusting", "name"), [(False, "collector"), (True, "another")])
async def test_a_certificate_that_is_no_good_is_refused(pair, tls, trusting, name):
    client, server = pair
    secured = asyncio.create_task(server.start_tls(tls.server, server_side=True, timeout_s=LIMIT_S))
    with pytest.raises(TlsError):
        await client.start_tls(tls.client if trusting else tls.distrustful, server_hostname=name, timeout_s=LIMIT_S)
    await asyncio.wait([secured])
    # TLS 1.3: the server is done before the client judges the certificate.
    if secured.exception() is None:
        with pytest.raises((TlsError, ChannelClosed)):
            await server.receive(LIMIT_S)


async def test_bytes_in_clear_behind_the_agreement_on_tls_are_refused(peers, tls):
    stream, peer = peers
    await put(peer, frame(b"agreed") + b"injected")
    await stream.receive(LIMIT_S)
    with pytest.raises(ProtocolError, match="in clear"):
        await stream.start_tls(tls.client, server_hostname="collector", timeout_s=LIMIT_S)


async def test_a_handshake_that_does_not_go_on_ends(peers, tls):
    stream, _ = peers
    with pytest.raises(RequestTimeout):
        await stream.start_tls(tls.client, server_hostname="collector", timeout_s=0.05)


async def test_a_name_that_no_host_can_have_is_not_found():
    with pytest.raises(OsError, match=r"a\.\.b:44321: no host can have that name") as caught:
        await AsyncStream.connect([TcpEndpoint("a..b", 44321)], LIMIT_S)
    assert caught.value.code == -errno.EHOSTUNREACH
