"""One client: its bytes in, its replies out, one request at a time and in order.

What can be answered without waiting is answered in the callback that brought the bytes; a task exists only for a
request that has to wait for an agent, and then the client's next requests wait with it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast

from pypcp.errors import MissingProfile, OsError, PcpError, PermissionDenied, ProtocolError, TooBig
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.pmcd import metadata, names, store
from pypcp.pmcd.asking import Asking, answer
from pypcp.pmcd.fetch import gather
from pypcp.pmcd.plan import PlanView
from pypcp.pmda.interface import Client
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.framing import HEADER_SIZE, FrameReader, frame_type
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Feature, Pdu, PduType, decode, encode
from pypcp.wire.versions import Channel

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

log = logging.getLogger(__name__)

_PMIDS_AT: Final = HEADER_SIZE + 16
_MEMO_FRAME: Final = 2048
_MEMO_SIZE: Final = 4
"""A client's last few fetch lists are found by the bytes of the whole request, if they are not long."""

_FROM_CLIENT: Final = (
    Feature.SECURE
    | Feature.COMPRESS
    | Feature.AUTH
    | Feature.CREDS_REQD
    | Feature.SECURE_ACK
    | (Feature.CONTAINER | Feature.CERT_REQD)
)


class ClientConnection(asyncio.Protocol):
    """The daemon's end of a client's stream.

    ``client`` is what agents see of it, ``may_fetch`` and ``may_store`` what it is allowed.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.client = Client()
        self.channel = Channel()
        self.may_fetch = True
        self.may_store = False
        self.changes = 0
        self.peer = "?"
        self._limits = daemon.limits
        self._frames = FrameReader(daemon.limits.pdu_bytes)
        self._queue: deque[bytes] = deque()
        self._profiles: dict[int, Profile] = {}
        self._memo: dict[bytes, PlanView] = {}
        self._memo_of: object = None
        self._task: asyncio.Task[None] | None = None
        self._full = False
        self._welcome = False
        self._timer: asyncio.TimerHandle | None = None

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client: the server speaks first."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(self._limits.write_buffer_bytes)
        self.daemon.admit(self, self._transport.get_extra_info("socket"))
        self._send(encode(Challenge(features=self.daemon.features)), PduType.ERROR)
        self._wait_at_most(self._limits.hello_s, "no credentials")

    def data_received(self, data: bytes) -> None:
        """Answer what is whole; wait, but not for long, for the rest."""
        try:
            frames = self._frames.feed(data)
        except PcpError as error:
            self.drop(str(error))
            return
        self._queue.extend(frames)
        if self._frames.pending:
            if frames or self._timer is None:
                self._wait_at_most(self._limits.pdu_s, "the rest of a PDU did not come")
        elif self._timer is not None and self._welcome:
            self._stop_waiting()
        self._take_turn()

    def pause_writing(self) -> None:
        """The client does not read: answer nothing more, and not for ever."""
        self._full = True
        self._transport.pause_reading()
        self._wait_at_most(self._limits.write_s, "replies are not read")

    def resume_writing(self) -> None:
        """The client reads again."""
        self._full = False
        self._stop_waiting()
        self._transport.resume_reading()
        self._take_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; a request of it that waits for an agent is given up, the agent's work is not."""
        self._stop_waiting()
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
        self.daemon.forget(self)

    def drop(self, why: str) -> None:
        """Close at once, without a word: what stock does to a peer that breaks the protocol."""
        log.debug("x %s: %s", self.peer, why)
        self._queue.clear()
        self._transport.abort()

    def _wait_at_most(self, seconds: float, why: str) -> None:
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.drop, f"{why} within {seconds:g} s")

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Requests, in order

    def _take_turn(self) -> None:
        """Answer the requests that wait, but let other clients have their turn too."""
        queue = self._queue
        if not queue or self._task is not None or self._full:
            return
        self._serve(queue.popleft())
        if not queue:
            return
        end = time.perf_counter() + self._limits.turn_s
        while queue and self._task is None and not self._full:
            self._serve(queue.popleft())
            if time.perf_counter() > end and queue:
                self._transport.pause_reading()
                asyncio.get_running_loop().call_soon(self._next_turn)
                return

    def _next_turn(self) -> None:
        if not self._full and not self._transport.is_closing():
            self._transport.resume_reading()
        self._take_turn()

    def _serve(self, frame: bytes) -> None:
        type_ = frame_type(frame)
        statistics = self.daemon.statistics
        statistics.pdu_in[type_ & 63] += 1
        try:
            if not self._welcome and type_ != PduType.CREDS:
                self.drop("a request before credentials")
                return
            if type_ == PduType.HIGHRES_FETCH or type_ == PduType.FETCH:
                reply: bytes | Awaitable[bytes] | None = self._fetch(frame)
            else:
                reply = self._answer(type_, frame)
        except PcpError as error:
            reply = self._refuse(error)
        if reply is None:
            return
        if isinstance(reply, bytes):
            self._send(reply, frame_type(reply))
        else:
            self._task = asyncio.get_running_loop().create_task(self._reply_later(reply))

    async def _reply_later(self, pending: Awaitable[bytes]) -> None:
        try:
            reply = await pending
        except PcpError as error:
            reply = self._refuse(error)
        except Exception:
            log.exception("%s: a request failed in a way it must not; the client is dropped", self.peer)
            self.drop("internal error")
            raise
        self._send(reply, frame_type(reply))
        self._task = None
        self._take_turn()

    def _refuse(self, error: PcpError) -> bytes:
        log.debug("> %s: %s", self.peer, error)
        return encode(Error(error.code), self.channel)

    def _send(self, reply: bytes, type_: int) -> None:
        self.daemon.statistics.pdu_out[type_ & 63] += 1
        self._transport.write(reply)

    # Fetching: the hot path

    def _fetch(self, frame: bytes) -> bytes | Awaitable[bytes]:
        daemon = self.daemon
        if self._memo_of is not daemon.plans:
            self._memo.clear()
            self._memo_of = daemon.plans
        view = self._memo.get(frame)
        if view is None:
            view = self._plan(frame)
        if view.processes:
            return self._fetch_later(view)
        reply = view.answer(self.client, daemon.moment())
        return self._announce() + reply if self.changes else reply

    async def _fetch_later(self, view: PlanView) -> bytes:
        reply = await gather(view, self.client, self._limits.agent_soft_s)
        return self._announce() + reply if self.changes else reply

    def _announce(self) -> bytes:
        """What changed since the last reply, as the positive ERROR that goes before a result."""
        changes, self.changes = self.changes, 0
        self.daemon.statistics.pdu_out[PduType.ERROR & 63] += 1
        return encode(Error(changes))

    def _plan(self, frame: bytes) -> PlanView:
        """Check the request whole, once; the same bytes need no checking again."""
        self._need(self.may_fetch)
        request = decode(frame, self.channel)
        assert isinstance(request, Fetch)
        if len(request.pmids) > self._limits.metrics:
            raise TooBig(f"{len(request.pmids)} metrics in a fetch; the limit is {self._limits.metrics}")
        profile = self._profiles.get(request.context)
        if profile is None:
            raise MissingProfile(f"context {request.context}")
        view = self.daemon.plans.plan(frame[_PMIDS_AT:], request.highres).view(profile)
        if len(frame) <= _MEMO_FRAME:
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            self._memo[frame] = view
        return view

    # Everything else

    def _answer(self, type_: int, frame: bytes) -> bytes | Awaitable[bytes] | None:
        handler = _HANDLERS.get(type_)
        if handler is None:
            raise ProtocolError(f"no request has the type {type_:#x}")
        if type_ != PduType.CREDS:
            self._need(self.may_store if type_ == PduType.RESULT else self.may_fetch)
        asking = handler(self, decode(frame, self.channel))
        if asking is None:
            return None
        reply = answer(asking)
        return self._encode_later(reply) if isinstance(reply, Awaitable) else encode(reply, self.channel)

    async def _encode_later(self, pending: Awaitable[Pdu]) -> bytes:
        return encode(await pending, self.channel)

    def _need(self, allowed: bool) -> None:
        if not allowed:
            raise PermissionDenied()

    def _credentials(self, pdu: Creds) -> None:
        """CREDS: success is silent. A client may not echo what only a server offers."""
        if pdu.flags & ~_FROM_CLIENT:
            raise ProtocolError(f"credentials with the flags {pdu.flags:#x}")
        if pdu.flags & Feature.COMPRESS:
            raise OsError(-errno.EOPNOTSUPP, "compression")
        if pdu.version:
            self.channel.version = pdu.version
            self._welcome = True
            self._stop_waiting()
            self.daemon.welcome(self.client)

    def _profile(self, pdu: ProfilePdu) -> None:
        """PROFILE: kept for its context, no answer."""
        if pdu.context >= self._limits.contexts:
            raise OsError(-errno.EAGAIN, f"context {pdu.context}; the limit is {self._limits.contexts}")
        self._profiles[pdu.context] = pdu.profile if pdu.profile != EVERYTHING else EVERYTHING
        self._memo.clear()

    def _labels(self, pdu: Any) -> Asking[Pdu]:
        # Stock looks the profile up under the client's slot; the client's first context is what it means.
        profile = self._profiles.get(0, EVERYTHING)
        return metadata.labels(self.daemon.router, self.client, pdu, self.daemon.context_labels(self.client), profile)


_Handler = Callable[[ClientConnection, Any], "Asking[Pdu] | None"]

_HANDLERS: Final[dict[int, _Handler]] = {
    PduType.CREDS: ClientConnection._credentials,
    PduType.PROFILE: ClientConnection._profile,
    PduType.DESC_REQ: lambda self, pdu: metadata.describe(self.daemon.router, self.client, pdu),
    PduType.DESC_IDS: lambda self, pdu: metadata.describe_all(self.daemon.router, self.client, pdu),
    PduType.INSTANCE_REQ: lambda self, pdu: metadata.instances(self.daemon.router, self.client, pdu),
    PduType.TEXT_REQ: lambda self, pdu: metadata.text(self.daemon.router, self.client, pdu),
    PduType.LABEL_REQ: ClientConnection._labels,
    PduType.PMNS_NAMES: lambda self, pdu: names.lookup_names(self.daemon.router, self.client, pdu),
    PduType.PMNS_IDS: lambda self, pdu: names.names_of(self.daemon.router, self.client, pdu),
    PduType.PMNS_CHILD: lambda self, pdu: names.children(self.daemon.router, self.client, pdu),
    PduType.PMNS_TRAVERSE: lambda self, pdu: names.traverse(self.daemon.router, self.client, pdu),
    PduType.RESULT: lambda self, pdu: store.store(self.daemon.router, pdu, self.client),
}
"""Who answers what a client may send."""
