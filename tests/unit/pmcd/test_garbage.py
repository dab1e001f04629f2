"""Full collections are the daemon's to make."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from pypcp.pmcd.garbage import Garbage
from waiting import until

pytestmark = pytest.mark.anyio


class Ring:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def before() -> Iterator[tuple[tuple[int, int, int], int]]:
    yield gc.get_threshold(), len(gc.callbacks)


async def test_the_interpreter_makes_none_by_itself(before: object) -> None:
    garbage = Garbage(every_s=3600.0)
    try:
        full = gc.get_stats()[2]["collections"]
        kept = [[number] for number in range(300_000)]
        assert len(kept) == 300_000
        assert gc.get_stats()[2]["collections"] == full
    finally:
        garbage.close()


async def test_one_is_made_some_time_after_work_was_done(before: object) -> None:
    garbage = Garbage(every_s=0.01, enough=2)
    try:
        ring = Ring()
        gc.collect(1)  # it is old now: collections of the young do not look at it
        old = weakref.ref(ring)
        del ring
        await until(lambda: gc.collect(1) >= 0 and old() is None)
    finally:
        garbage.close()


async def test_where_nothing_was_done_none_is_made_and_nobody_is_woken(before: object) -> None:
    garbage = Garbage(every_s=0.0)
    try:
        full = gc.get_stats()[2]["collections"]
        for _ in range(20):  # a timer of no length is over when the loop turns
            await asyncio.sleep(0)
        assert gc.get_stats()[2]["collections"] == full
    finally:
        garbage.close()


async def test_it_leaves_everything_as_it_was(before: tuple[tuple[int, int, int], int]) -> None:
    Garbage().close()
    assert (gc.get_threshold(), len(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0
