"""Asking agents, at once where the agent is here, later where it is a process.

What answers a request is a generator: it yields what has to be awaited, and where there is nothing to await it runs to
its end in one go, without a task. So each answer is written once, for agents in this process and in others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
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
    result = begin(route, client, absent, call)
    if isinstance(result, Awaitable):
        result = yield result
    return result


def begin(route: Route | None, client: Client, absent: type[PcpError], call: Callable[[Any], Any]) -> Any:
    """As :func:`ask`, but what has to be waited for is given to be awaited, as it is."""
    if route is None:
        raise absent()
    if (refusal := route.refusal) is not None:
        raise refusal()
    return route.ask(client, call)


def together(questions: Iterable[Callable[[], Any]]) -> Asking[list[Any]]:
    """What each question gives, or the ``PcpError`` in its place, in their order.

    A question gives its answer or something to be awaited: agents elsewhere are all asked before one is waited for, so
    that several who are slow take as long as the slowest. Each is one that :func:`begin` answers.
    """
    answers: list[Any] = []
    waiting: dict[int, Awaitable[Any]] = {}
    try:
        for place, question in enumerate(questions):
            if place % SLICE == SLICE - 1:
                yield None
            try:
                answer = question()
            except PcpError as error:
                answer = error
            answers.append(answer)
            if isinstance(answer, Awaitable):
                waiting[place] = answer
        asked, waiting = waiting, {}
        if asked:
            settled = yield _settled(asked.values())
            for place, answer in zip(asked, settled, strict=True):
                answers[place] = answer
    finally:
        for unasked in waiting.values():
            if isinstance(unasked, Coroutine):
                unasked.close()
    return answers


async def _settled(waiting: Iterable[Awaitable[Any]]) -> list[Any]:
    settled = await asyncio.gather(*waiting, return_exceptions=True)
    for each in settled:
        if isinstance(each, BaseException) and not isinstance(each, PcpError):
            raise each
    return settled


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
