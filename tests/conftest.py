"""What holds for every test: asynchronous ones run on both event loops, and none leaves anything behind."""

import asyncio
import gc
import importlib.util
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from peers import require

# Where a failure stops everybody, the same inputs every time: new ones are found by whoever works on the code.
settings.register_profile("the same", derandomize=True)
if "PYPCP_REQUIRE_PEERS" in os.environ:
    settings.load_profile("the same")

LOOPS = ["asyncio", "uvloop"]
SETTLE_LIMIT_S = 2.0


@pytest.fixture(params=LOOPS, scope="session")
def loop_name(request: pytest.FixtureRequest) -> str:
    """The event loops that a daemon can run on, as its --loop option calls them."""
    require(importlib.util.find_spec(request.param), request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def anyio_backend(loop_name: str) -> tuple[str, dict[str, Any]]:
    """Run every asynchronous test on asyncio's own loop and on uvloop."""
    if loop_name == "uvloop":
        _open_what_uvloop_never_closes()
    return "asyncio", {"use_uvloop": loop_name == "uvloop"}


def pytest_report_header() -> list[str]:
    """Say whether a missing peer skips its tests or fails them."""
    missing = "fails its tests" if os.environ.get("PYPCP_REQUIRE_PEERS") == "1" else "skips its tests"
    return [f"peers: one that is missing here {missing} (PYPCP_REQUIRE_PEERS)"]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """After a test: no thread, child process or descriptor that was not there before it."""
    before = open_things()
    yield
    left = settled(before)
    assert not left, "left behind by the test: " + ", ".join(sorted(left))


@pytest.fixture(autouse=True)
def the_log_says_as_much_as_before() -> Iterator[None]:
    """After a test that has a daemon log everything (pmcd.control.debug)."""
    ours = logging.getLogger("pypcp")
    before = ours.level
    yield
    ours.setLevel(before)


@pytest.fixture(autouse=True)
def no_task_left_behind(request: pytest.FixtureRequest, nothing_left_behind: None) -> None:
    """After an asynchronous test, and before its loop is closed: no task either."""
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("_no_task_left_in_the_loop")


@pytest.fixture
async def _no_task_left_in_the_loop(anyio_backend: object) -> AsyncIterator[None]:
    yield
    if started := _tasks_of_the_test():
        await asyncio.wait(started, timeout=SETTLE_LIMIT_S)
    left = [task for task in started if not task.done()]
    assert not left, f"tasks left behind by the test: {left}"


def _tasks_of_the_test() -> set[asyncio.Task[Any]]:
    """All but those by which anyio runs the test and its fixtures."""
    return {task for task in asyncio.all_tasks() if "TestRunner." not in repr(task.get_coro())}


def _open_what_uvloop_never_closes() -> None:
    """The first loop of a process opens libuv's signal pipe for good, which is no leak of the test that meets it."""
    importlib.import_module("uvloop").new_event_loop().close()


def settled(before: set[str]) -> set[str]:
    """What is new since `before`, once the endings that are under way have ended."""
    left = open_things() - before
    if left:
        gc.collect()
    deadline = time.monotonic() + SETTLE_LIMIT_S
    while left and time.monotonic() < deadline:
        time.sleep(0.005)
        left = open_things() - before
    return left


def open_things() -> set[str]:
    """The threads, children and descriptors of this process, each in words."""
    threads = {f"thread {thread.name}" for thread in threading.enumerate()}
    return threads | _children() | _descriptors()


def _children() -> set[str]:
    lists = Path("/proc/self/task").glob("*/children")
    return {f"child process {pid}" for children in lists for pid in _read(children).split()}


def _descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"descriptor {name} ({os.readlink(f'/proc/self/fd/{name}')})")
        except FileNotFoundError:  # the one that listed the directory
            continue
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:  # a thread that ended meanwhile
        return ""
