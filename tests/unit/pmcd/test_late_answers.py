"""Late answers: kept for the same question, for a while, and not too many."""

import asyncio

import pytest

from fakes.played_agent import connected
from honest import until
from pypcp.errors import TryAgain
from pypcp.model.profile import EVERYTHING
from pypcp.pmcd import late_answers
from pypcp.pmcd.conversation import Conversation
from pypcp.pmcd.late_answers import Asked, Fetches, LateAnswers
from pypcp.pmda.segments import Fetched

pytestmark = pytest.mark.anyio
MEGABYTE = 1 << 20


def question(pmid: int, slot: int = 0) -> Asked:
    return (pmid,), EVERYTHING, slot


async def test_an_answer_is_for_the_same_question_and_given_once() -> None:
    late, answer = LateAnswers(), Fetched([])
    late.keep(question(1), answer, 100)
    assert late.take(question(1, slot=2)) is None
    assert late.take(question(1)) is answer
    assert late.take(question(1)) is None
    late.clear()


async def test_the_oldest_go_where_answers_are_large() -> None:
    late, answers = LateAnswers(), [Fetched([]) for _ in range(4)]
    for number, answer in enumerate(answers):
        late.keep(question(number), answer, 10 * MEGABYTE)
    assert late.held_bytes == 30 * MEGABYTE
    assert [late.take(question(number)) for number in range(4)] == [None, *answers[1:]]
    late.keep(question(5), answers[0], 256 * MEGABYTE)
    assert (late.take(question(5)), late.held_bytes) == (None, 0)
    late.clear()


async def test_the_oldest_go_where_answers_are_many() -> None:
    late = LateAnswers()
    for number in range(100):
        late.keep(question(number), Fetched([]), 1)
    assert len(late) == late.held_bytes == 64
    assert late.take(question(35)) is None
    assert late.take(question(36)) is not None
    late.clear()


async def test_an_answer_in_place_of_another_counts_once() -> None:
    late = LateAnswers()
    late.keep(question(1), Fetched([]), 100)
    late.keep(question(1), Fetched([]), 70)
    assert late.held_bytes == 70
    late.clear()


async def test_what_nobody_takes_is_dropped_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_answers, "LATE_S", 0.05)
    late = LateAnswers()
    late.keep(question(1), Fetched([]), 100)
    late.keep(question(2), Fetched([]), 100)
    async with asyncio.timeout(5.0):
        while len(late):
            await asyncio.sleep(0.005)
    assert late.held_bytes == 0


async def test_a_client_that_goes_leaves_nothing() -> None:
    late = LateAnswers()
    late.keep(question(1, slot=0), Fetched([]), 100)
    late.keep(question(1, slot=1), Fetched([]), 100)
    late.forget(0)
    assert late.take(question(1, slot=0)) is None
    assert late.take(question(1, slot=1)) is not None
    late.clear()


async def test_a_fetch_that_is_withdrawn_before_it_is_sent_says_try_again() -> None:
    async with connected() as agent:
        under_way = agent.ask()
        fetches = Fetches(Conversation(agent.stream), lambda changes: None, 1 << 20)
        waiting = asyncio.create_task(fetches.fetch(question(1, slot=3), 1.0, alone=True))
        await until(lambda: agent.stream.queued)
        fetches.forget(3)
        with pytest.raises(TryAgain):
            await waiting
        fetches.end()
    under_way.exception()
