"""Calls in threads of their own: what they give, and that nobody has to wait for one that hangs."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pypcp.pmcd.threads import LimitedThreads, in_thread
from waiting import LIMIT_S, until, wait_until

HANGS_AT_THE_END = """
import asyncio, threading
from pypcp.pmcd.threads import in_thread

async def main():
    task = asyncio.ensure_future(in_thread(threading.Event().wait))
    await asyncio.sleep(0)
    {leave}

asyncio.run(main())
"""


@pytest.fixture
def may_end() -> Iterator[threading.Event]:
    """What hangs in a test hangs until then."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.anyio
async def test_it_gives_what_the_call_gives_and_raises_what_it_raises() -> None:
    assert await in_thread(int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


@pytest.mark.parametrize("leave", ["task.cancel()", "pass"], ids=["given up", "still wanted"])
def test_a_program_ends_while_a_call_hangs(leave: str) -> None:
    program = HANGS_AT_THE_END.format(leave=leave)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("leave", [asyncio.Future.cancel, lambda future: None], ids=["given up", "still wanted"])
def test_a_call_that_ends_after_the_loop_has_nobody_to_tell(may_end: threading.Event, leave: object) -> None:
    threads = set(threading.enumerate())

    async def begin() -> None:
        future = in_thread(may_end.wait)
        leave(future)  # type: ignore[operator]

    asyncio.run(begin())
    may_end.set()
    wait_until(lambda: set(threading.enumerate()) <= threads)


@pytest.mark.anyio
async def test_those_that_hang_keep_others_of_their_kind_waiting_and_nobody_else(may_end: threading.Event) -> None:
    limited = LimitedThreads(3)
    hanging = [asyncio.create_task(limited.call(may_end.wait)) for _ in range(3)]
    next_one = asyncio.create_task(limited.call(int))
    await asyncio.sleep(0)
    assert await in_thread(int, "7") == 7
    assert not next_one.done()
    may_end.set()
    await until(next_one.done)
    assert await asyncio.gather(*hanging) == [True] * 3
