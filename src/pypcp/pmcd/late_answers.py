"""Fetches of an agent process. What it answered when whoever asked had given up is there for who asks the same next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from pypcp.errors import NoAgent, ProtocolError, RequestTimeout, TooBig
from pypcp.model.profile import Profile
from pypcp.pmcd.conversation import Conversation
from pypcp.pmda.segments import Fetched

LATE_S: Final = 30.0
"""No answer is kept for longer."""
_KEPT: Final = 64
_KEPT_BYTES: Final = 32 << 20

Asked = tuple[tuple[int, ...], Profile, int]
"""What a fetch asked: metrics, profile, client slot. A late answer is for the same question only."""


class _Late(NamedTuple):
    at: float
    fetched: Fetched
    size_bytes: int


class LateAnswers:
    """One agent's; where they become too many or too large the oldest go."""

    def __init__(self) -> None:
        self._answers: dict[Asked, _Late] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, asked: Asked, fetched: Fetched, size_bytes: int) -> None:
        """Keep an answer of that size, instead of an earlier one to the same question."""
        self.take(asked)
        if size_bytes > _KEPT_BYTES:
            return
        while len(self._answers) >= _KEPT or self.held_bytes + size_bytes > _KEPT_BYTES:
            self.take(next(iter(self._answers)))
        self._answers[asked] = _Late(time.monotonic(), fetched, size_bytes)
        self.held_bytes += size_bytes
        if self._timer is None:
            self._look_again_in(LATE_S)

    def take(self, asked: Asked) -> Fetched | None:
        """The answer to that question, if there is one; it is kept no more."""
        late = self._answers.pop(asked, None)
        if late is None:
            return None
        self.held_bytes -= late.size_bytes
        return late.fetched if time.monotonic() - late.at < LATE_S else None

    def forget(self, slot: int) -> None:
        """What a client was to be told means nothing any more: it has gone, or looks elsewhere."""
        for asked in [each for each in self._answers if each[2] == slot]:
            self.take(asked)

    def clear(self) -> None:
        """Keep nothing, and look at nothing again."""
        self._answers.clear()
        self.held_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._drop_old)

    def _drop_old(self) -> None:
        self._timer = None
        end = time.monotonic() - LATE_S
        for asked in [each for each, late in self._answers.items() if late.at <= end]:
            self.take(asked)
        if self._answers:
            self._look_again_in(next(iter(self._answers.values())).at - end)


class Fetches:
    """The fetches of one life of an agent: those under way, which several may wait for, and what came too late.

    They are part of its ``conversation``; ``announce`` takes the agent's notices of change. Replies of more than
    ``max_reply`` bytes are ``TooBig``: no client could be given more.
    """

    def __init__(self, conversation: Conversation, announce: Callable[[int], None], max_reply: int) -> None:
        self.conversation = conversation
        self._announce = announce
        self._max_reply = max_reply
        self._under_way: dict[Asked, tuple[asyncio.Future[Fetched], asyncio.Future[bytes]]] = {}
        self._late = LateAnswers()

    async def fetch(self, asked: Asked, soft_s: float, *, alone: bool) -> Fetched:
        """The agent's values, or a ``PcpError`` for all of them.

        Giving up (being cancelled) loses nothing: the answer that comes late is given to the next fetch of the same,
        and one such is under way at a time. Who waits for ``soft_s`` seconds is late; ``alone``: nobody else waits.
        """
        late = self._late.take(asked)
        pending = self._under_way[asked][0] if asked in self._under_way else self._ask(asked, alone)
        if late is not None:
            # An agent that has caught up answers before half of the time is over; else the late answer is the better.
            await asyncio.wait([pending], timeout=soft_s / 2)
            if not pending.done() or pending.exception() is not None:
                return late
        fetched = await asyncio.shield(pending)
        self._late.take(asked)
        return fetched

    def _ask(self, asked: Asked, alone: bool) -> asyncio.Future[Fetched]:
        pending: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        reply = self.conversation.fetch(*asked, silent=RequestTimeout if alone else NoAgent)
        self._under_way[asked] = pending, reply
        reply.add_done_callback(partial(self._answered, asked, pending))
        return pending

    def _answered(self, asked: Asked, pending: asyncio.Future[Fetched], reply: asyncio.Future[bytes]) -> None:
        """Take an answer, whoever waits for it: its notices count, and its values are kept until they are taken.

        Not kept is what was asked for a client that has gone, or looks elsewhere now.
        """
        counts = asked in self._under_way and self._under_way[asked][0] is pending
        if counts:
            del self._under_way[asked]
        error: BaseException | None = reply.exception()
        if error is None and len(reply.result()) > self._max_reply:
            error = TooBig()
        if error is None:
            try:
                fetched = self.conversation.fetched(reply.result(), asked[0])
            except ProtocolError as failure:
                error = failure
                self.conversation.stream.end(f"protocol failure: {failure}")
        if error is not None:
            pending.set_exception(error)
            pending.exception()  # nobody may be waiting
            return
        if fetched.changes:
            self._announce(fetched.changes)
        if counts:
            self._late.keep(asked, fetched, len(reply.result()))
        pending.set_result(fetched)

    def forget(self, slot: int) -> None:
        """What the agent answers for a client means nothing any more: it has gone, or looks elsewhere."""
        self._late.forget(slot)
        for asked in [each for each in self._under_way if each[2] == slot]:
            _, reply = self._under_way.pop(asked)
            self.conversation.stream.withdraw(reply)

    def end(self) -> None:
        """The agent has ended; what is still under way fails with its stream."""
        self._under_way.clear()
        self._late.clear()
