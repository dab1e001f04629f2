"""Asking agents, at once where the agent is here, later where it is a process.

What answers a request is a generator: it yields what has to be awaited, and where there is nothing to await it runs to
its end in one go, without a task. So each answer is written once, for agents in this process and in others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import Any, Final, TypeVar

from pypcp.errors import PcpError
from pypcp.pmcd.agent_view import Elsewhere
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

    Each is one that :func:`begin` answers. Agents elsewhere are asked at the same time, so that several who are slow
    take as long as the slowest; but each of them one thing after the other, so that whoever asks for thousands has one
    place in its queue, as everybody has.
    """
    answers: list[Any] = []
    elsewhere: dict[object, list[int]] = {}
    for place, question in enumerate(questions):
        if place % SLICE == SLICE - 1:
            yield None
        try:
            answers.append(question())
        except PcpError as error:
            answers.append(kept(error))
        if isinstance(answers[place], Elsewhere):
            elsewhere.setdefault(answers[place].agent, []).append(place)
    if elsewhere:
        yield _answered_elsewhere(answers, elsewhere.values())
    return answers


async def _answered_elsewhere(answers: list[Any], elsewhere: Iterable[Sequence[int]]) -> None:
    settled = await asyncio.gather(*[_in_turn(answers, places) for places in elsewhere], return_exceptions=True)
    for each in settled:
        if each is not None:
            raise each


async def _in_turn(answers: list[Any], places: Sequence[int]) -> None:
    """Put the answers of one agent in the places of its questions."""
    for place in places:
        try:
            answers[place] = await answers[place]
        except PcpError as error:
            answers[place] = kept(error)


def kept(error: PcpError) -> PcpError:
    """An error as an answer: of where it was raised it knows nothing, or with all that is there it would be a cycle."""
    return error.with_traceback(None)


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
