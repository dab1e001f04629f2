"""One client: its bytes in, its replies out, one request at a time and in order.

What can be answered without waiting is answered in the callback that brought the bytes; a task exists only for a
request that has to wait for an agent, and then the client's next requests wait with it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast

from pypcp.errors import PcpError, PermissionDenied, ProtocolError, TlsError, TooBig
from pypcp.pmcd import metadata
from pypcp.pmcd.access_statements import Operation
from pypcp.pmcd.asking import Asking, answer
from pypcp.pmcd.client_fetches import ClientFetches
from pypcp.pmcd.gate import Pass
from pypcp.pmcd.greeting import comes_as_version_1, take_credentials
from pypcp.pmcd.patience import Patience
from pypcp.pmcd.plan import PlanView
from pypcp.pmcd.requests import ANSWERS
from pypcp.pmda.interface import Client
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.framing import FrameReader, frame_type
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Pdu, PduType, decode, encode
from pypcp.wire.session import VERSION_1_REQUESTS
from pypcp.wire.versions import PDU_VERSION1, Channel

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

log = logging.getLogger(__name__)

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
        self.may_be_version_1 = True
        self._fetches = ClientFetches(daemon, self.client, self.channel)
        self._patience = Patience()
        self._frames = FrameReader(daemon.limits.pdu_bytes)
        self._queue: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        self._full = False
        self._reading = True
        self._next_frame: asyncio.Future[bytes] | None = None

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
        self.limit_wait()

    def data_received(self, data: bytes) -> None:
        """Answer what is whole; wait, but not for long, for the rest."""
        self.daemon.channels.last_fd = self.fd
        known = self._fetches.memo.get(data)
        if known is not None and (view := known()) is not None and self._may_answer_again(view):
            self._answer_again(view)
            return
        try:
            frames = self._frames.feed(data)
        except PcpError as error:
            self.drop(str(error))
            return
        if frames and self._patience.awaited == _REST:
            self._patience.stop()
        if frames and self._next_frame is not None:
            self._next_frame.set_result(frames.pop(0))
            self._next_frame = None
        self._queue.extend(frames)
        self._take_turn()
        if self._patience.awaited or self._frames.pending:
            self.limit_wait()

    def pause_writing(self) -> None:
        """The client does not read: answer nothing more, and not for ever."""
        self._full = True
        self.daemon.unread.hold(self, self._transport.get_write_buffer_size())
        self._steer_reading()
        self.limit_wait()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._full = False
        self.daemon.unread.release(self)
        self.limit_wait()
        self._take_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; a request of it that waits for an agent is given up, the agent's work is not."""
        self._patience.stop()
        self._queue.clear()
        if self._task is not None:
            # Not before it has begun: what it is to wait for would never be waited for.
            asyncio.get_running_loop().call_soon(self._task.cancel)
            self._task = None
        self._fetches.forget()
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
        self.limit_wait()

    def limit_wait(self) -> None:
        """Whatever is waited for now, there is an end to it."""
        limits = self.daemon.limits
        unread = self._transport.get_write_buffer_size
        if self._transport.is_closing():
            self._patience.wait("the last reply is not read", limits.write_s, self.drop, unread)
        elif not self.entered.welcome:
            self._patience.wait("no credentials", limits.hello_s, self.drop)
        elif self._full:
            self._patience.wait("replies are not read", limits.write_s, self.drop, unread)
        elif self._frames.pending:
            self._patience.wait(_REST, limits.pdu_s, self.drop)
        else:
            self._patience.stop()

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
            if not self.entered.welcome and type_ != PduType.CREDS and not comes_as_version_1(self, type_):
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
        except asyncio.CancelledError:
            self.drop("a request was given up")  # by the end of its client; by any other it would be awaited for ever
            raise
        self._task = None
        if self._transport.is_closing():
            return
        if reply is not None:
            self._send(reply)
        self._take_turn()

    def _refuse(self, error: PcpError) -> bytes:
        self.may_be_version_1 = False
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

    # The hot path: a fetch that is repeated

    def _may_answer_again(self, view: PlanView) -> bool:
        """Is there nothing before this request, nothing else to do with it, and the same answer to be had as before?

        Where nothing is awaited there is no part of a PDU either.
        """
        daemon = self.daemon
        return (
            not (view.void or view.long or view.processes)
            and not (self._queue or self._full or self.changes)
            and self._task is None
            and not self._patience.awaited
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
        if self.daemon.host_name.due:
            self.daemon.look_at_host_name()
        self._need(Operation.FETCH)
        reply = self._fetches.fetch(frame)
        return self._finish(reply) if isinstance(reply, bytes) else self._finish_later(reply)

    async def _finish_later(self, pending: Awaitable[bytes]) -> bytes:
        return self._finish(await pending)

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

    # What its way in needs of it

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

    def _credentials(self, pdu: Creds) -> Awaitable[None] | None:
        return take_credentials(self, pdu)

    def _profile(self, pdu: ProfilePdu) -> None:
        if self.daemon.host_name.due:
            self.daemon.look_at_host_name()
        self._fetches.take_profile(pdu)

    def _labels(self, pdu: Any) -> Asking[Pdu]:
        # Stock looks the profile up under the client's slot; the client's first context is what it means.
        profile = self._fetches.profile_of(0)
        return metadata.labels(self.daemon.router, self.client, pdu, self.daemon.context_labels(self.client), profile)


_Handler = Callable[[ClientConnection, Any], "Asking[Pdu] | Awaitable[None] | None"]

_ABOUT_ITSELF: Final[dict[int, _Handler]] = {
    PduType.CREDS: ClientConnection._credentials,
    PduType.PROFILE: ClientConnection._profile,
    PduType.LABEL_REQ: ClientConnection._labels,
}
"""What is answered from what the connection knows of its client; the rest is in :data:`ANSWERS`."""
