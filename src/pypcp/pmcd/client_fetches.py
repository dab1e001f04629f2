"""A client's fetches: the profiles it has set, the lists it repeats, and how long each list may keep others waiting."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from pypcp.errors import MissingProfile, OsError, ProtocolError, TooBig
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.pmcd.fetch import gather
from pypcp.pmcd.plan import SLICE, PlanView
from pypcp.pmda.interface import Client
from pypcp.wire.fetch import PMIDS_AT, Fetch, ProfilePdu
from pypcp.wire.pdu import decode
from pypcp.wire.versions import PDU_VERSION1, Channel

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

_SHORT_FRAME: Final = PMIDS_AT + 4 * SLICE
_MEMO_BYTES: Final = 8192
_MEMO_SIZE: Final = 4
"""A client's last few fetch lists are found by the bytes of the whole request, if these are not many."""


class ClientFetches:
    """What a client fetches. ``memo`` has its last requests, with their views for as long as these are kept."""

    def __init__(self, daemon: Daemon, client: Client, channel: Channel) -> None:
        self.memo: dict[bytes, weakref.ref[PlanView]] = {}
        self._daemon = daemon
        self._client = client
        self._channel = channel
        self._profiles: dict[int, Profile] = {}

    def take_profile(self, pdu: ProfilePdu) -> None:
        """PROFILE: kept for its context, no answer."""
        if pdu.context >= self._daemon.limits.contexts:
            raise OsError(-errno.EAGAIN, f"context {pdu.context}; the limit is {self._daemon.limits.contexts}")
        self._daemon.profiles.swap(self._profiles.get(pdu.context), pdu.profile)
        self._profiles[pdu.context] = pdu.profile if pdu.profile != EVERYTHING else EVERYTHING
        self.memo.clear()

    def profile_of(self, context: int) -> Profile:
        """The profile of one of the client's contexts."""
        return self._profiles.get(context, EVERYTHING)

    def forget(self) -> None:
        """The client has gone."""
        for profile in self._profiles.values():
            self._daemon.profiles.swap(profile, None)
        self._profiles.clear()

    def fetch(self, frame: bytes) -> bytes | Awaitable[bytes]:
        """The reply to a FETCH or HIGHRES_FETCH, at once where that takes no longer than a turn may."""
        view = self._known(frame)
        if view is None and len(frame) <= _SHORT_FRAME:
            view = self._plan(frame)
        if view is None or not view.brief:
            return self._in_turns(frame)
        if view.processes:
            return self._later(view)
        if view.long:
            return self._in_its_turn(view, frame)
        return view.answer(self._client, self._daemon.moment(self._client))

    def _known(self, frame: bytes) -> PlanView | None:
        """What was worked out for these bytes, if it still holds and somebody has kept it."""
        known = self.memo.get(frame)
        view = known() if known is not None else None
        return None if view is None or view.void else view

    async def _in_its_turn(self, view: PlanView, frame: bytes) -> bytes:
        """A long list that is answered soon is answered in one go, but one such in a round of the loop."""
        await self._daemon.turns.turn()
        if not view.brief or view.in_use.locked():  # another client has asked the same meanwhile, and it took long
            return await self._in_turns(frame)
        return view.answer(self._client, None)

    async def _later(self, view: PlanView) -> bytes:
        gathered = await gather(view, self._client, self._daemon.limits.agent_soft_s)
        return view.render(self._client, None, gathered)[1]

    async def _in_turns(self, frame: bytes) -> bytes:
        """A long list takes a while: few such at a time, in slices, and the short requests of others between them."""
        turns = self._daemon.turns
        room = turns.room_for((len(frame) - PMIDS_AT) >> 2)
        async with room:
            await turns.turn()
            view = self._known(frame) or self._plan(frame)
        gathered = await gather(view, self._client, self._daemon.limits.agent_soft_s)
        async with room, view.in_use:
            if view.brief:
                return view.render(self._client, None, gathered)[1]
            return await view.answer_in_turns(self._client, gathered, turns)

    def _plan(self, frame: bytes) -> PlanView:
        """Check the request whole, once; the same bytes need no checking again."""
        limits = self._daemon.limits
        request = decode(frame, self._channel)
        assert isinstance(request, Fetch)
        if request.highres and self._channel.version == PDU_VERSION1:
            raise ProtocolError("version 1 has no high resolution")
        if len(request.pmids) > limits.metrics:
            raise TooBig(f"{len(request.pmids)} metrics in a fetch; the limit is {limits.metrics}")
        profile = self._profiles.get(request.context)
        if profile is None:
            raise MissingProfile(f"context {request.context}")
        view = self._daemon.plans.view(frame[PMIDS_AT:], request.highres, profile)
        if len(self.memo) >= _MEMO_SIZE or sum(map(len, self.memo)) + len(frame) > _MEMO_BYTES:
            self.memo.clear()
        if len(frame) <= _MEMO_BYTES:
            self.memo[frame] = weakref.ref(view)
        return view
