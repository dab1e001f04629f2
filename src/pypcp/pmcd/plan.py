"""Fetch plans: what a list of metrics comes to, worked out once and used for as long as clients repeat it.

A :class:`FetchPlan` says which agents take part and with which metrics; below it hangs a :class:`PlanView` for each
profile, which remembers how the reply is laid out. The hot path is the view's: have the agents load their segments, put
the payloads between the bytes that stay, send.
"""

from __future__ import annotations

import struct
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pypcp.errors import NoAgent, TooBig
from pypcp.model.profile import Profile
from pypcp.pmcd.router import Route, Router
from pypcp.pmda.interface import Client, FetchRequest
from pypcp.pmda.segments import EmptySegment, Fetched, Segment
from pypcp.wire.pdu import PduType

_HIGHRES: Final = struct.Struct(">iiiiqq")
_CLASSIC: Final = struct.Struct(">iiiiii")

PLAN_CACHE_BYTES: Final = 16 << 20
_BYTES_PER_METRIC: Final = 1500
"""What a metric of a prepared fetch takes (reader, segment, parts), measured over the linux agent's metrics."""
_VIEWS_OF_A_PLAN: Final = 64


@dataclass(slots=True, eq=False)
class Leg:
    """One agent's share of a plan: where to ask, what, and which places of the reply its segments take."""

    route: Route
    request: FetchRequest
    places: list[int]


class ReplyLayout:
    """How the segments of a reply lie in it: the bytes that stay, and the places of those that do not."""

    def __init__(self, pmids: Sequence[int], places: Sequence[Sequence[int]], highres: bool, max_reply: int) -> None:
        self._pmids = pmids
        self._places = places
        self._highres = highres
        self._max_reply = max_reply
        self._layouts: list[object] = []
        self._parts: list[bytes] = []
        self._fills: list[tuple[int, Segment]] = []
        self._size = 0

    def render(self, fetched: Sequence[Fetched]) -> bytes:
        """The reply PDU, stamped with the time of now. ``TooBig`` when it would pass the limit."""
        layouts = [each.layout for each in fetched]
        if layouts != self._layouts or not self._parts:
            self._lay_out(fetched)
            self._layouts = layouts
        parts = self._parts
        for position, segment in self._fills:
            parts[position] = segment.payload
        parts[0] = self._prologue()
        return b"".join(parts)

    def _prologue(self) -> bytes:
        now = time.time_ns()
        if self._highres:
            seconds, nanoseconds = divmod(now, 1_000_000_000)
            return _HIGHRES.pack(self._size, PduType.HIGHRES_RESULT, 0, len(self._pmids), seconds, nanoseconds)
        seconds, microseconds = divmod(now // 1000, 1_000_000)
        return _CLASSIC.pack(self._size, PduType.RESULT, 0, seconds, microseconds, len(self._pmids))

    def _lay_out(self, fetched: Sequence[Fetched]) -> None:
        self._parts = []
        segments: list[Segment] = [EmptySegment(pmid, NoAgent.code) for pmid in self._pmids]
        for each, places in zip(fetched, self._places, strict=True):
            for place, segment in zip(places, each.segments, strict=True):
                segments[place] = segment
        prologue = _HIGHRES.size if self._highres else _CLASSIC.size
        blocks_at = prologue + sum([segment.set_size for segment in segments])
        self._size = blocks_at + sum([segment.block_size for segment in segments])
        if self._size > self._max_reply:
            raise TooBig(f"{len(segments)} metrics make a reply of {self._size} bytes; the limit is {self._max_reply}")
        self._parts, self._fills = _arrange(segments, blocks_at)


def _arrange(segments: Sequence[Segment], blocks_at: int) -> tuple[list[bytes], list[tuple[int, Segment]]]:
    """The parts of a reply: first the prologue's place, then stretches that stay and places to fill in."""
    parts: list[bytes] = [b""]
    fills: list[tuple[int, Segment]] = []
    stays: list[bytes] = []

    def fill(segment: Segment) -> None:
        if stays:
            parts.append(b"".join(stays))
            stays.clear()
        fills.append((len(parts), segment))
        parts.append(b"")

    first_word = blocks_at >> 2
    for segment in segments:
        if segment.block_size:
            stays.append(segment.place(first_word))
            first_word += segment.block_size >> 2
        elif isinstance(segment, EmptySegment):
            stays.append(segment.payload)
        else:
            fill(segment)
    for segment in segments:
        if segment.block_size:
            fill(segment)
    if stays:
        parts.append(b"".join(stays))
    return parts, fills


class PlanView:
    """A plan for one profile: the agents' requests and the layout of the reply."""

    def __init__(self, plan: FetchPlan, profile: Profile) -> None:
        self.plan = plan
        self.legs = [
            Leg(route, FetchRequest(tuple([plan.pmids[place] for place in places]), profile), places)
            for route, places in plan.shares
        ]
        self._layout = ReplyLayout(plan.pmids, [leg.places for leg in self.legs], plan.highres, plan.max_reply)
        self._moment: object = None
        self._reply = b""

    def answer(self, client: Client, moment: object) -> bytes:
        """The reply to a fetch; requests of one ``moment`` share it unless something in it depends on the client."""
        if moment is not None and moment is self._moment:
            return self._reply
        fetched = []
        shared = True
        for leg in self.legs:
            leg.request.moment = moment
            each = leg.route.fetch(leg.request, client)
            fetched.append(each)
            shared = shared and each.shared
        reply = self._layout.render(fetched)
        if shared:
            self._moment, self._reply = moment, reply
        return reply


class FetchPlan:
    """A fetch list, split by agent. Metrics without an agent are in no leg and keep ``PM_ERR_NOAGENT``."""

    def __init__(self, pmids: tuple[int, ...], highres: bool, router: Router, max_reply: int) -> None:
        self.pmids = pmids
        self.highres = highres
        self.max_reply = max_reply
        self._views: dict[Profile, PlanView] = {}
        shares: dict[int, tuple[Route, list[int]]] = {}
        for place, pmid in enumerate(pmids):
            route = router.route_of(pmid)
            if route is not None:
                shares.setdefault(route.domain, (route, []))[1].append(place)
        self.shares = list(shares.values())

    def view(self, profile: Profile) -> PlanView:
        """The plan under a profile."""
        view = self._views.get(profile)
        if view is None:
            if len(self._views) >= _VIEWS_OF_A_PLAN:
                self._views.clear()
            view = self._views[profile] = PlanView(self, profile)
        return view


class PlanCache:
    """The plans of a router, the least recently used dropped when they take too much memory."""

    def __init__(self, router: Router, max_reply: int, limit_bytes: int = PLAN_CACHE_BYTES) -> None:
        self.router = router
        self._max_reply = max_reply
        self._limit = limit_bytes
        self._held = 0
        self._plans: OrderedDict[tuple[bytes, bool], FetchPlan] = OrderedDict()

    def plan(self, key: bytes, highres: bool) -> FetchPlan:
        """The plan of a list of pmids as a fetch PDU carries it: big-endian words, back to back."""
        plan = self._plans.get((key, highres))
        if plan is not None:
            self._plans.move_to_end((key, highres))
            return plan
        plan = FetchPlan(struct.unpack(f">{len(key) >> 2}I", key), highres, self.router, self._max_reply)
        self._plans[key, highres] = plan
        self._held += len(plan.pmids) * _BYTES_PER_METRIC
        while self._held > self._limit and len(self._plans) > 1:
            _, oldest = self._plans.popitem(last=False)
            self._held -= len(oldest.pmids) * _BYTES_PER_METRIC
        return plan
