"""The stream of an agent that the privileged helper started: two pipes, not one socket."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import pytest

from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.statistics import AgentStatistics, Statistics
from pypcp.wire.versions import IpcTable

pytestmark = pytest.mark.anyio


async def test_the_end_of_an_agent_on_two_pipes_ends_its_stream_once() -> None:
    loop = asyncio.get_running_loop()
    troubles: list[Mapping[str, Any]] = []
    loop.set_exception_handler(lambda _, context: troubles.append(context))
    lost: asyncio.Future[str] = loop.create_future()
    stream = AgentStream("fake", lambda: 5.0, lost.set_result, Statistics(), AgentStatistics(), IpcTable())
    (reads, says), (hears, writes) = os.pipe(), os.pipe()
    reading, _ = await loop.connect_read_pipe(lambda: stream, os.fdopen(reads, "rb", 0))
    writing, _ = await loop.connect_write_pipe(lambda: stream, os.fdopen(writes, "wb", 0))
    os.close(hears)
    os.close(says)
    assert await asyncio.wait_for(lost, 5) == "end of file"
    for _ in range(5):  # what asyncio calls soon, and what that calls soon
        await asyncio.sleep(0)
    assert reading.is_closing()
    assert writing.is_closing()
    assert troubles == []
