"""Run an agent for a daemon: on its pipe, or on a socket that the daemon connects to. See: pmdaConnect(3), pmdaMain(3).

Requests are answered one after the other by the thread that reads them. What an agent does in the background has
threads of its own (:mod:`pypcp.pmda.background`), so nothing here ever waits for anything but the next request.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Final

from pypcp.errors import AgentNotReady, AgentReady, ChannelClosed, ProtocolError
from pypcp.pmda.agent import Agent
from pypcp.pmda.dispatch import Dispatcher
from pypcp.wire.framing import FrameReader, frame_type
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Feature, PduType, decode, encode

_READ_BYTES: Final = 65536
_NOT_READY: Final = encode(Error(AgentNotReady.code))
_READY: Final = encode(Error(AgentReady.code))


@dataclass(frozen=True, slots=True)
class Wires:
    """The descriptors of an agent's conversation: requests come on one, replies go on the other (or the same)."""

    requests: int
    replies: int

    def close(self) -> None:
        """Close both."""
        for descriptor in {self.requests, self.replies}:
            with contextlib.suppress(OSError):
                os.close(descriptor)


class _Conversation:
    """One daemon, from the credentials to the end of its stream."""

    def __init__(self, agent: Agent, wires: Wires, told_not_ready: bool) -> None:
        self._agent = agent
        self._wires = wires
        self._frames = FrameReader()
        self._waiting: list[bytes] = []
        self._told_not_ready = told_not_ready
        # Held until a request is answered and sent: "ready" is said after "not ready", and never into a reply.
        self._lock = agent.lock

    def introduce(self) -> None:
        """Exchange credentials: the agent speaks first. ``ChannelClosed``, ``ProtocolError``."""
        wanted = Feature.AUTH | Feature.CONTAINER if self._agent.client_attributes else Feature.NONE
        self._write(encode(Creds(flags=wanted, sender=os.getpid())))
        while not self._waiting:
            if not self._read():
                raise ChannelClosed("the daemon has gone before it sent its credentials")
        first = self._waiting.pop(0)
        if frame_type(first) != PduType.CREDS:
            raise ProtocolError(f"the daemon began with {decode(first)}, and not with its credentials")

    def answer_all(self) -> None:
        """Answer until the daemon or the agent ends it; ``PcpError`` when the daemon's stream makes no sense."""
        dispatcher = Dispatcher(self._agent)
        answer, waiting, write = dispatcher.answer, self._waiting, self._write
        while not self._agent.has_quit and (waiting or self._read()):
            for frame in waiting:
                with self._lock:
                    reply = answer(frame)
                    if reply:
                        write(reply)
                        if reply == _NOT_READY:
                            self._told_not_ready = True
            waiting.clear()

    def say_ready(self) -> None:
        """Tell a daemon that was told otherwise, or was configured to wait for it. Any thread may call this."""
        with self._lock:
            if self._told_not_ready and self._agent.readiness.ready:
                self._told_not_ready = False
                with contextlib.suppress(OSError):
                    self._write(_READY)

    def _read(self) -> bool:
        data = os.read(self._wires.requests, _READ_BYTES)
        self._waiting.extend(self._frames.feed(data))
        return bool(data)

    def _write(self, data: bytes) -> None:
        descriptor = self._wires.replies
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])


def serve(agent: Agent, wires: Wires, *, starts_not_ready: bool = False) -> None:
    """Be an agent until the daemon closes the wires or the agent quits, then close them too.

    ``starts_not_ready``: its line in ``pmcd.conf`` says ``notready``, so the daemon waits for the word. ``PcpError``:
    what came was no conversation; ``OSError``: the wires broke.
    """
    conversation = _Conversation(agent, wires, starts_not_ready)
    try:
        conversation.introduce()
        agent.readiness.on_ready(conversation.say_ready)
        agent.start()
        conversation.say_ready()
        conversation.answer_all()
    except (BrokenPipeError, ConnectionResetError):
        pass  # How a daemon ends does not matter, only that it did.
    finally:
        agent.stop()
        wires.close()
