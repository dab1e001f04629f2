"""Fetch plans: what a list of metrics comes to, worked out once and used for as long as clients repeat it.

A :class:`FetchPlan` says which agents take part and with which metrics; below it hangs a :class:`PlanView` for each
profile, which remembers how the reply is laid out. The hot path is the view's: have the agents load their segments, put
the payloads between the bytes that stay, send.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pypcp.model.profile import Profile
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.router import AbsentRoute, LocalRoute, Route, Router
from pypcp.pmcd.turns import Turns
from pypcp.pmda.interface import Client, FetchRequest
from pypcp.pmda.reply import ReplyLayout, held_bytes
from pypcp.pmda.segments import Fetched
from pypcp.wire.pdu import PduType

SLICE: Final = 128
"""Metrics of an agent here that are answered in one go."""
BRIEF_S: Final = 0.002
"""What takes no longer may be done in one go: a client's turn is as long."""

NOTHING_GATHERED: Final[Mapping[int, Fetched]] = {}


@dataclass(slots=True, eq=False)
class Leg:
    """One agent's share of a plan: where to ask, what, and which places of the reply its segments take."""

    route: Route
    request: FetchRequest
    places: list[int]


@dataclass(slots=True, eq=False)
class Held:
    """The memory that views take together, about."""

    bytes: int = 0


class PlanView:
    """A plan for one profile: the agents' requests and the layout of the reply.

    ``processes`` are the legs that have to be waited for; without any, :meth:`answer` answers at once. That may take a
    while with more than ``SLICE`` metrics: :meth:`answer_in_turns` lets others have their turn between its slices.
    ``long`` views are those; ``brief`` ones take no longer than a turn all the same, by the time of the last answer.
    A ``void`` view was dropped, for want of room or because its routes are no more: nobody begins with it any more.
    """

    def __init__(self, plan: FetchPlan, profile: Profile, held: Held) -> None:
        self.held = held
        self.held_bytes = 0
        self.legs = [
            Leg(route, FetchRequest(tuple([plan.pmids[place] for place in slice_]), profile), slice_)
            for route, places in plan.shares
            for slice_ in _slices(route, places)
        ]
        self.request_type = PduType.HIGHRES_FETCH if plan.highres else PduType.FETCH
        self.reply_type = PduType.HIGHRES_RESULT if plan.highres else PduType.RESULT
        self.processes = [leg for leg in self.legs if isinstance(leg.route, AgentKeeper)]
        self._plan = plan
        self._layout = self._new_layout()
        self.hold(held_bytes(len(plan.pmids)))
        self.in_use = asyncio.Lock()
        self.void = False
        self._moment: object = None
        self._reply = b""
        self.long = len(plan.pmids) > SLICE
        self.brief = not self.long

    def _new_layout(self) -> ReplyLayout:
        plan = self._plan
        return ReplyLayout(plan.pmids, [leg.places for leg in self.legs], plan.highres, plan.max_reply)

    def hold(self, size: int) -> None:
        """The view takes so many bytes now, about."""
        self.held.bytes += size - self.held_bytes
        self.held_bytes = size

    def _rendered(self, fetched: list[Fetched]) -> bytes:
        """The reply; what processes gave is forgotten at once, the next fetch brings it anew."""
        reply = self._layout.render(fetched, time.time_ns())
        if self.processes:
            self._layout = self._new_layout()
        if len(self.processes) < len(self.legs):
            self.hold(held_bytes(len(self._plan.pmids), len(reply)))
        return reply

    def answer(self, client: Client, moment: object) -> bytes:
        """The reply to a fetch; requests of one ``moment`` share it unless something in it depends on the client."""
        if moment is not None and moment is self._moment:
            return self._reply
        began = time.perf_counter() if self.long else 0.0
        shared, reply = self.render(client, moment, NOTHING_GATHERED)
        if self.long:
            self.brief = time.perf_counter() - began < BRIEF_S
        if shared:
            self._moment, self._reply = moment, reply
        return reply

    def render(self, client: Client, moment: object, gathered: Mapping[int, Fetched]) -> tuple[bool, bytes]:
        """Put the answers of processes (by domain) and those of the agents here together; may it be shared?

        Without a ``moment`` it has one of its own: what several legs are read from is refreshed for them once.
        """
        if moment is None and len(self.legs) > 1:
            moment = object()
        fetched = []
        shared = True
        for leg in self.legs:
            each = _fetched(leg, client, moment, gathered)
            fetched.append(each)
            shared = shared and each.shared
        return shared, self._rendered(fetched)

    async def answer_in_turns(self, client: Client, gathered: Mapping[int, Fetched], turns: Turns) -> bytes:
        """As :meth:`render`, in slices, for who holds ``in_use``: whoever has not it ``brief`` waits for that."""
        moment = object()
        fetched = []
        took = 0.0
        slice_began = time.perf_counter()
        for leg in self.legs:
            began = time.perf_counter()
            fetched.append(_fetched(leg, client, moment, gathered))
            took += time.perf_counter() - began
            slice_began = await turns.share(slice_began)
        for _ in self._layout.lay_out(fetched):
            slice_began = await turns.share(slice_began)
        self.brief = took < BRIEF_S
        return self._rendered(fetched)


def _slices(route: Route, places: list[int]) -> list[list[int]]:
    if isinstance(route, AgentKeeper):
        return [places]
    return [places[at : at + SLICE] for at in range(0, len(places), SLICE)]


def _fetched(leg: Leg, client: Client, moment: object, gathered: Mapping[int, Fetched]) -> Fetched:
    route = leg.route
    if isinstance(route, LocalRoute):
        leg.request.moment = moment
        return route.fetch(leg.request, client)
    return gathered[route.domain]


class FetchPlan:
    """A fetch list, split by agent. Metrics without an agent are in no leg and keep ``PM_ERR_NOAGENT``."""

    def __init__(self, pmids: tuple[int, ...], highres: bool, router: Router, max_reply: int) -> None:
        self.pmids = pmids
        self.highres = highres
        self.max_reply = max_reply
        self.views: dict[Profile, PlanView] = {}
        shares: dict[int, tuple[Route, list[int]]] = {}
        for place, pmid in enumerate(pmids):
            route = router.route_of(pmid)
            if route is not None and not isinstance(route, AbsentRoute):
                shares.setdefault(route.domain, (route, []))[1].append(place)
        self.shares = list(shares.values())

    def drop_oldest_view(self) -> None:
        """Forget the view that was used least recently; whoever still uses it uses it up."""
        view = self.views.pop(next(iter(self.views)))
        view.hold(0)
        view.held = Held()
        view.void = True


class PlanCache:
    """The plans of a router, the least recently used dropped when they take too much memory.

    Who keeps a view keeps it by a weak reference, or a client could hold more memory than there is.
    """

    def __init__(self, router: Router, max_reply: int, limit_bytes: int) -> None:
        self.router = router
        self._max_reply = max_reply
        self._limit = limit_bytes
        self._held = Held()
        self._plans: OrderedDict[tuple[bytes, bool], FetchPlan] = OrderedDict()

    def view(self, key: bytes, highres: bool, profile: Profile) -> PlanView:
        """The plan, under a profile, of a list of pmids as a fetch PDU has it: big-endian words, back to back."""
        plan = self._plans.get((key, highres))
        if plan is None:
            plan = FetchPlan(struct.unpack(f">{len(key) >> 2}I", key), highres, self.router, self._max_reply)
            self._plans[key, highres] = plan
        else:
            self._plans.move_to_end((key, highres))
        view = plan.views.pop(profile, None) or PlanView(plan, profile, self._held)
        plan.views[profile] = view
        self.make_room()
        return view

    @property
    def held_bytes(self) -> int:
        """The memory that all views take, about; what a view keeps of a reply counts from then on."""
        return self._held.bytes

    def clear(self) -> None:
        """Forget all of it, for good: the routes are no more."""
        for plan in self._plans.values():
            while plan.views:
                plan.drop_oldest_view()
        self._plans.clear()

    def make_room(self) -> None:
        """The oldest go, but the last one that was asked for stays."""
        while self._held.bytes > self._limit:
            oldest = next(iter(self._plans.values()))
            if len(self._plans) == 1 and len(oldest.views) == 1:
                return
            oldest.drop_oldest_view()
            if not oldest.views:
                self._plans.popitem(last=False)
