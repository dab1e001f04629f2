"""What hangs in a thread of the daemon keeps the daemon neither from other work nor from ending."""

import asyncio
import os
import pwd
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from honest import beside
from peers import OurDaemon
from pypcp.model.ids import Pmid
from pypcp.model.values import ValueType
from pypcp.pmcd import router
from pypcp.pmda.agent import Agent
from running import Starter
from waiting import until, wait_until


@pytest.fixture
def may_end() -> Iterator[threading.Event]:
    """What hangs in a test hangs until then."""
    event = threading.Event()
    yield event
    event.set()


@contextmanager
def closing() -> Iterator[list[int]]:
    """Descriptors to be closed at the end."""
    descriptors: list[int] = []
    yield descriptors
    for each in descriptors:
        os.close(each)


def opens(pipe: Path, descriptors: list[int]) -> bool:
    """Open a named pipe to write where somebody has opened it to read, who then waits for its text."""
    try:
        descriptors.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_sigterm_ends_a_daemon_whose_reload_waits_for_a_file_for_ever(tmp_path: Path, loop_name: str) -> None:
    configuration, names = tmp_path / "pmcd.conf", tmp_path / "names"
    configuration.write_text("")
    names.write_text("root {\n}\n")
    daemon = OurDaemon("-c", configuration, "-n", names, tool="pmcd", loop=loop_name)
    with closing() as descriptors, daemon:  # which has to end
        configuration.unlink()
        os.mkfifo(configuration)
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: opens(configuration, descriptors), "the configuration is read")


@pytest.mark.anyio
async def test_a_directory_service_that_says_nothing_holds_up_no_reload(
    start: Starter, monkeypatch: pytest.MonkeyPatch, may_end: threading.Event
) -> None:
    asked = []

    def says_nothing(name: str) -> pwd.struct_passwd:
        asked.append(name)
        may_end.wait(60.0)
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", says_nothing)
    async with start() as running, beside(running):
        security = running.daemon.security
        logins = [asyncio.create_task(security.identified(f"user{number}")) for number in range(100)]
        await until(lambda: asked)
        await running.daemon.reload()
        assert len(asked) < 10
        may_end.set()
        assert set(await asyncio.gather(*logins)) == {(None, None)}


@pytest.mark.anyio
async def test_an_agent_whose_shutdown_never_ends_is_left_behind(
    start: Starter, monkeypatch: pytest.MonkeyPatch, may_end: threading.Event
) -> None:
    monkeypatch.setattr(router, "_STOP_LIMIT_S", 0.1)
    agent, begun = Agent("slow", 102), threading.Event()
    agent.metric("slow.number", item=0, type_=ValueType.U32)(lambda: 42)

    @agent.shutdown
    def never_ends() -> None:
        begun.set()
        may_end.wait(60.0)

    async with start(own=[agent]) as running, running.client() as client:
        assert (await client.fetch([Pmid.build(102, 0, 0)])).value_sets[0].value == 42
    assert begun.is_set()
    assert not may_end.is_set()
