"""A captured conversation, played back to an operation: what we send must be what libpcp sent, byte for byte."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pypcp.pmapi.operations.connect import Wishes, connect
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Ask, Operation, Receive, StartTls, Step, Tell
from pypcp.wire.pdu import Pdu, decode, encode
from pypcp.wire.versions import Channel

DATA = Path(__file__).parents[2] / "vectors" / "data"


class Transcript:
    """One capture; ``state`` is that of the context, which begins where the capture begins."""

    def __init__(self, name: str, *, handle: int = 0) -> None:
        pdus = json.loads((DATA / f"{name}.json").read_text())["pdus"]
        self._entries = [
            (pdu["dir"] == "client->pmcd", bytes.fromhex(pdu["hex"]))
            for pdu in pdus
            if pdu.get("type") not in (None, "RAW")
        ]
        self.state = ContextState(Channel(), handle=handle)
        self.tls_started = False

    @property
    def creds_sender(self) -> int:
        """The process that libpcp ran in."""
        return next((decode(data).sender for by_client, data in self._entries if by_client), 0)

    def connect(self, **wishes: Any) -> None:
        self.run(connect(self.state, Wishes(pid=self.creds_sender, **wishes)))

    def call(self, operation: Callable[..., Operation[Any]], *args: Any, **kwargs: Any) -> Any:
        """One call of the context; its value."""
        return self.run(operation(self.state, *args, **kwargs))

    def run(self, operation: Operation[Any]) -> Any:
        try:
            step = next(operation)
            while True:
                step = operation.send(self._perform(step))
        except StopIteration as stop:
            return stop.value

    def _perform(self, step: Step) -> Pdu | None:
        if isinstance(step, StartTls):
            self.tls_started = True
        if isinstance(step, Ask | Tell):
            sent = encode(step.pdu, self.state.channel)
            assert sent == self._next(from_client=True)
        return self._received() if isinstance(step, Ask | Receive) else None

    def _received(self) -> Pdu:
        return decode(self._next(from_client=False), self.state.channel)

    def _next(self, *, from_client: bool) -> bytes:
        by_client, data = self._entries.pop(0)
        assert by_client is from_client, f"it is the other side's turn: {data.hex()}"
        return data

    def skip(self, count: int) -> None:
        """Leave out what is of no interest."""
        del self._entries[:count]

    def postpone(self, count: int, *, behind: int, after: int = 0) -> None:
        """Once ``after`` PDUs are played, the next ``count`` come only after the ``behind`` that follow them."""
        first = self._entries[after : after + count]
        then = self._entries[after + count : after + count + behind]
        self._entries[after : after + count + behind] = then + first

    @property
    def at_end(self) -> bool:
        """Has everything been played?"""
        return not self._entries


def replies(*pdus: Pdu) -> Callable[[Operation[Any]], Any]:
    """A peer that answers with these PDUs, whatever it is asked; gives what the operation returns."""

    def run(operation: Operation[Any]) -> Any:
        waiting: Iterator[Pdu] = iter(pdus)
        try:
            step = next(operation)
            while True:
                step = operation.send(next(waiting) if isinstance(step, Ask | Receive) else None)
        except StopIteration as stop:
            return stop.value

    return run
