"""The stream of one agent process, and its only owner.

PCP replies carry no request number: a reply answers the request before it, and one left unread would answer the next.
So everything for an agent goes through one queue here, one exchange at a time, and an exchange runs to its end whoever
still waits for it. Notices (attributes, the end of a client) stand in the same queue: an agent learns of things in the
order in which they happened.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from pypcp.errors import (
    AgentNotReady,
    AgentReady,
    GenericError,
    NoAgent,
    PcpError,
    ProtocolError,
    RequestTimeout,
    TryAgain,
    from_code,
)
from pypcp.model.profile import Profile
from pypcp.pmcd.exchange import Exchange
from pypcp.pmcd.statistics import AgentStatistics, Statistics
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.framing import FrameReader, frame_type
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import PduType, decode, encode
from pypcp.wire.versions import UNKNOWN_VERSION, Channel, IpcTable, is_version_1

log = logging.getLogger(__name__)

_DROPPING: Final = frozenset({ProtocolError.code, RequestTimeout.code})
"""Codes that say the agent has lost its place in the stream; it is ended when it answers with one of them."""

_MOST_NOTICES: Final = 20000
"""Notices pile up for an agent that is not ready for hours; at this number it is started anew instead."""

_MOST_REQUESTS: Final = 1000
"""So many requests wait for their turn; who comes then is told to try again. Of one client there are few."""

_MOST_UNASKED: Final = 8
"""So many PDUs that nobody asked for are passed over in an agent's life."""

REPLY_LIMIT: Final = 256 << 20


class AgentStream(asyncio.Protocol):
    """Exchanges with one agent, in order.

    ``hard_limit_s`` is asked how long an exchange may take, ``pdus`` counts PDUs by type. ``lost`` is called once, with
    the reason, when the stream is of no more use. Its ``channel`` is in ``channels`` from its connection to its end;
    where its ``version`` is not known the agent's first PDU is its greeting. Who is not ``ready`` is asked and told
    nothing until it says that it is.
    """

    def __init__(
        self,
        name: str,
        hard_limit_s: Callable[[], float],
        lost: Callable[[str], None],
        pdus: Statistics,
        statistics: AgentStatistics,
        channels: IpcTable,
        version: int = UNKNOWN_VERSION,
        *,
        ready: bool = True,
    ) -> None:
        self.name = name
        self.ready = ready
        self.hangs = False
        self.channel = Channel(version=version)
        self.hard_limit_s = hard_limit_s
        self._lost: Callable[[str], None] | None = lost
        self._pdus = pdus
        self._statistics = statistics
        self._began = 0.0
        self._unasked = 0
        self._full = False
        self._frames = FrameReader(REPLY_LIMIT)
        self._queue: deque[Exchange] = deque()
        self._notices = 0
        self._latest: dict[object, Exchange] = {}
        self._current: Exchange | None = None
        self._profile: tuple[int, Profile] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._write: Callable[[bytes], None] = _not_connected
        self._transports: list[asyncio.BaseTransport] = []
        self._channels = channels
        self._descriptors: list[int] = []

    # The transport's side. A socket has one transport, a pair of pipes two.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport that writes, and keep each to be closed at the end."""
        if self._lost is None:
            transport.close()
            return
        self._transports.append(transport)
        end = transport.get_extra_info("socket") or transport.get_extra_info("pipe")
        self._descriptors.append(end.fileno())
        self._channels.add(self._descriptors[-1], self.channel)
        if hasattr(transport, "write"):
            self._write = transport.write

    def data_received(self, data: bytes) -> None:
        """Take whole PDUs: replies in their order, and an agent's word that it is ready."""
        self._channels.last_fd = self._descriptors[0]
        try:
            frames = self._frames.feed(data)
        except PcpError as error:
            self.end(f"protocol failure: {error}")
            return
        for frame in frames:
            if self._lost is None:
                return
            pdus = self._pdus
            pdus.pdu_in[frame_type(frame) & 63] += 1
            if pdus.pdu_trace is not None:
                pdus.pdu_trace("Recv", frame, f"agent={self.name}")
            self._take(frame)

    def pause_writing(self) -> None:
        """The agent does not read: send nothing more, and not for ever."""
        self._full = True
        if self._timer is None:
            self._start_timer()

    def resume_writing(self) -> None:
        """The agent reads again."""
        self._full = False
        if self._current is None:
            self._stop_timer()
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """The agent closed its end, or died."""
        self.end("end of file" if exc is None else str(exc))

    def end(self, why: str, failure: type[PcpError] = ProtocolError) -> None:
        """The stream is of no more use: the request under way fails with ``failure``, the others have no agent."""
        lost, self._lost = self._lost, None
        if lost is None:
            return
        self._stop_timer()
        self._write = _not_connected
        for descriptor in self._descriptors:  # before it is closed, and belongs to somebody else
            self._channels.reset(descriptor)
        for transport in self._transports:
            if not transport.is_closing():  # asyncio's pipes cannot bear to be told twice
                _abort(transport)
        current, self._current = self._current, None
        if not self._first.done():
            self._first.set_exception(ProtocolError(why))
            self._first.exception()  # nobody may be waiting
        if current is not None:
            current.fail(failure())
        while self._queue:
            self._queue.popleft().fail(NoAgent())
        lost(why)

    # Requests

    async def first_frame(self) -> bytes:
        """The first PDU: the agent speaks first."""
        return await self._first

    def answer_greeting(self, frame: bytes) -> None:
        """Send what the agent waits for before it does anything, also before it is ready."""
        self._send(frame)

    def say(self, notice: bytes, ends: int | None = None, about: object = None) -> asyncio.Future[None] | None:
        """Send what has no reply, in its turn; None when that was now, else a future for when it is sent (or moot).

        ``ends``: it tells of the end of the client in that slot, of whom the agent then knows nothing more. A notice
        takes the place of one ``about`` the same that waits, unless something came between for which that one counts.
        """
        if self._lost is None:
            return None
        if about is not None and (waiting := self._latest.get(about)) is not None:
            waiting.request = notice
            return waiting.said
        exchange = Exchange(notice, ends=ends, about=about)
        if ends is not None:
            self._latest.clear()
        elif about is not None:
            self._latest[about] = exchange
        self._queue.append(exchange)
        self._notices += 1
        self._next()
        if not self._queue or self._queue[-1] is not exchange:
            return None
        if self._notices > _MOST_NOTICES:
            self.end(f"{self._notices} notices wait for it")
            return None
        exchange.said = asyncio.get_running_loop().create_future()
        return exchange.said

    def ask(self, exchange: Exchange) -> asyncio.Future[bytes]:
        """Send a request in its turn; its reply (or ``PcpError``) comes to the future.

        Giving up the future gives up a request that was not sent yet, but never an exchange under way. Whose turn does
        not come within the hard limit is given up: ``TryAgain``.
        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        exchange.reply = future
        if self._lost is None:
            future.set_exception(NoAgent())
        elif not self.ready or self._is_crowded():
            future.set_exception(TryAgain())
        else:
            self._latest.clear()
            self._queue.append(exchange)
            self._next()
            if self._queue and self._queue[-1] is exchange:
                exchange.patience = asyncio.get_running_loop().call_later(
                    self.hard_limit_s(), exchange.fail, TryAgain()
                )
        return future

    def withdraw(self, reply: asyncio.Future[bytes]) -> None:
        """Nobody wants this reply any more: a request that was not sent yet is not (``TryAgain``).

        One that is under way runs to its end.
        """
        if not reply.done() and (self._current is None or self._current.reply is not reply):
            reply.set_exception(TryAgain())

    @property
    def descriptors(self) -> tuple[int, int]:
        """Where the agent is read and where it is written, the same for a socket. Only while there is a connection."""
        return self._descriptors[0], self._descriptors[-1]

    @property
    def queued(self) -> int:
        """Requests and notices that wait for their turn."""
        return len(self._queue)

    def _is_crowded(self) -> bool:
        """Do as many requests wait as may? Those that were given up are no more in the way then."""
        if len(self._queue) - self._notices < _MOST_REQUESTS:
            return False
        self._queue = deque([each for each in self._queue if each.reply is None or not each.reply.done()])
        return len(self._queue) - self._notices >= _MOST_REQUESTS

    def _next(self) -> None:
        while self._current is None and self._queue and self.ready and not self._full and self._lost is not None:
            exchange = self._queue.popleft()
            if exchange.reply is None:
                self._notices -= 1
                if self._latest.get(exchange.about) is exchange:
                    del self._latest[exchange.about]
                self._send(exchange.request)
                self._forget_profile(exchange.ends)
                exchange.settle()
            elif not exchange.reply.done():
                self._start(exchange)

    def _start(self, exchange: Exchange) -> None:
        self._current = exchange
        if exchange.patience is not None:
            exchange.patience.cancel()
        before = b""
        if exchange.view is not None and not self._has_profile(exchange.view):
            slot, profile = self._profile = exchange.view
            before = encode(ProfilePdu(0, profile, sender=slot), self.channel)
        self._began = time.perf_counter()
        self._stop_timer()
        self._start_timer()
        self._send(exchange.request, before)

    def _has_profile(self, view: tuple[int, Profile]) -> bool:
        have = self._profile
        return have is not None and have[0] == view[0] and (have[1] is view[1] or have[1] == view[1])

    def _forget_profile(self, ended: int | None) -> None:
        if self._profile is not None and self._profile[0] == ended:
            self._profile = None

    def _send(self, request: bytes, before: bytes = b"") -> None:
        """Write a PDU, and one ``before`` it that belongs to it."""
        for frame in (before, request) if before else (request,):
            self._pdus.pdu_out[frame_type(frame) & 63] += 1
            if self._pdus.pdu_trace is not None:
                self._pdus.pdu_trace("Xmit", frame, f"agent={self.name}")
        self._write(before + request)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.hard_limit_s(), self._silent)

    def _silent(self) -> None:
        self.hangs = True
        failure = self._current.silent if self._current is not None else NoAgent
        what = "reply" if self._current is not None else "reading"
        self.end(f"no {what} within {self.hard_limit_s():g} s", failure)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Replies

    def _take(self, frame: bytes) -> None:
        if self.channel.version == UNKNOWN_VERSION and not self._first.done():
            self._first.set_result(frame)
        elif is_version_1(self.channel) and frame_type(frame) == PduType.CREDS:
            self.end("credentials, which version 1 does not have; its line in the configuration says version1")
        elif not self.ready:
            self._take_ready(frame)
        elif self._current is None:
            self._take_unasked(frame)
        else:
            self._take_reply(frame, self._current)

    def _take_unasked(self, frame: bytes) -> None:
        """Dropped, and never taken as the next reply; an agent that goes on with it is ended."""
        self._unasked += 1
        if self._unasked == 1:
            log.warning("%s: a PDU of type %#x that nobody asked for; dropped", self.name, frame_type(frame))
        elif self._unasked > _MOST_UNASKED:
            self.end(f"{self._unasked} PDUs that nobody asked for")

    def _take_ready(self, frame: bytes) -> None:
        """Not ready, an agent may say one thing only: that it is."""
        if frame_type(frame) == PduType.ERROR and self._code_of(frame) == AgentReady.code:
            self.ready = True
            self._next()
        else:
            self.end("a PDU while not ready")

    def _take_reply(self, frame: bytes, exchange: Exchange) -> None:
        self._stop_timer()
        if self._full:  # it has answered, and still does not read
            self._start_timer()
        self._current = None
        self._statistics.answered(time.perf_counter() - self._began)
        type_ = frame_type(frame)
        if type_ == PduType.ERROR:
            self._take_error(self._code_of(frame), exchange, frame)
        elif type_ == exchange.expect:
            exchange.deliver(frame)
        else:
            self._current = exchange
            self.end(f"a reply of type {type_:#x} instead of {exchange.expect:#x}")
        self._next()

    def _take_error(self, code: int, exchange: Exchange, frame: bytes) -> None:
        if code == AgentNotReady.code:
            self.ready = False
            exchange.fail(TryAgain())
            self._refuse_queued()
        elif code in _DROPPING or code == AgentReady.code:
            self._current = exchange
            self.end(f"the agent answered {from_code(code)}")
        elif code >= 0 and exchange.expect != PduType.ERROR:
            exchange.fail(GenericError())
        elif code < 0:
            exchange.fail(from_code(code))
        else:
            exchange.deliver(frame)

    def _refuse_queued(self) -> None:
        """Requests do not wait for an agent to become ready; notices do."""
        refused = [each for each in self._queue if each.reply is not None]
        self._queue = deque([each for each in self._queue if each.reply is None])
        for each in refused:
            each.fail(TryAgain())

    def _code_of(self, frame: bytes) -> int:
        """The code of an ERROR; one that cannot be read says that the agent has lost its place."""
        try:
            error = decode(frame, self.channel)
        except PcpError:
            return ProtocolError.code
        return error.code if isinstance(error, Error) else ProtocolError.code


def _abort(transport: asyncio.BaseTransport) -> None:
    """What an agent has not read by now is not for it any more; to wait until it does may be for ever."""
    try:
        cast(asyncio.WriteTransport, transport).abort()
    except (AttributeError, NotImplementedError):  # the half of a pair of pipes that is read has nothing to give up
        transport.close()


def _not_connected(request: bytes) -> None:
    """Writing to an agent that is gone: its end is on its way to us."""
