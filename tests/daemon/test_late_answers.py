"""A late reply is not lost: who asks the same again has its values, and everybody hears of the changes it tells."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clock import Clock
from fakes.client import RawClient, fetch
from fakes.held_agent import CHANGES, WELL, WITH_CHANGES, Lead
from honest import NUMAGENTS
from pypcp.errors import TryAgain
from pypcp.model.ids import InDom, Pmid
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.pmcd import late_answers
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import decode
from pypcp.wire.result import Result
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
DOMAIN = 100
COUNT, NUMBERS = Pmid.build(DOMAIN, 0, 0), Pmid.build(DOMAIN, 0, 1)
LATE = TryAgain.code
LIMITS = {"agent_soft_s": 0.1, "agent_s": 3600.0}
"""Who is late is late at once, and never ended for it."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(late_answers, "time", clock)
    return clock


@pytest.fixture
def lead(tmp_path: Path) -> Iterator[Lead]:
    with Lead(tmp_path, DOMAIN) as lead:
        yield lead


async def asked(client: RawClient, *pmids: int, context: int = 0) -> object:
    """What a fetch says of the first metric, the agent's: its values, or the code of its error.

    The daemon's own takes part, so the agent is not waited for for long.
    """
    reply = await client.answer(fetch(*pmids, NUMAGENTS, context=context))
    assert isinstance(reply, Result), reply
    assert reply.value_sets[-1].values == [2]
    first = reply.value_sets[0]
    return first.error.code if first.error is not None else list(first.values)


async def answered(running: Running, times: int) -> None:
    """Return once the daemon has taken so many answers of the agent."""
    await until(lambda: running.keeper(DOMAIN).statistics.requests == times)


@pytest.mark.parametrize("age_s", [0.0, 29.99])
async def test_its_values_answer_the_next_fetch_of_the_same(
    start: Starter, lead: Lead, clock: Clock, age_s: float
) -> None:
    async with start({DOMAIN: "held"}, **LIMITS) as running, RawClient(running.path) as client:
        await client.greeted()
        assert await asked(client, COUNT) == LATE
        lead.let()
        await answered(running, 1)
        clock.now += age_s
        assert await asked(client, COUNT) == [1]
        assert await asked(client, COUNT) == LATE  # it was given once


async def test_values_that_are_too_old_answer_nothing(start: Starter, lead: Lead, clock: Clock) -> None:
    async with start({DOMAIN: "held"}, **LIMITS) as running, RawClient(running.path) as client:
        await client.greeted()
        assert await asked(client, COUNT) == LATE
        lead.let()
        await answered(running, 1)
        clock.now += 30.0
        assert await asked(client, COUNT) == LATE


async def test_an_agent_that_has_caught_up_answers_itself(start: Starter, lead: Lead) -> None:
    async with start({DOMAIN: "held"}, **LIMITS) as running, RawClient(running.path) as client:
        await client.greeted()
        assert await asked(client, COUNT) == LATE
        lead.let(WELL, WELL)
        await answered(running, 1)
        running.change_limits(agent_soft_s=3600.0)
        assert await asked(client, COUNT) == [2]


async def test_its_values_are_for_the_same_list_profile_and_client_only(start: Starter, lead: Lead) -> None:
    chosen = Profile(False).add(InDom.build(DOMAIN, 1), [2])
    async with (
        start({DOMAIN: "held"}, **LIMITS) as running,
        RawClient(running.path) as client,
        RawClient(running.path) as other,
    ):
        await client.greeted()
        await client.send(ProfilePdu(1, chosen), ProfilePdu(2, EVERYTHING))
        await other.greeted()
        assert await asked(client, NUMBERS) == LATE
        lead.let()
        await answered(running, 1)
        assert await asked(client, NUMBERS, COUNT) == LATE  # another list
        assert await asked(client, NUMBERS, context=1) == LATE  # another profile
        assert await asked(other, NUMBERS) == LATE  # another client
        assert await asked(client, NUMBERS, context=2) == [10, 20, 30, 40]  # an equal profile is the same


async def test_its_changes_are_told_to_everybody(start: Starter, lead: Lead) -> None:
    async with (
        start({DOMAIN: "held"}, **LIMITS) as running,
        RawClient(running.path) as client,
        RawClient(running.path) as other,
    ):
        await client.greeted()
        await other.greeted()
        assert await asked(client, COUNT) == LATE
        lead.let(WITH_CHANGES)
        await answered(running, 1)
        for each in (client, other):
            assert await each.answer(fetch(NUMAGENTS)) == Error(CHANGES)
            assert isinstance(decode(await each.receive()), Result)
            assert isinstance(await each.answer(fetch(NUMAGENTS)), Result)


async def test_its_changes_are_told_when_who_asked_has_gone(start: Starter, lead: Lead) -> None:
    async with start({DOMAIN: "held"}, **LIMITS) as running, RawClient(running.path) as other:
        await other.greeted()
        async with RawClient(running.path) as client:
            await client.greeted()
            await client.send(fetch(COUNT))
            await until(lambda: lead.seen("Fetch"))
        await until(lambda: len(running.daemon.clients) == 1)
        lead.let(WITH_CHANGES)
        await answered(running, 1)
        assert await other.answer(fetch(NUMAGENTS)) == Error(CHANGES)
        assert isinstance(decode(await other.receive()), Result)
