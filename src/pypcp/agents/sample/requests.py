"""Who asks: the sample agent counts the requests of each client, and looks at what a fetch asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pypcp.model.desc import Desc
from pypcp.model.ids import Pmid
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.model.values import ValueSet
from pypcp.pmda import Agent, Client
from pypcp.pmda.interface import FetchRequest
from pypcp.pmda.segments import Fetched


class Requests:
    """How many requests came, of each client and of all; and how many clients came and went.

    ``requests`` and ``replies`` are those of all, the one at hand and its reply included; they may be set to zero.

    Only a fetch and a store say whose they are. What comes between them is taken for requests of the client that
    fetches or stores next, and is nobody's once a client has ended: with one client at a time the counts are stock's.
    Questions about names are nobody's in stock, too. A daemon sends a PROFILE before the fetch of another client than
    the one before, and stock counts that.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.replies = 0
        self.started = 0
        self.ended = 0
        self.highest = -1
        self._unclaimed = 0
        self._is_about_names = False
        self._asking: Client | None = None
        self._fetched: Client | None = None
        self._clients: set[Client] = set()

    @property
    def active(self) -> int:
        """Clients that have asked and not ended."""
        return len(self._clients)

    def came(self) -> None:
        """A request has come; called before each."""
        self.requests += 1
        self.replies += 1
        self._unclaimed += not self._is_about_names
        self._is_about_names = False
        client, self._asking = self._asking, None
        if client is not None:
            client.state["requests"] = self.received(client) + self._unclaimed
            self._unclaimed = 0

    def comes_from(self, client: Client) -> None:
        """The request that comes next is this client's."""
        self._asking = client
        if client not in self._clients:
            self._clients.add(client)
            self.started += 1
            self.highest = max(self.highest, client.context)

    def fetch_comes_from(self, client: Client) -> None:
        """The request that comes next is a fetch of this client."""
        self.comes_from(client)
        if client is not self._fetched:
            self._fetched = client
            self.requests += 1
            self._unclaimed += 1

    def is_about_names(self) -> None:
        """The request that comes next is."""
        self._is_about_names = True

    def gone(self, client: Client) -> None:
        """A client has gone."""
        self._unclaimed = 0
        if client is self._fetched:
            self._fetched = None
        if client in self._clients:
            self._clients.discard(client)
            self.ended += 1

    def received(self, client: Client) -> int:
        """The requests of a client so far."""
        return int(client.state.get("requests", 0))


class SampleAgent(Agent):
    """An agent that knows who asks, and for which instances.

    ``profile`` is that of the fetch at hand, ``fetches`` the number of fetches so far. ``told`` makes of a metric's
    descriptor the one that is told to whoever asks; what it raises is the answer.
    """

    def __init__(self, name: str, domain: int, *, help_: str, state: Path | None, labels: dict[str, Any]) -> None:
        super().__init__(name, domain, help_=help_, state=state, labels=labels)
        self.requests = Requests()
        self.profile: Profile = EVERYTHING
        self.fetches = 0
        self.told: dict[int, Callable[[Desc], Desc]] = {}
        self.check(self.requests.came)
        self.on_end(self.requests.gone)

    def fetch(self, request: FetchRequest, client: Client) -> Fetched:
        self.requests.fetch_comes_from(client)
        self.profile = request.profile
        self.fetches += 1
        return super().fetch(request, client)

    def store(self, value_sets: Sequence[ValueSet], client: Client) -> None:
        self.requests.comes_from(client)
        super().store(value_sets, client)

    def lookup_name(self, name: str) -> Pmid:
        self.requests.is_about_names()
        return super().lookup_name(name)

    def names_of(self, pmid: int) -> list[str]:
        self.requests.is_about_names()
        return super().names_of(pmid)

    def children(self, name: str) -> list[tuple[str, bool]]:
        self.requests.is_about_names()
        return super().children(name)

    def traverse(self, name: str) -> list[str]:
        self.requests.is_about_names()
        return super().traverse(name)

    def desc(self, pmid: int) -> Desc:
        desc = super().desc(pmid)
        tell = self.told.get(pmid)
        return desc if tell is None else tell(desc)
