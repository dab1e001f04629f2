"""An agent on its wires: credentials, requests, readiness, the end."""

import os
import socket
import threading

import pytest

from pypcp.errors import AgentNotReady, AgentReady, ChannelClosed, ProtocolError
from pypcp.model.ids import Pmid
from pypcp.pmda import U32, Agent
from pypcp.pmda.listening import accept_inet, accept_unix
from pypcp.pmda.serve import Wires, serve
from pypcp.wire.desc import DescRequest
from pypcp.wire.fetch import Fetch
from pypcp.wire.framing import FrameReader
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Feature, decode, encode
from pypcp.wire.result import Result

NUMBER = Pmid.build(100, 0, 0)
LIMIT_S = 5.0


@pytest.fixture
def agent() -> Agent:
    made = Agent("t", 100)
    made.metric()(number)
    return made


def number() -> U32:
    """A number"""
    return 42


class Daemon:
    """pmcd's end of an agent's wires."""

    def __init__(self, agent: Agent, **options):
        ours, theirs = socket.socketpair()
        ours.settimeout(LIMIT_S)
        self.socket = ours
        self.frames = FrameReader()
        self.waiting: list[bytes] = []
        self.failure: Exception | None = None
        wires = Wires(theirs.detach(), -1)
        self.thread = threading.Thread(target=self._run, args=(agent, Wires(wires.requests, wires.requests), options))
        self.thread.start()

    def _run(self, agent, wires, options):
        try:
            serve(agent, wires, **options)
        except Exception as error:  # noqa: BLE001 - kept for the test
            self.failure = error

    def tell(self, *pdus):
        self.socket.sendall(b"".join(map(encode, pdus)))

    def hear(self):
        while not self.waiting:
            data = self.socket.recv(65536)
            assert data, "the agent has gone"
            self.waiting += self.frames.feed(data)
        return decode(self.waiting.pop(0))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()


def test_the_agent_speaks_first_and_wants_attributes_only_if_it_says_so(agent):
    with Daemon(agent) as daemon:
        assert daemon.hear() == Creds(flags=Feature.NONE, sender=os.getpid())
    agent.on_attributes(lambda client: None)
    with Daemon(agent) as daemon:
        assert daemon.hear() == Creds(flags=Feature.AUTH | Feature.CONTAINER, sender=os.getpid())


def test_requests_are_answered_in_order_also_if_they_come_together_or_in_pieces(agent):
    with Daemon(agent) as daemon:
        daemon.hear()
        daemon.tell(Creds(), Fetch(0, (NUMBER,)), DescRequest(NUMBER))
        assert isinstance(daemon.hear(), Result)
        assert daemon.hear().desc.pmid == NUMBER
        for byte in encode(DescRequest(NUMBER)):
            daemon.socket.sendall(bytes([byte]))
        assert daemon.hear().desc.pmid == NUMBER


def test_a_reply_larger_than_the_pipe_arrives_whole():
    big = Agent("t", 100)
    things = big.indom(0, fixed={number: f"i{number}" for number in range(50_000)})
    big.metric(indom=things, type_=3)(lambda: range(50_000))
    with Daemon(big) as daemon:
        daemon.hear()
        daemon.tell(Creds(), Fetch(0, (NUMBER,)))
        assert list(daemon.hear().value_sets[0].values) == list(range(50_000))


def test_the_end_of_the_stream_is_the_end_of_the_agent(agent):
    with Daemon(agent) as daemon:
        daemon.hear()
        daemon.tell(Creds())
    assert daemon.failure is None


def test_a_daemon_that_goes_before_its_credentials_is_told_of(agent):
    with Daemon(agent) as daemon:
        daemon.hear()
        daemon.socket.shutdown(socket.SHUT_WR)
        daemon.thread.join(LIMIT_S)
    assert isinstance(daemon.failure, ChannelClosed)


def test_a_stream_that_is_none_ends_the_agent(agent):
    with Daemon(agent) as daemon:
        daemon.hear()
        daemon.tell(Creds())
        daemon.socket.sendall(b"\0" * 64)
        daemon.thread.join(LIMIT_S)
    assert isinstance(daemon.failure, ProtocolError)


def test_something_else_than_credentials_is_refused(agent):
    with Daemon(agent) as daemon:
        daemon.hear()
        daemon.tell(DescRequest(NUMBER))
        daemon.thread.join(LIMIT_S)
    assert isinstance(daemon.failure, ProtocolError)


def test_not_ready_is_told_in_reply_and_ready_once_it_is(agent):
    prepared = threading.Event()
    agent.startup(lambda: prepared.wait(LIMIT_S))
    with Daemon(agent) as daemon:
        daemon.hear()
        daemon.tell(Creds(), DescRequest(NUMBER))
        assert daemon.hear() == Error(AgentNotReady.code)
        prepared.set()
        assert daemon.hear() == Error(AgentReady.code)
        daemon.tell(DescRequest(NUMBER))
        assert daemon.hear().desc.pmid == NUMBER


def test_nothing_is_said_of_readiness_where_nobody_asked(agent):
    prepared = threading.Event()
    agent.startup(prepared.set)
    with Daemon(agent) as daemon:
        daemon.hear()
        daemon.tell(Creds())
        assert prepared.wait(LIMIT_S)
        while not agent.readiness.ready:
            pass
        daemon.tell(DescRequest(NUMBER))
        assert daemon.hear().desc.pmid == NUMBER


def test_an_agent_that_is_configured_notready_says_when_it_is(agent):
    with Daemon(agent, starts_not_ready=True) as daemon:
        daemon.hear()
        daemon.tell(Creds())
        assert daemon.hear() == Error(AgentReady.code)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_agent_can_be_connected_to_on_a_loopback_port(family):
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    found: list[Wires] = []
    thread = threading.Thread(target=lambda: found.append(accept_inet(port, by_ipv6=family == socket.AF_INET6)))
    thread.start()
    _connect(family, (address, port)).close()
    thread.join(LIMIT_S)
    found[0].close()


def test_an_agent_can_be_connected_to_on_a_socket_file_that_replaces_an_old_one(tmp_path):
    path = tmp_path / "agent.socket"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    path.chmod(0o755)
    found: list[Wires] = []
    thread = threading.Thread(target=lambda: found.append(accept_unix(path)))
    thread.start()
    while mode_of(path) != 0o660:
        assert thread.is_alive()
    _connect(socket.AF_UNIX, str(path)).close()
    thread.join(LIMIT_S)
    found[0].close()
    assert not path.exists()


def mode_of(path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return 0


def _connect(family, address) -> socket.socket:
    while True:
        connection = socket.socket(family)
        try:
            connection.connect(address)
        except OSError:
            connection.close()
        else:
            return connection


def test_an_agent_that_quits_answers_the_request_at_hand_first(agent):
    @agent.metric(item=1)
    def stops() -> U32:
        """Stops the agent"""
        agent.quit()
        return 1

    with Daemon(agent) as daemon:
        daemon.hear()
        daemon.tell(Creds(), Fetch(0, [Pmid.build(100, 0, 1)]))
        assert isinstance(daemon.hear(), Result)
        assert daemon.socket.recv(1) == b""
