"""One client: its bytes in, its replies out, one request at a time and in order.

What can be answered without waiting is answered in the callback that brought the bytes; a task exists only for a
request that has to wait for an agent, and then the client's next requests wait with it.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import ssl
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast

from pypcp.errors import MissingProfile, OsError, PcpError, PermissionDenied, ProtocolError, TlsError, TooBig
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.pmcd import metadata
from pypcp.pmcd.access_statements import Operation
from pypcp.pmcd.asking import Asking, answer
from pypcp.pmcd.fetch import gather
from pypcp.pmcd.gate import Pass
from pypcp.pmcd.greeting import Greeting
from pypcp.pmcd.plan import SLICE, PlanView
from pypcp.pmcd.requests import ANSWERS
from pypcp.pmda.interface import Client
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.framing import HEADER_SIZE, FrameReader, frame_type
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Pdu, PduType, decode, encode
from pypcp.wire.session import VERSION_1_REQUESTS
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2, Channel

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

log = logging.getLogger(__name__)

_PMIDS_AT: Final = HEADER_SIZE + 16
_SHORT_FRAME: Final = _PMIDS_AT + 4 * SLICE
_MEMO_BYTES: Final = 8192
_MEMO_SIZE: Final = 4
"""A client's last few fetch lists are found by the bytes of the whole request, if these are not many."""
_PROGRESS_BYTES: Final = 64 << 10
"""Who reads this much of his replies within the time for writing is given the same time again."""
_VERSION_1_REPLY: Final = 256 << 10
"""Replies of version 1 are encoded anew in one go; there were no long ones in its days."""
_REST: Final = "the rest of a PDU did not come"
_OF_VERSION_1: Final = VERSION_1_REQUESTS | {PduType.CREDS}
_MUST_NOT: Final = "%s: a request failed in a way it must not; the client is dropped"


class ClientConnection(asyncio.Protocol):
    """The daemon's end of a client's stream.

    ``client`` is what agents see of it, ``entered`` what it was let in on, ``fd`` its descriptor. ``address`` is its IP
    address, None for the UNIX socket; ``is_private``: nobody else can read along.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.client = Client()
        self.channel = Channel(socket=True)
        self.entered = Pass(None)
        self.address: str | None = None
        self.is_private = False
        self.changes = 0
        self.peer = "?"
        self.fd = -1
        self.number = -1
        self.since = time.time()
        self.whoami = ""
        self._frames = FrameReader(daemon.limits.pdu_bytes)
        self._queue: deque[bytes] = deque()
        self._profiles: dict[int, Profile] = {}
        self._memo: dict[bytes, weakref.ref[PlanView]] = {}
        self._memo_of: object = None
        self._task: asyncio.Task[None] | None = None
        self._full = False
        self._reading = True
        self._may_be_version_1 = True
        self._next_frame: asyncio.Future[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._awaited = ""

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client: the server speaks first."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(self.daemon.limits.write_buffer_bytes)
        try:
            self.daemon.admit(self, self._transport.get_extra_info("socket"))
        except PcpError as error:
            self.say(Challenge(error.code))
            self._transport.close()
            return
        self.say(Challenge(features=self.daemon.features))
        self._limit_wait()

    def data_received(self, data: bytes) -> None:
        """Answer what is whole; wait, but not for long, for the rest."""
        self.daemon.channels.last_fd = self.fd
        known = self._memo.get(data)
        if known is not None and (view := known()) is not None and self._may_answer_again(view):
            self._answer_again(view)
            return
        try:
            frames = self._frames.feed(data)
        except PcpError as error:
            self.drop(str(error))
            return
        if frames and self._awaited == _REST:
            self._stop_waiting()
        if frames and self._next_frame is not None:
            self._next_frame.set_result(frames.pop(0))
            self._next_frame = None
        self._queue.extend(frames)
        self._take_turn()
        if self._timer is not None or self._frames.pending:
            self._limit_wait()

    def pause_writing(self) -> None:
        """The client does not read: answer nothing more, and not for ever."""
        self._full = True
        self.daemon.unread.hold(self, self._transport.get_write_buffer_size())
        self._steer_reading()
        self._limit_wait()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._full = False
        self.daemon.unread.release(self)
        self._limit_wait()
        self._take_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; a request of it that waits for an agent is given up, the agent's work is not."""
        self._stop_waiting()
        self._queue.clear()
        if self._task is not None:
            # Not before it has begun: what it is to wait for would never be waited for.
            asyncio.get_running_loop().call_soon(self._task.cancel)
            self._task = None
        for profile in self._profiles.values():
            self.daemon.profiles.swap(profile, None)
        self._profiles.clear()
        self.daemon.forget(self)

    def drop(self, why: str) -> None:
        """Close at once, without a word: what stock does to a peer that breaks the protocol."""
        log.debug("x %s: %s", self.peer, why)
        self._queue.clear()
        self._transport.abort()

    def close(self) -> None:
        """Send what is still to be sent, but not for ever, and close."""
        self._queue.clear()
        self._transport.close()
        self._limit_wait()

    def _limit_wait(self) -> None:
        """Whatever is waited for now, there is an end to it, which does not move while it is the same wait."""
        if self._transport.is_closing():
            awaited, seconds = "the last reply is not read", self.daemon.limits.write_s
        elif not self.entered.welcome:
            awaited, seconds = "no credentials", self.daemon.limits.hello_s
        elif self._full:
            awaited, seconds = "replies are not read", self.daemon.limits.write_s
        elif self._frames.pending:
            awaited, seconds = _REST, self.daemon.limits.pdu_s
        else:
            self._stop_waiting()
            return
        if awaited != self._awaited:
            self._stop_waiting()
            self._awaited = awaited
            self._start_timer(seconds)

    def _start_timer(self, seconds: float) -> None:
        unread = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end_wait, seconds, unread)

    def _end_wait(self, seconds: float, unread: int) -> None:
        if self._full and unread - self._transport.get_write_buffer_size() >= _PROGRESS_BYTES:
            self._start_timer(seconds)  # a long reply over a slow line
        else:
            self.drop(f"{self._awaited} within {seconds:g} s")

    def _stop_waiting(self) -> None:
        self._awaited = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _steer_reading(self) -> None:
        """Read on only where nothing waits that was read before: so there is never more of it than one read brings."""
        wanted = not (self._queue or self._full)
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    # Requests, in order

    def _take_turn(self) -> None:
        """Answer the requests that wait, but let other clients have their turn too."""
        queue = self._queue
        if queue and self._task is None and not self._full:
            self._serve(queue.popleft())
            if queue and self._task is None and not self._full:
                self.daemon.turns.ask(self._serve_more)
        if queue or not self._reading:
            self._steer_reading()

    def _serve_more(self) -> None:
        queue = self._queue
        end = time.perf_counter() + self.daemon.limits.turn_s
        while queue and self._task is None and not self._full and time.perf_counter() < end:
            self._serve(queue.popleft())
        self._take_turn()

    def _serve(self, frame: bytes) -> None:
        type_ = frame_type(frame)
        statistics = self.daemon.statistics
        statistics.pdu_in[type_ & 63] += 1
        if statistics.pdu_trace is not None:
            statistics.pdu_trace("Recv", frame, f"fd={self.fd}")
        try:
            if not self.entered.welcome and type_ != PduType.CREDS and not self._is_version_1(type_):
                self.drop("a request without credentials that were accepted")
                return
            if type_ == PduType.HIGHRES_FETCH or type_ == PduType.FETCH:
                reply: bytes | Awaitable[bytes | None] | None = self._fetch(frame)
            else:
                reply = self._answer(type_, frame)
        except PcpError as error:
            reply = self._refuse(error)
        except Exception:
            log.exception(_MUST_NOT, self.peer)
            self.drop("internal error")
            return
        if reply is None:
            return
        if isinstance(reply, bytes):
            self._send(reply)
        else:
            self._task = asyncio.get_running_loop().create_task(self._reply_later(reply))

    async def _reply_later(self, pending: Awaitable[bytes | None]) -> None:
        reply: bytes | None
        try:
            reply = await pending
        except PcpError as error:
            reply = self._refuse(error)
        except Exception:
            log.exception(_MUST_NOT, self.peer)
            self.drop("internal error")
            return
        self._task = None
        if self._transport.is_closing():
            return
        if reply is not None:
            self._send(reply)
        self._take_turn()

    def _refuse(self, error: PcpError) -> bytes:
        self._may_be_version_1 = False
        log.debug("> %s: %s", self.peer, error)
        return encode(Error(error.code), self.channel)

    def _send(self, reply: bytes) -> None:
        if self._transport.is_closing():
            return
        statistics = self.daemon.statistics
        statistics.pdu_out[frame_type(reply) & 63] += 1
        if statistics.pdu_trace is not None:
            statistics.pdu_trace("Xmit", reply, f"fd={self.fd}")
        self._transport.write(reply)

    # Fetching: the hot path

    def _may_answer_again(self, view: PlanView) -> bool:
        """Is there nothing before this request, nothing else to do with it, and the same answer to be had as before?

        While a timer runs something is awaited, so without one there is no part of a PDU either.
        """
        daemon = self.daemon
        return (
            self._memo_of is daemon.plans
            and not (view.long or view.processes)
            and not (self._queue or self._full or self.changes)
            and self._task is None
            and self._timer is None
            and self.channel.version != PDU_VERSION1
            and daemon.statistics.pdu_trace is None
            and not daemon.host_name.due
        )

    def _answer_again(self, view: PlanView) -> None:
        """The shortest way, for the request that a client repeats all day."""
        daemon = self.daemon
        statistics = daemon.statistics
        statistics.pdu_in[view.request_type & 63] += 1
        try:
            reply = view.answer(self.client, daemon.moment(self.client))
        except PcpError as error:
            self._send(self._refuse(error))
            return
        if self.changes:  # told by the agents of this very fetch
            reply = self._finish(reply)
        statistics.pdu_out[view.reply_type & 63] += 1
        self._transport.write(reply)

    def _fetch(self, frame: bytes) -> bytes | Awaitable[bytes]:
        daemon = self.daemon
        if daemon.host_name.due:
            daemon.look_at_host_name()
        view = self._known(frame)
        if view is None and len(frame) <= _SHORT_FRAME:
            view = self._plan(frame)
        if view is None or not view.brief:
            return self._fetch_in_turns(frame)
        if view.processes:
            return self._fetch_later(view)
        if view.long:
            return self._fetch_in_its_turn(view)
        return self._finish(view.answer(self.client, daemon.moment(self.client)))

    def _known(self, frame: bytes) -> PlanView | None:
        """What was worked out for these bytes, if it still holds and somebody has kept it."""
        if self._memo_of is not self.daemon.plans:
            self._memo.clear()
            self._memo_of = self.daemon.plans
        known = self._memo.get(frame)
        return known() if known is not None else None

    async def _fetch_in_its_turn(self, view: PlanView) -> bytes:
        """A long list that is answered soon is answered in one go, but one such in a round of the loop."""
        await self.daemon.turns.turn()
        return self._finish(view.answer(self.client, None))

    async def _fetch_later(self, view: PlanView) -> bytes:
        gathered = await gather(view, self.client, self.daemon.limits.agent_soft_s)
        return self._finish(view.render(self.client, None, gathered)[1])

    async def _fetch_in_turns(self, frame: bytes) -> bytes:
        """A long list takes a while: few such at a time, in slices, and the short requests of others between them."""
        room = self.daemon.turns.room_for((len(frame) - _PMIDS_AT) >> 2)
        async with room:
            await self.daemon.turns.turn()
            view = self._known(frame) or self._plan(frame)
        gathered = await gather(view, self.client, self.daemon.limits.agent_soft_s)
        async with room, view.in_use:
            if view.brief:
                return self._finish(view.render(self.client, None, gathered)[1])
            return self._finish(await view.answer_in_turns(self.client, gathered, self.daemon.turns))

    def _finish(self, reply: bytes) -> bytes:
        """What goes out: the changes since the last reply as a positive ERROR before it; or all of it as version 1."""
        self.daemon.plans.make_room()
        if self.channel.version == PDU_VERSION1:
            if len(reply) > _VERSION_1_REPLY:
                raise TooBig(f"a reply of {len(reply)} bytes; the limit is {_VERSION_1_REPLY} in version 1")
            return encode(decode(reply), self.channel)
        changes, self.changes = self.changes, 0
        if changes:
            self.say(Error(changes))
        return reply

    def _plan(self, frame: bytes) -> PlanView:
        """Check the request whole, once; the same bytes need no checking again."""
        self._need(Operation.FETCH)
        request = decode(frame, self.channel)
        assert isinstance(request, Fetch)
        if request.highres and self.channel.version == PDU_VERSION1:
            raise ProtocolError("version 1 has no high resolution")
        if len(request.pmids) > self.daemon.limits.metrics:
            raise TooBig(f"{len(request.pmids)} metrics in a fetch; the limit is {self.daemon.limits.metrics}")
        profile = self._profiles.get(request.context)
        if profile is None:
            raise MissingProfile(f"context {request.context}")
        view = self.daemon.plans.view(frame[_PMIDS_AT:], request.highres, profile)
        if len(self._memo) >= _MEMO_SIZE or sum(map(len, self._memo)) + len(frame) > _MEMO_BYTES:
            self._memo.clear()
        if len(frame) <= _MEMO_BYTES:
            self._memo[frame] = weakref.ref(view)
        return view

    # Everything else

    def _answer(self, type_: int, frame: bytes) -> bytes | Awaitable[bytes | None] | None:
        if type_ not in _ABOUT_ITSELF and type_ not in ANSWERS:
            raise ProtocolError(f"no request has the type {type_:#x}")
        if self.channel.version == PDU_VERSION1 and type_ not in _OF_VERSION_1:
            raise ProtocolError(f"version 1 has no request of the type {type_:#x}")
        if type_ != PduType.CREDS:
            self._need(Operation.STORE if type_ == PduType.RESULT else Operation.FETCH)
        pdu = decode(frame, self.channel)
        if (handler := _ABOUT_ITSELF.get(type_)) is not None:
            asking = handler(self, pdu)
        else:
            asking = ANSWERS[type_](self.daemon.router, self.client, pdu)
        if asking is None:
            return None
        if isinstance(asking, Awaitable):
            return asking
        reply = answer(asking, self.daemon.turns)
        return self._encode_later(reply) if isinstance(reply, Awaitable) else encode(reply, self.channel)

    async def _encode_later(self, pending: Awaitable[Pdu]) -> bytes:
        return encode(await pending, self.channel)

    def _need(self, operation: Operation) -> None:
        if self.entered.denied & operation:
            raise PermissionDenied()

    # The greeting

    def _credentials(self, pdu: Creds) -> Awaitable[None] | None:
        """CREDS: without a version they say nothing; success is silent.

        Once is enough: who may change its attributes over and over keeps every agent busy with being told.
        """
        self._may_be_version_1 = False
        self.channel.features = pdu.flags
        if self.entered.welcome and (pdu.flags or self.channel.version == PDU_VERSION1):
            raise ProtocolError("credentials after those that were accepted")
        if self.entered.welcome or not pdu.version:
            return None
        steps = Greeting(self, pdu).begin()
        if steps is None:
            self._let_in(PDU_VERSION2)
            return None
        return self._greet(steps)

    async def _greet(self, steps: Awaitable[None]) -> None:
        await steps
        self._let_in(PDU_VERSION2)

    def _let_in(self, version: int) -> None:
        self.channel.version = version
        self.entered.welcome = True
        self._limit_wait()

    def _is_version_1(self, type_: int) -> bool:
        """Is this the first request of a version-1 client, and may there be such? It has no attributes, never stores.

        See: __pmAddIPC(3)
        """
        if not self._may_be_version_1 or type_ not in VERSION_1_REQUESTS:
            return False
        if not self.daemon.accepts_version_1:
            return False
        self.entered.never |= Operation.STORE
        self._let_in(PDU_VERSION1)
        return True

    @property
    def is_local(self) -> bool:
        """Is the client on this host?"""
        return self.address is None or ipaddress.ip_address(self.address).is_loopback

    def say(self, pdu: Pdu) -> None:
        """Send a PDU."""
        self._send(encode(pdu, self.channel))

    async def next_pdu(self) -> Pdu:
        """The client's next PDU, while it is being greeted."""
        if self._queue:
            return decode(self._queue.popleft())
        self._next_frame = asyncio.get_running_loop().create_future()
        self._steer_reading()
        try:
            return decode(await self._next_frame)
        finally:
            self._next_frame = None

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on under TLS. ``TlsError``; bytes that came before it would be read as if they were under it."""
        if self._queue or self._frames.pending:
            raise TlsError("bytes in clear where TLS should begin")
        loop = asyncio.get_running_loop()
        below = self._transport
        try:
            transport = await loop.start_tls(below, self, context, server_side=True)
            if transport is None or self._transport.is_closing():  # uvloop gives one that leads nowhere
                raise ConnectionResetError("the connection ended in the middle of the handshake")
        except BaseException as error:
            self.drop(f"no TLS: {error}")
            loop.call_soon(self.connection_lost, None)  # in the middle of a handshake the event loops do not tell us
            if isinstance(error, OSError | ssl.SSLError):
                raise TlsError(str(error)) from error
            raise
        self._transport = transport
        self._transport.set_write_buffer_limits(self.daemon.limits.write_buffer_bytes)
        self.is_private = True
        if not self._reading:
            # A request came with the end of the handshake, before there was this transport to pause.
            below.resume_reading()
            self._reading = True
            self._steer_reading()

    def _profile(self, pdu: ProfilePdu) -> None:
        """PROFILE: kept for its context, no answer."""
        if self.daemon.host_name.due:
            self.daemon.look_at_host_name()
        if pdu.context >= self.daemon.limits.contexts:
            raise OsError(-errno.EAGAIN, f"context {pdu.context}; the limit is {self.daemon.limits.contexts}")
        self.daemon.profiles.swap(self._profiles.get(pdu.context), pdu.profile)
        self._profiles[pdu.context] = pdu.profile if pdu.profile != EVERYTHING else EVERYTHING
        self._memo.clear()

    def _labels(self, pdu: Any) -> Asking[Pdu]:
        # Stock looks the profile up under the client's slot; the client's first context is what it means.
        profile = self._profiles.get(0, EVERYTHING)
        return metadata.labels(self.daemon.router, self.client, pdu, self.daemon.context_labels(self.client), profile)


_Handler = Callable[[ClientConnection, Any], "Asking[Pdu] | Awaitable[None] | None"]

_ABOUT_ITSELF: Final[dict[int, _Handler]] = {
    PduType.CREDS: ClientConnection._credentials,
    PduType.PROFILE: ClientConnection._profile,
    PduType.LABEL_REQ: ClientConnection._labels,
}
"""What is answered from what the connection knows of its client; the rest is in :data:`ANSWERS`."""
