"""Sources in the background: requests never wait for them."""

import asyncio
import threading
import time

import pytest

from pypcp.errors import OsError, TryAgain
from pypcp.pmda import Agent, lifetime
from pypcp.pmda.testing import AgentTester
from waiting import LIMIT_S, wait_until


@pytest.fixture
def agent():
    made = Agent("t", 100)
    yield made
    made.stop()


def value_or_error(tester, name="t.value"):
    try:
        return tester.fetch(name)
    except (TryAgain, OsError) as error:
        return type(error)


def with_value(agent, function, **options):
    source = agent.source(every=0.01, **options)(function)

    @source.metric()
    def value(snapshot: int) -> int:
        return snapshot

    return AgentTester(agent)


def test_before_the_first_reading_a_client_is_told_to_try_again(agent):
    tester = with_value(agent, lambda: 1)
    assert value_or_error(tester) is TryAgain


@pytest.mark.parametrize("asynchronous", [False, True])
def test_values_are_those_of_the_last_reading(agent, asynchronous):
    count = iter(range(1, 10**9))

    async def later() -> int:
        return next(count)

    tester = with_value(agent, later if asynchronous else lambda: next(count))
    agent.start()
    wait_until(lambda: value_or_error(tester) not in (TryAgain, 1))
    first = tester.fetch("t.value")
    wait_until(lambda: tester.fetch("t.value") > first)


def test_a_source_that_blocks_delays_no_answer_and_no_other_source(agent):
    release = threading.Event()

    async def stuck_coroutine() -> int:
        release.wait(LIMIT_S)  # the mistake that authors make
        return 1

    tester = with_value(agent, lambda: 7, keep=60)
    agent.source(every=0.01)(release.wait)
    agent.source(every=0.01)(stuck_coroutine)
    agent.start()
    try:
        wait_until(lambda: value_or_error(tester) == 7)
        started = time.monotonic()
        assert tester.fetch("t.value") == 7
        assert time.monotonic() - started < LIMIT_S / 2
    finally:
        release.set()


def test_old_values_are_not_given_for_longer_than_said(agent):
    go_on = threading.Event()
    values = iter([5])

    def once() -> int:
        for value in values:
            return value
        go_on.wait(LIMIT_S)
        return 6

    tester = with_value(agent, once, keep=0.6)
    agent.start()
    wait_until(lambda: value_or_error(tester) == 5)
    wait_until(lambda: value_or_error(tester) is TryAgain)
    go_on.set()
    wait_until(lambda: value_or_error(tester) == 6)


def test_a_failing_reading_leaves_the_last_values_until_they_are_old_and_then_tells_why(agent, caplog):
    readings = iter([5])

    def once() -> int:
        for value in readings:
            return value
        raise ConnectionRefusedError(111, "refused")

    tester = with_value(agent, once, keep=0.6)
    agent.start()
    wait_until(lambda: value_or_error(tester) == 5)
    wait_until(lambda: value_or_error(tester) is OsError)
    assert caplog.text.count("the agent's code failed") == 1


def test_a_coroutine_that_takes_too_long_is_ended_and_the_log_says_so(agent, caplog):
    ended = []

    async def slow() -> int:
        try:
            await asyncio.sleep(LIMIT_S)
        finally:
            ended.append(True)
        return 1

    with_value(agent, slow, timeout=0.02)
    agent.start()
    wait_until(lambda: ended and caplog.text)
    assert "it took longer than 0.02 s" in caplog.text
    assert "CancelledError" not in caplog.text


def test_instances_and_values_of_a_reading_change_together(agent):
    rounds = iter(range(10**9))
    things = agent.indom(0, members=lambda names: names)

    def names() -> list[str]:
        size = next(rounds) % 5 + 1
        return [f"i{number}" for number in range(size)]

    source = agent.source(every=0.0005, keep=60)(names)

    @source.metric(indom=things)
    def length(snapshot: list[str]) -> list[int]:
        return [len(snapshot)] * len(snapshot)

    tester = AgentTester(agent)
    agent.start()
    wait_until(lambda: value_or_error(tester, "t.length") is not TryAgain)
    for _ in range(300):
        fetched = tester.fetch_sets([length.desc.pmid])[0]
        assert fetched.error is None
        assert len(fetched.values) == fetched.values[0]


def test_until_the_startup_is_done_the_agent_is_not_ready(agent):
    done = threading.Event()

    @agent.startup
    async def prepare() -> None:
        while not done.is_set():
            await asyncio.sleep(0.001)

    told = []
    agent.readiness.on_ready(lambda: told.append(agent.readiness.ready))
    agent.start()
    assert not agent.readiness.ready
    done.set()
    wait_until(lambda: told == [True])


def test_a_startup_that_fails_is_logged_and_the_agent_answers(agent, caplog):
    @agent.startup
    def broken() -> None:
        raise RuntimeError("no controller")

    agent.start()
    wait_until(lambda: agent.readiness.ready)
    assert "no controller" in caplog.text


def test_sources_begin_when_the_startup_has_ended_and_use_what_it_opened(agent):
    opened: dict[str, asyncio.AbstractEventLoop] = {}
    seen = []

    @agent.startup
    async def connect() -> None:
        await asyncio.sleep(0.05)
        opened["session"] = asyncio.get_running_loop()

    @agent.source(every=0.01)
    def plain() -> int:
        seen.append(("plain", bool(opened)))
        return 1

    @agent.source(every=0.01)
    async def later() -> int:
        seen.append(("later", opened.get("session") is asyncio.get_running_loop()))
        return 1

    @agent.shutdown
    async def disconnect() -> None:
        seen.append(("closed", opened["session"] is asyncio.get_running_loop()))

    agent.start()
    wait_until(lambda: {name for name, _ in seen} == {"plain", "later"})
    agent.stop()
    assert set(seen) == {("plain", True), ("later", True), ("closed", True)}


def test_startups_run_one_after_the_other(agent):
    order = []

    @agent.startup
    def first() -> None:
        threading.Event().wait(0.05)
        order.append("first")

    @agent.startup
    async def second() -> None:
        order.append("second")

    agent.start()
    wait_until(lambda: agent.readiness.ready)
    assert order == ["first", "second"]


def test_a_startup_that_never_ends_does_not_hold_up_the_stop(agent, monkeypatch):
    monkeypatch.setattr(lifetime, "_STOP_LIMIT_S", 60.0)
    begun = threading.Event()

    @agent.startup
    async def forever() -> None:
        begun.set()
        await asyncio.Event().wait()

    agent.start()
    assert begun.wait(LIMIT_S)
    started = time.monotonic()
    agent.stop()
    assert time.monotonic() - started < 30.0


def test_a_task_of_the_startup_goes_on_until_the_stop(agent):
    tasks = []

    async def watch() -> None:
        await asyncio.Event().wait()

    @agent.startup
    async def begin() -> None:
        tasks.append(asyncio.create_task(watch()))

    agent.start()
    wait_until(lambda: agent.readiness.ready)
    assert not tasks[0].done()
    agent.stop()
    assert tasks[0].cancelled()
