"""An agent process over its life: started, greeted, asked, ended, started again. One keeper per configured agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final, Protocol

from pypcp.errors import AgentFenced, NoAgent, PcpError, TryAgain
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.agent_view import AgentView, Elsewhere
from pypcp.pmcd.conversation import Conversation
from pypcp.pmcd.late_answers import Fetches
from pypcp.pmcd.limits import NEVER_S, Limits
from pypcp.pmcd.statistics import AgentStatistics, Statistics
from pypcp.pmcd.trace import EventTrace
from pypcp.pmda.interface import Client, FetchRequest
from pypcp.pmda.segments import Fetched
from pypcp.wire.pdu import StateChange
from pypcp.wire.versions import IpcTable

log = logging.getLogger(__name__)

_DELAYS_S: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
_STEADY_S: Final = 60.0
"""An agent that ran this long is started again at once when it ends."""


class Owner(Protocol):
    """What a keeper needs of the daemon."""

    limits: Limits
    statistics: Statistics
    trace: EventTrace
    channels: IpcTable

    def connected(self) -> Iterable[Client]:
        """The clients there are now."""
        ...

    def announce(self, changes: int) -> None:
        """Tell every client with its next fetch."""
        ...


class RunningAgent(Protocol):
    """A started agent, however it was started."""

    pid: int

    async def end(self, *, hangs: bool) -> int:
        """See to it that it is gone, at once if it ``hangs``; its wait status."""
        ...


Starter = Callable[[AgentStream], Awaitable[RunningAgent | None]]
"""Starts an agent, or finds one that runs, and connects the stream to it; None where it is not ours to end."""


class AgentKeeper:
    """The route to an agent process.

    ``talk`` makes the conversation of each life, in the version that the agent speaks.
    ``status`` is ``pmcd.agent.status`` of stock: 0 for an agent in service, else why it is not.
    """

    def __init__(
        self,
        name: str,
        domain: int,
        start: Starter,
        owner: Owner,
        talk: type[Conversation] = Conversation,
        *,
        not_ready: bool = False,
    ) -> None:
        self.name = name
        self.domain = domain
        self.fenced = False
        self.status = 0
        self.pid = 0
        self.statistics = AgentStatistics()
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._start = start
        self._owner = owner
        self._talk = talk
        self._not_ready = not_ready
        self._fetches: Fetches | None = None
        self._told_to_start = asyncio.Event()
        self._stopping = False
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"agent {name}")

    # What the router asks

    @property
    def _stream(self) -> AgentStream | None:
        return None if self._fetches is None else self._fetches.conversation.stream

    @property
    def refusal(self) -> type[PcpError] | None:
        """Why the agent cannot be asked now, None when it can."""
        if self.fenced:
            return AgentFenced
        if self._stream is None:
            return NoAgent
        return None if self._stream.ready else TryAgain

    @property
    def descriptors(self) -> tuple[int, int] | None:
        """Where the agent is read and where it is written; None where there is no connection."""
        return None if self._stream is None else self._stream.descriptors

    @property
    def queued(self) -> int:
        """Requests and notices that wait for the agent."""
        return 0 if self._stream is None else self._stream.queued

    def ask(self, client: Client, call: Callable[[AgentView], Awaitable[Any]]) -> Elsewhere:
        """What ``call`` asks of the agent as ``client`` sees it. Only without a :attr:`refusal`."""
        assert self._fetches is not None
        return Elsewhere(self, partial(call, self._fetches.conversation.seen_by(client.context)))

    async def fetch(self, request: FetchRequest, client: Client, *, alone: bool) -> Fetched:
        """See :meth:`Fetches.fetch`; ``alone``: no other agent takes part."""
        if (refusal := self.refusal) is not None:
            raise refusal()
        assert self._fetches is not None
        asked = (request.pmids, request.profile, client.context)
        return await self._fetches.fetch(asked, self._owner.limits.agent_soft_s, alone=alone)

    # What agents are told of clients

    def attributes_changed(self, client: Client) -> None:
        """Tell the agent all it may know of a client, if it wants to know; what it answered before no longer counts."""
        if self._fetches is not None:
            self._fetches.forget(client.context)
            self._fetches.conversation.tell_of(client)

    def end_context(self, client: Client) -> asyncio.Future[None] | None:
        """Tell the agent that a client has gone; None when it knows, else a future for when it does."""
        if self._fetches is None:
            return None
        self._fetches.forget(client.context)
        return self._fetches.conversation.tell_end(client.context)

    # Its life

    async def stop(self) -> None:
        """End the agent, for good. It has gone when this returns, however many wait for that or give up waiting."""
        if not self._stopping:
            self._stopping = True
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _keep(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._run()
            except Exception:
                log.exception("%s: the agent's keeper failed in a way it must not; it is tried again", self.name)
                self.status = 4
                self._settle()
            failures = 1 if time.monotonic() - began > _STEADY_S else failures + 1
            await self._pause(_DELAYS_S[min(failures, len(_DELAYS_S)) - 1])
            self.statistics.restarts += 1

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds if self._owner.limits.agent_restarts else NEVER_S):
                await self._told_to_start.wait()

    def rename(self, name: str, start: Starter) -> None:
        """Its line has another name now, by which ``start`` starts it next time: the helper permits starts by name."""
        self.name = name
        self._start = start

    def start_again(self) -> None:
        """Start an agent that has ended now, however long ago it was tried last. One that runs stays as it is."""
        self._told_to_start.set()

    async def _run(self) -> None:
        """One life: start, greet, serve until the stream is lost, see the process out."""
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def lose(why: str) -> None:
            self._told_to_start.clear()  # who says it from now on means the next life, not this one
            if not lost.done():
                lost.set_result(why)

        stream = AgentStream(
            self.name,
            lambda: self._owner.limits.agent_s,
            lose,
            self._owner.statistics,
            self.statistics,
            self._owner.channels,
            self._talk.version,
            ready=not self._not_ready,
        )
        process: RunningAgent | None = None
        try:
            process = await self._start(stream)
            self.pid = process.pid if process is not None else 0
            log.debug("%s: started as process %d, its first word is waited for", self.name, self.pid)
            await self._greet(self._talk(stream))
            self._settle()
            why = await lost
        except (PcpError, OSError, TimeoutError) as error:
            limit = self._owner.limits.agent_hello_s
            why = f"no credentials within {limit:g} s (-q)" if isinstance(error, TimeoutError) else str(error)
            self.status = 4
        finally:
            fetches, self._fetches = self._fetches, None
            if fetches is not None:
                fetches.end()
            stream.end("the agent is ended", NoAgent)
            status = await _whole(process.end(hangs=stream.hangs)) if process is not None else 0
        self._bury(why, status, served=fetches is not None)
        self._settle()

    async def _greet(self, conversation: Conversation) -> None:
        async with asyncio.timeout(self._owner.limits.agent_hello_s):
            await conversation.greet()
        self._fetches = Fetches(conversation, self._owner.announce, self._owner.limits.reply_bytes)
        for client in self._owner.connected():
            self.attributes_changed(client)
        self.status = 0
        log.debug("%s: serves", self.name)
        self._owner.trace.connection(f"New agent: {self.name} dom={self.domain} pid={self.pid}")
        self._owner.statistics.seqnum += self.settled.done()
        if self.settled.done():
            self._owner.announce(StateChange.ADD_AGENT | StateChange.RESTART_AGENT)

    def _settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)

    def _bury(self, why: str, status: int, *, served: bool) -> None:
        self.pid = 0
        if served:
            self.status = 8 | _ended_by(status)
            self._owner.announce(StateChange.DROP_AGENT)
            self._owner.trace.connection(f"End agent: {self.name} dom={self.domain}: {why}")
        log.warning('Cleanup "%s" agent (dom %d): %s%s', self.name, self.domain, why, _said_by(status))


async def _whole(ending: Coroutine[Any, Any, int]) -> int:
    """What comes of seeing a process out: who cancels that has his way when it has been done."""
    task = asyncio.get_running_loop().create_task(ending)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _ended_by(status: int) -> int:
    return -status << 16 if status < 0 else status << 8


def _said_by(status: int) -> str:
    if status < 0:
        return f", signal({-status})"
    return f", exit({status})" if status else ""
