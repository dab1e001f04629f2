"""A daemon without sockets: bytes are handed to its connections, replies are collected. What the fuzzers talk to."""

import asyncio
import logging
import socket
from typing import Any

from pypcp.model.ids import Pmid
from pypcp.model.units import NONE
from pypcp.model.values import Semantics, ValueType
from pypcp.pmcd.client_connection import ClientConnection
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.options import Options
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client
from pypcp.wire.framing import FrameReader
from pypcp.wire.handshake import Creds
from pypcp.wire.pdu import Pdu, decode, encode

DOMAIN = 100
MOST_REPLY_BYTES = 64 << 20

_VALUES: dict[ValueType, Any] = {
    ValueType.I32: -1,
    ValueType.U32: 1,
    ValueType.I64: -(2**40),
    ValueType.U64: 2**40,
    ValueType.FLOAT: 1.5,
    ValueType.DOUBLE: 2.5,
    ValueType.STRING: "text",
    ValueType.AGGREGATE: b"\x00\x01\x02",
}


def kitchen_sink() -> Agent:
    """An agent with a metric of each type, singular and with instances, all of which can be stored into."""
    agent = Agent("sink", DOMAIN, help_="Everything", labels={"a": 1})
    indom = agent.indom(1, fixed={0: "zero", 7: "seven", 100: "a hundred"}, label_instance=lambda name: {"n": name})
    cluster = agent.cluster(0)
    for item, (type_, value) in enumerate(_VALUES.items()):
        stored: dict[int, Any] = {}

        def store(new: Any, instance: int, client: Client, stored: dict[int, Any] = stored) -> None:
            stored[instance] = new

        name = type_.name.lower()
        cluster.metric(
            f"sink.one.{name}",
            item,
            type_,
            lambda _, value=value: value,
            sem=Semantics.INSTANT,
            units=NONE,
            store=store,
        )
        cluster.metric(
            f"sink.many.{name}",
            100 + item,
            type_,
            lambda _, value=value: [value] * 3,
            sem=Semantics.INSTANT,
            units=NONE,
            indom=indom,
            store=store,
        )
    return agent


class Refusal(AssertionError):
    """The daemon did what it must not."""


class _Transport(asyncio.Transport):
    """Takes what the daemon writes and closes when told to, all at once."""

    def __init__(self, protocol: ClientConnection, sock: socket.socket) -> None:
        super().__init__({"socket": sock})
        self.protocol = protocol
        self.written = bytearray()
        self.closing = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        if len(self.written) > MOST_REPLY_BYTES:
            self.abort()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever full here."""

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


class _Complaints(logging.Handler):
    """Whatever the daemon logs as an error of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record)


class Collector:
    """A daemon and an event loop to run it in, for one input after the other."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._complain)
        self.daemon = self.loop.run_until_complete(self._start())
        self._sockets = socket.socketpair()
        self._complaints = _Complaints()
        self._failures: list[str] = []
        logging.getLogger("pypcp").addHandler(self._complaints)

    def close(self) -> None:
        """Leave nothing open."""
        logging.getLogger("pypcp").removeHandler(self._complaints)
        self.loop.close()
        for sock in self._sockets:
            sock.close()

    def lost_client(self) -> ClientConnection:
        """A connection that nobody will ever end."""
        return ClientConnection(self.daemon)

    async def _start(self) -> Daemon:
        daemon = Daemon(Options(), [kitchen_sink()])
        daemon.running = True
        return daemon

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def converse(self, chunks: list[bytes]) -> list[Pdu]:
        """Everything the daemon answers to a client that sends these chunks; it must be alive and in order after it."""
        return self.loop.run_until_complete(self._converse(chunks))

    async def _converse(self, chunks: list[bytes]) -> list[Pdu]:
        replies = await self._session(chunks)
        alive = await self._session([encode(Creds()), bytes.fromhex("00000010000070040000000000800002")])
        if len(alive) != 2:
            raise Refusal(f"after this an honest client was answered {alive}")
        self._check()
        return replies

    async def _session(self, chunks: list[bytes]) -> list[Pdu]:
        connection = ClientConnection(self.daemon)
        transport = _Transport(connection, self._sockets[0])
        connection.connection_made(transport)
        for chunk in chunks:
            await self._until_reading(transport)
            if transport.closing:
                break
            connection.data_received(chunk)
        await self._until_reading(transport)
        transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        frames = FrameReader().feed(bytes(transport.written))
        return [decode(frame, connection.channel) for frame in frames]

    async def _until_reading(self, transport: _Transport) -> None:
        await asyncio.sleep(0)
        for _ in range(10_000):
            if transport.reading or transport.closing:
                return
            await asyncio.sleep(0)
        raise Refusal("the daemon does not read on")

    def _check(self) -> None:
        if self._complaints.heard:
            record = self._complaints.heard.pop()
            raise Refusal(record.getMessage()) from (record.exc_info[1] if record.exc_info else None)
        if self._failures:
            raise Refusal(self._failures.pop())
        if len(self.daemon.clients):
            raise Refusal("a client that went is still there")
        if len(asyncio.all_tasks()) > 1:
            raise Refusal("a task of a client that went is still there")


NUMAGENTS = Pmid.build(2, 0, 2)
