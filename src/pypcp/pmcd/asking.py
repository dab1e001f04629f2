"""Asking agents, at once where the agent is here, later where it is a process.

What answers a request is a generator: it yields what has to be awaited, and where there is nothing to await it runs to
its end in one go, without a task. So each answer is written once, for agents in this process and in others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, TypeVar

from pypcp.errors import PcpError
from pypcp.pmcd.router import Route
from pypcp.pmcd.turns import Turns
from pypcp.pmda.interface import Client
from pypcp.wire.pdu import Pdu

T = TypeVar("T")

Asking = Generator[Awaitable[Any] | None, Any, T]
"""Yields awaitables, receives their results (or has their ``PcpError`` thrown in), returns a T.

Where there is much to do it yields None between two slices of it: others shall have their turn.
"""

SLICE: Final = 64
"""Look-ups that are made in one go."""


def ask(route: Route | None, client: Client, absent: type[PcpError], call: Callable[[Any], Any]) -> Asking[Any]:
    """What ``call`` gives of the agent as ``client`` sees it.

    ``absent`` is raised where there is no route, and the route's refusal where there is one.
    """
    if route is None:
        raise absent()
    if (refusal := route.refusal) is not None:
        raise refusal()
    result = route.ask(client, call)
    if isinstance(result, Awaitable):
        result = yield result
    return result


def answer(asking: Asking[Pdu], turns: Turns) -> Pdu | Awaitable[Pdu]:
    """Run to the end, or to the first thing to wait for; then the rest is an awaitable."""
    try:
        pending = next(asking)
    except StopIteration as done:
        reply: Pdu = done.value
        return reply
    return _finish(asking, pending, turns)


async def _finish(asking: Asking[Pdu], pending: Awaitable[Any] | None, turns: Turns) -> Pdu:
    while True:
        try:
            try:
                result = await (turns.turn() if pending is None else pending)
            except PcpError as error:
                pending = asking.throw(error)
            else:
                pending = asking.send(result)
        except StopIteration as done:
            reply: Pdu = done.value
            return reply
