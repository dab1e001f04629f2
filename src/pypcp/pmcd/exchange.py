"""What stands in the queue for an agent process: a request and the wait for its reply, or a notice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pypcp.errors import PcpError, ProtocolError
from pypcp.model.profile import Profile


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and the wait for its reply; or a notice, which has none (``reply`` is None).

    ``view`` is (client slot, profile) where the agent must have that profile first: profile and request are one item.
    ``silent`` is the failure of a request that is never answered; ``said`` is resolved when a notice has been sent.
    ``ends`` is the client slot whose end a notice tells, ``about`` what else it tells of. ``patience`` is the timer of
    a request that stands in the queue.
    """

    request: bytes
    expect: int = 0
    reply: asyncio.Future[bytes] | None = None
    view: tuple[int, Profile] | None = None
    silent: type[PcpError] = ProtocolError
    said: asyncio.Future[None] | None = None
    ends: int | None = None
    about: object = None
    patience: asyncio.TimerHandle | None = None

    def deliver(self, frame: bytes) -> None:
        """The reply has come; nobody may be waiting any more."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(frame)

    def settle(self) -> None:
        """A notice has been sent, or does not matter any more."""
        if self.said is not None and not self.said.done():
            self.said.set_result(None)

    def fail(self, error: PcpError) -> None:
        """There will be no reply."""
        self.settle()
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)
