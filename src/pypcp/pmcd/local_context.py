"""A context without a daemon: the agents are in this process, and answered for as the daemon does it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

from pypcp.errors import PcpError, ProtocolError
from pypcp.ipc.paths import Paths
from pypcp.model.labels import LabelSet
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.pmapi.calls import BlockingCalls
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Ask, Operation, Step
from pypcp.pmcd import metadata
from pypcp.pmcd.asking import Asking
from pypcp.pmcd.context_labels import ContextLabels
from pypcp.pmcd.host_name import HostName
from pypcp.pmcd.limits import Limits
from pypcp.pmcd.options import Places
from pypcp.pmcd.plan import PlanCache
from pypcp.pmcd.requests import ANSWERS
from pypcp.pmcd.router import LocalRoute, Router, merged_names, names_here
from pypcp.pmda.finding import USUAL_AGENTS, find_agent
from pypcp.pmda.interface import AgentInterface, Client
from pypcp.pmns.tree import Tree
from pypcp.wire.fetch import PMIDS_AT, Fetch, ProfilePdu
from pypcp.wire.handshake import Error
from pypcp.wire.label import LabelRequest
from pypcp.wire.pdu import Feature, Pdu, StateChange, decode, encode
from pypcp.wire.versions import PDU_VERSION2, Channel

_LIMITS: Final = Limits()

_T = TypeVar("_T")


class LocalContext(BlockingCalls):
    """The metrics of agents in this process, with all the calls of a ``BlockingContext``. See: pmNewContext(3), LOCAL.

    ``agents`` are agents, files that declare one, or names of installed ones; ``state`` is where they keep the numbers
    of their instances (default: nowhere, so that a running daemon's files are left alone). Agents see one client: this
    process and its account. That they have started and read what they read in the background is waited for, 5 s at
    most. They run until :meth:`close`, or the end of the ``with`` block. For one thread at a time.
    """

    def __init__(
        self, agents: Iterable[AgentInterface | str | Path] = USUAL_AGENTS, *, state: Path | None = None
    ) -> None:
        self.host = "localhost"
        self.state = ContextState(
            Channel(version=PDU_VERSION2, features=Feature.LABELS | Feature.HIGHRES | Feature.DESCS)
        )
        self._agents = [find_agent(str(each), state=state) if isinstance(each, str | Path) else each for each in agents]
        self._client = Client(uid=os.getuid(), gid=os.getgid(), pid=os.getpid())
        routes = [LocalRoute(agent, self._announce) for agent in self._agents]
        self._router = Router(routes, merged_names(Tree(), names_here(self._agents)))
        self._plans = PlanCache(self._router, _LIMITS.reply_bytes, _LIMITS.plan_cache_bytes)
        self._profile = EVERYTHING
        places = Places.of(Paths.find())
        self._labels = ContextLabels(places.labels, places.label_settings)
        self._host_name = HostName("")
        for agent in self._agents:
            agent.start()
        # Who asks here asks at once, and mostly once: of a source in the background "try again" would be all he hears.
        deadline = time.monotonic() + _LIMITS.agent_s
        for agent in self._agents:
            agent.wait_until_read(max(0.0, deadline - time.monotonic()))
        for route in routes:
            route.attributes_changed(self._client)

    def close(self) -> None:
        """End the agents."""
        while self._agents:
            agent = self._agents.pop()
            agent.end_context(self._client)
            agent.stop()

    def run(self, operation: Operation[_T]) -> _T:
        """Perform an operation; what it returns."""
        try:
            step = next(operation)
            while True:
                step = operation.send(self._perform(step))
        except StopIteration as stop:
            value: _T = stop.value
            return value

    def _announce(self, changes: int) -> None:
        self.state.changes |= StateChange(changes)

    def _perform(self, step: Step) -> Pdu | None:
        if isinstance(step, Ask):
            try:
                return self._answer(step.pdu)
            except PcpError as error:
                return Error(error.code)
        pdu = getattr(step, "pdu", None)
        if not isinstance(pdu, ProfilePdu):
            raise ProtocolError(f"{step} has no meaning without a connection")
        self._profile = pdu.profile
        return None

    def _answer(self, pdu: Pdu) -> Pdu:
        if isinstance(pdu, Fetch):
            return self._fetch(pdu, self._profile)
        if isinstance(pdu, LabelRequest):
            return _at_once(metadata.labels(self._router, self._client, pdu, self._own_labels(), self._profile))
        return _at_once(ANSWERS[pdu.pdu_type](self._router, self._client, pdu))

    def _fetch(self, pdu: Fetch, profile: Profile) -> Pdu:
        view = self._plans.view(encode(pdu)[PMIDS_AT:], pdu.highres, profile)
        return decode(view.answer(self._client, None))

    def _own_labels(self) -> LabelSet:
        return self._labels.of(self._host_name.name, uid=self._client.uid, gid=self._client.gid, container=None)


def _at_once(asking: Asking[_T]) -> _T:
    """The end of what yields nothing to wait for, all agents being here: only that others might have a turn."""
    try:
        while True:
            next(asking)
    except StopIteration as done:
        value: _T = done.value
        return value
