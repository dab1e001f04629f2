"""The honest client beside an attack: it goes on fetching, and the test sees that it is answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pypcp.model.ids import Pmid
from running import Running
from waiting import until

NUMAGENTS = Pmid.build(2, 0, 2)


class Honest:
    """Counts the fetches of a client that fetches one metric over and over."""

    def __init__(self) -> None:
        self.answered = 0

    async def is_answered(self, times: int = 20) -> None:
        """Return once ``times`` more fetches were answered, all begun and ended from now on."""
        goal = self.answered + times + 1
        await until(lambda: self.answered >= goal)

    async def fetch_for_ever(self, running: Running) -> None:
        async with running.client() as client:
            while True:
                result = await client.fetch([NUMAGENTS])
                assert result.value_sets[0].values
                self.answered += 1
                await asyncio.sleep(0)


@asynccontextmanager
async def beside(running: Running) -> AsyncIterator[Honest]:
    """An honest client at work for the time of the block. What it meets fails the test."""
    honest = Honest()
    task = asyncio.create_task(honest.fetch_for_ever(running))
    try:
        yield honest
        await honest.is_answered(3)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
