"""Both kinds of context against a pmcd played by the test: the same calls, the same behaviour."""

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pypcp.errors import ChannelClosed, ChannelError, OsError, PermissionDenied, RequestTimeout
from pypcp.ipc.blocking import BlockingStream
from pypcp.model.desc import Desc
from pypcp.model.ids import Pmid
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmapi.blocking import BlockingContext
from pypcp.pmapi.connection import Patience
from pypcp.pmapi.context import Context
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Feature, Pdu, decode, encode
from pypcp.wire.result import Result

PMID = Pmid.build(29, 0, 1)
OTHER = Pmid.build(29, 0, 2)
QUICK = Patience(connect_s=5.0, request_s=0.05, reconnect_s=(60.0,))
PATIENT = Patience(connect_s=5.0, request_s=5.0, reconnect_s=(60.0,))


class Pmcd:
    """A pmcd on a UNIX socket: ``serve`` says what it does on each connection after the handshake."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[Pdu] = []
        self.go_on = threading.Event()
        self.serve: Callable[[Pmcd, BlockingStream], None] = Pmcd.answer_all
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with BlockingStream(sock) as stream, suppress(ChannelError, OsError):
                    stream.send(encode(Challenge(features=Feature.HIGHRES | Feature.DESCS)))
                    self.receive(stream)
                    self.serve(self, stream)

    def receive(self, stream: BlockingStream) -> Pdu:
        pdu = decode(stream.receive(5.0))
        self.seen.append(pdu)
        return pdu

    def answer_all(self, stream: BlockingStream) -> None:
        while True:
            self.answer(stream, self.receive(stream))

    def answer(self, stream: BlockingStream, pdu: Pdu) -> None:
        if isinstance(pdu, DescRequest):
            stream.send(encode(DescReply(Desc(Pmid(pdu.pmid), ValueType.U64))))
        elif isinstance(pdu, Fetch):
            sets = [ValueSet.singular(pmid, pmid, ValueType.U64) for pmid in pdu.pmids]
            stream.send(encode(Result(1, sets, highres=True)))

    def close(self) -> None:
        self.go_on.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5.0)


@pytest.fixture
def pmcd(tmp_path: Path) -> Iterator[Pmcd]:
    played = Pmcd(tmp_path / "socket")
    yield played
    played.close()


class Client:
    """One of the two contexts; each call is made and waited for."""

    def __init__(self, kind: str, host: str, patience: Patience) -> None:
        self._runner = asyncio.Runner()
        self.context: Any = {"blocking": BlockingContext, "asyncio": Context}[kind](host, patience=patience)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            made = getattr(self.context, name)(*args, **kwargs)
            return self._runner.run(made) if asyncio.iscoroutine(made) else made

        return call

    def end(self) -> None:
        self.close()
        self._runner.close()


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest, pmcd: Pmcd) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def connected(patience: Patience = PATIENT) -> Client:
        clients.append(Client(request.param, f"unix:{pmcd.path}", patience))
        return clients[-1]

    yield connected
    for client in clients:
        client.end()


def test_a_context_says_who_it_is_and_asks(pmcd: Pmcd, connect: Callable[..., Client]) -> None:
    client = connect()
    assert client.lookup_desc(PMID).pmid == PMID
    assert client.fetch([PMID]).value_sets[0].value == PMID
    assert [type(pdu) for pdu in pmcd.seen] == [Creds, DescRequest, ProfilePdu, Fetch]


def test_a_profile_that_changed_is_told_before_the_next_fetch(pmcd: Pmcd, connect: Callable[..., Client]) -> None:
    client = connect()
    client.fetch([PMID])
    client.add_profile(5, [1])
    client.fetch([PMID])
    client.fetch([PMID])
    assert [type(pdu) for pdu in pmcd.seen[1:]] == [ProfilePdu, Fetch, ProfilePdu, Fetch, Fetch]


def test_a_late_reply_is_dropped_and_the_connection_kept(pmcd: Pmcd, connect: Callable[..., Client]) -> None:
    def late(pmcd: Pmcd, stream: BlockingStream) -> None:
        first = pmcd.receive(stream)
        pmcd.go_on.wait(5.0)
        pmcd.answer(stream, first)
        pmcd.answer_all(stream)

    pmcd.serve = late
    client = connect(Patience(5.0, 0.2, (60.0,)))
    with pytest.raises(RequestTimeout):
        client.lookup_desc(PMID)
    pmcd.go_on.set()
    assert client.lookup_desc(OTHER).pmid == OTHER
    assert [type(pdu) for pdu in pmcd.seen] == [Creds, DescRequest, DescRequest]


def test_a_pmcd_that_stays_silent_is_connected_to_anew(pmcd: Pmcd, connect: Callable[..., Client]) -> None:
    def silent(pmcd: Pmcd, stream: BlockingStream) -> None:
        pmcd.serve = Pmcd.answer_all
        pmcd.receive(stream)
        with suppress(ChannelClosed):
            stream.receive(5.0)

    pmcd.serve = silent
    client = connect(QUICK)
    for _ in range(2):
        with pytest.raises(RequestTimeout):
            client.lookup_desc(PMID)
    assert client.lookup_desc(PMID).pmid == PMID
    assert [type(pdu) for pdu in pmcd.seen] == [Creds, DescRequest, Creds, DescRequest]


def test_a_new_connection_is_told_the_profile_and_asked_for_metadata_again(
    pmcd: Pmcd, connect: Callable[..., Client]
) -> None:
    """What answers there now may be another pmcd, with other types."""
    client = connect()
    client.lookup_desc(PMID)
    client.add_profile(5, [1])
    client.fetch([PMID])
    client.reconnect()
    client.lookup_desc(PMID)
    client.fetch([PMID])
    again = [type(pdu) for pdu in pmcd.seen[4:]]
    assert again == [Creds, DescRequest, ProfilePdu, Fetch]


def test_a_lost_connection_is_an_error_once_and_then_made_anew(pmcd: Pmcd, connect: Callable[..., Client]) -> None:
    def hang_up(pmcd: Pmcd, stream: BlockingStream) -> None:
        pmcd.serve = Pmcd.answer_all
        pmcd.receive(stream)

    pmcd.serve = hang_up
    client = connect()
    with pytest.raises(ChannelClosed):
        client.lookup_desc(PMID)
    assert client.lookup_desc(PMID).pmid == PMID


def test_attempts_to_connect_are_spaced_out(pmcd: Pmcd, connect: Callable[..., Client]) -> None:
    client = connect()
    client.fetch([PMID])
    pmcd.path.unlink()
    for expected in (-errno.ENOENT, -errno.ETIMEDOUT):
        with pytest.raises(OsError) as caught:
            client.reconnect()
        assert caught.value.code == expected


def test_a_refusal_of_the_credentials_ends_the_connection(pmcd: Pmcd, connect: Callable[..., Client]) -> None:
    def refuse(pmcd: Pmcd, stream: BlockingStream) -> None:
        pmcd.serve = Pmcd.answer_all
        stream.send(encode(Error(PermissionDenied.code)))
        pmcd.answer_all(stream)

    pmcd.serve = refuse
    client = connect()
    with pytest.raises(PermissionDenied):
        client.lookup_desc(PMID)
    assert client.lookup_desc(OTHER).pmid == OTHER


def test_a_cancelled_call_leaves_the_next_one_its_own_reply(pmcd: Pmcd) -> None:
    def late(pmcd: Pmcd, stream: BlockingStream) -> None:
        first = pmcd.receive(stream)
        pmcd.go_on.wait(5.0)
        pmcd.answer(stream, first)
        pmcd.answer_all(stream)

    async def run() -> Desc:
        async with Context(f"unix:{pmcd.path}", patience=PATIENT) as context:
            call = asyncio.create_task(context.lookup_desc(PMID))
            while len(pmcd.seen) < 2:
                await asyncio.sleep(0.001)
            call.cancel()
            with suppress(asyncio.CancelledError):
                await call
            pmcd.go_on.set()
            return await context.lookup_desc(OTHER)

    pmcd.serve = late
    assert asyncio.run(run()).pmid == OTHER


def test_tasks_share_a_context_without_mixing_their_replies(pmcd: Pmcd) -> None:
    async def run() -> list[Desc]:
        async with Context(f"unix:{pmcd.path}", patience=PATIENT) as context:
            return await asyncio.gather(*(context.lookup_desc(Pmid(PMID + n)) for n in range(20)))

    assert [desc.pmid for desc in asyncio.run(run())] == [PMID + n for n in range(20)]
