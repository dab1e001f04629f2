"""An agent process over its life: started, greeted, asked, ended, started again. One keeper per configured agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol

from pypcp.errors import AgentFenced, NoAgent, PcpError, ProtocolError, RequestTimeout, TooBig, TryAgain
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.agent_view import AgentView
from pypcp.pmcd.conversation import Conversation
from pypcp.pmcd.late_answers import Asked, LateAnswers
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
        self._conversation: Conversation | None = None
        self._asked: dict[Asked, tuple[asyncio.Future[Fetched], asyncio.Future[bytes]]] = {}
        self._late = LateAnswers()
        self._told_to_start = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"agent {name}")

    # What the router asks

    @property
    def _stream(self) -> AgentStream | None:
        return None if self._conversation is None else self._conversation.stream

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

    def ask(self, client: Client, call: Callable[[AgentView], Awaitable[Any]]) -> Awaitable[Any]:
        """What ``call`` asks of the agent as ``client`` sees it. Only without a :attr:`refusal`."""
        assert self._conversation is not None
        return call(self._conversation.seen_by(client.context))

    async def fetch(self, request: FetchRequest, client: Client, *, alone: bool) -> Fetched:
        """The agent's values, or a ``PcpError`` for all of them.

        Giving up (being cancelled) loses nothing: the answer that comes late is given to the next fetch of the same,
        and one such is under way at a time. ``alone``: no other agent takes part.
        """
        if (refusal := self.refusal) is not None:
            raise refusal()
        asked = (request.pmids, request.profile, client.context)
        late = self._late.take(asked)
        pending = self._asked[asked][0] if asked in self._asked else self._ask(asked, alone)
        if late is not None:
            # An agent that has caught up answers before half of the time is over; else the late answer is the better.
            await asyncio.wait([pending], timeout=self._owner.limits.agent_soft_s / 2)
            if not pending.done() or pending.exception() is not None:
                return late
        fetched = await asyncio.shield(pending)
        self._late.take(asked)
        return fetched

    def _ask(self, asked: Asked, alone: bool) -> asyncio.Future[Fetched]:
        conversation = self._conversation
        assert conversation is not None
        pending: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        reply = conversation.fetch(*asked, silent=RequestTimeout if alone else NoAgent)
        self._asked[asked] = pending, reply
        reply.add_done_callback(partial(self._answered, conversation, asked, pending))
        return pending

    def _answered(
        self,
        conversation: Conversation,
        asked: Asked,
        pending: asyncio.Future[Fetched],
        reply: asyncio.Future[bytes],
    ) -> None:
        """Take an answer, whoever waits for it: its notices count, and its values are kept until they are taken.

        Not kept is what was asked for a client that has gone, or looks elsewhere now.
        """
        counts = asked in self._asked and self._asked[asked][0] is pending
        if counts:
            del self._asked[asked]
        if reply.cancelled():
            pending.cancel()
            return
        error: BaseException | None = reply.exception()
        if error is None and len(reply.result()) > self._owner.limits.reply_bytes:
            error = TooBig()
        if error is None:
            try:
                fetched = conversation.fetched(reply.result(), asked[0])
            except ProtocolError as failure:
                error = failure
                conversation.stream.end(f"protocol failure: {failure}")
        if error is not None:
            pending.set_exception(error)
            pending.exception()  # nobody may be waiting
            return
        if fetched.changes:
            self._owner.announce(fetched.changes)
        if counts:
            self._late.keep(asked, fetched, len(reply.result()))
        pending.set_result(fetched)

    # What agents are told of clients

    def attributes_changed(self, client: Client) -> None:
        """Tell the agent all it may know of a client, if it wants to know; what it answered before no longer counts."""
        self._forget_answers_for(client.context)
        if self._conversation is not None:
            self._conversation.tell_of(client)

    def end_context(self, client: Client) -> asyncio.Future[None] | None:
        """Tell the agent that a client has gone; None when it knows, else a future for when it does."""
        self._forget_answers_for(client.context)
        return None if self._conversation is None else self._conversation.tell_end(client.context)

    def _forget_answers_for(self, slot: int) -> None:
        self._late.forget(slot)
        for asked in [each for each in self._asked if each[2] == slot]:
            _, reply = self._asked.pop(asked)
            if self._stream is not None:
                self._stream.withdraw(reply)

    # Its life

    async def stop(self) -> None:
        """End the agent, for good."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

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
        self._told_to_start.clear()
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
        stream = AgentStream(
            self.name,
            lambda: self._owner.limits.agent_s,
            lambda why: None if lost.done() else lost.set_result(why),
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
            served, self._conversation = self._conversation is not None, None
            stream.end("the agent is ended", NoAgent)
            status = await asyncio.shield(process.end(hangs=stream.hangs)) if process is not None else 0
        self._bury(why, status, served)
        self._settle()

    async def _greet(self, conversation: Conversation) -> None:
        async with asyncio.timeout(self._owner.limits.agent_hello_s):
            await conversation.greet()
        self._conversation = conversation
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

    def _bury(self, why: str, status: int, served: bool) -> None:
        self.pid = 0
        self._asked.clear()
        self._late.clear()
        if served:
            self.status = 8 | _ended_by(status)
            self._owner.announce(StateChange.DROP_AGENT)
            self._owner.trace.connection(f"End agent: {self.name} dom={self.domain}: {why}")
        log.warning('Cleanup "%s" agent (dom %d): %s%s', self.name, self.domain, why, _said_by(status))


def _ended_by(status: int) -> int:
    return -status << 16 if status < 0 else status << 8


def _said_by(status: int) -> str:
    if status < 0:
        return f", signal({-status})"
    return f", exit({status})" if status else ""
