"""The stream of an agent that the test itself plays, byte by byte, at the other end of a socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from honest import until
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.exchange import Exchange
from pypcp.pmcd.statistics import AgentStatistics, Statistics
from pypcp.wire.desc import DescRequest
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import PduType, encode
from pypcp.wire.versions import PDU_VERSION2, IpcTable

AN_HOUR = 3600.0
NOTICE, REQUEST = encode(Error(-1)), encode(DescRequest(1))


class PlayedAgent(NamedTuple):
    """``socket`` is the agent's end; ``lost`` is why the stream has ended."""

    stream: AgentStream
    socket: socket.socket
    lost: "asyncio.Future[str]"

    def ask(self) -> "asyncio.Future[bytes]":
        return self.stream.ask(Exchange(REQUEST, PduType.DESC))

    def say(self) -> None:
        self.stream.say(NOTICE)


@asynccontextmanager
async def connected(hard_limit_s: float = AN_HOUR) -> AsyncIterator[PlayedAgent]:
    loop = asyncio.get_running_loop()
    lost: asyncio.Future[str] = loop.create_future()
    stream = AgentStream(
        "fake", lambda: hard_limit_s, lost.set_result, Statistics(), AgentStatistics(), IpcTable(), PDU_VERSION2
    )
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with theirs:
        transport, _ = await loop.create_connection(lambda: stream, sock=ours)
        yield PlayedAgent(stream, theirs, lost)
        stream.end("the test is over")
        await until(transport.is_closing)
