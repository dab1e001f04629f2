"""Long work waits for its turn."""

import asyncio

import pytest

from pypcp.pmcd.turns import Turns

pytestmark = pytest.mark.anyio


async def rounds(count: int = 1) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_slice_of_all_that_wait_is_done_in_each_round() -> None:
    turns, done = Turns(), []
    for name in "abc":
        turns.ask(lambda name=name: done.append(name))
    assert done == []
    for expected in ("a", "ab", "abc", "abc"):
        await rounds()
        assert "".join(done) == expected


async def test_who_asks_again_waits_for_those_who_came_before() -> None:
    turns, done = Turns(), []

    def greedy() -> None:
        done.append("greedy")
        if len(done) < 4:
            turns.ask(greedy)

    turns.ask(greedy)
    turns.ask(lambda: done.append("other"))
    await rounds(6)
    assert done == ["greedy", "other", "greedy", "greedy"]


async def test_tasks_wait_for_a_turn_too() -> None:
    turns, done = Turns(), []

    async def work(name: str) -> None:
        for _ in range(2):
            await turns.turn()
            done.append(name)

    await asyncio.gather(work("a"), work("b"))
    assert done == ["a", "b", "a", "b"]


async def test_who_gives_up_waiting_holds_up_nobody() -> None:
    turns = Turns()
    given_up = asyncio.create_task(turns.turn())
    await rounds()
    given_up.cancel()
    await asyncio.wait_for(turns.turn(), 5)
    assert given_up.cancelled()


async def test_a_slice_that_fails_is_not_tried_again_and_holds_up_nobody() -> None:
    turns, complaints = Turns(), []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: complaints.append(context["exception"]))

    def fail() -> None:
        raise RuntimeError("failed")

    turns.ask(fail)
    await asyncio.wait_for(turns.turn(), 5)
    loop.set_exception_handler(None)
    assert [str(each) for each in complaints] == ["failed"]
