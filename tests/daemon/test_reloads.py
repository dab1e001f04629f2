"""Reloads: what takes long is done beside the clients, one reload after the other."""

import asyncio
import os
import pwd
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.client import RawClient, fetch
from fakes.held_agent import AND_HALF_MORE, BY_HALF, Lead
from honest import beside
from pypcp.errors import NoAgent
from pypcp.model.ids import Pmid
from pypcp.model.values import ValueType
from pypcp.pmcd import daemon, reload, sources
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.limits import Limits
from pypcp.pmcd.options import Options
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.router import LocalRoute, merged_names
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client, FetchRequest
from running import FAKE_AGENT, HELD_AGENT, Starter
from waiting import until, wait_until

pytestmark = pytest.mark.anyio
OWN = "pmcd 2 dso pmcd_init /var/lib/pcp/pmdas/pmcd/pmda_pmcd.so\n"
VALUE = Pmid.build(102, 0, 0)


async def written_to(pipe: Path, text: str) -> None:
    """Let the one that reads a named pipe have its text."""
    descriptors = []

    def opens() -> bool:
        try:
            descriptors.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    await until(opens)
    os.write(descriptors[0], text.encode())
    os.close(descriptors[0])


@contextmanager
def agent_that_does_not_begin(directory: Path) -> Iterator[Path]:
    """Configure one; a reload is not over before something is written to the pipe that this gives."""
    gate = directory / "gate"
    os.mkfifo(gate)
    (directory / "pmcd.conf").write_text(f"{OWN}slow 103 pipe binary /bin/cat {gate}\n")
    yield gate


async def test_clients_are_answered_while_files_are_read_and_reloads_keep_their_order(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.Sources, "changed", lambda self: False)  # none but those that are asked for here
    async with start() as running, running.client() as client, beside(running) as honest:
        configuration = tmp_path / "pmcd.conf"
        configuration.unlink()
        os.mkfifo(configuration)  # a file whose reading takes as long as we like
        reloads = [asyncio.create_task(running.daemon.reload()) for _ in range(2)]
        await honest.is_answered()
        assert not any(reload.done() for reload in reloads)
        await written_to(configuration, '[access]\ndisallow "unix:" : store;\n')
        await reloads[0]
        await honest.is_answered()
        assert not reloads[1].done()
        await written_to(configuration, OWN)
        await reloads[1]
        assert running.daemon.gate.rules.hosts == ()
        assert [spec.label for spec in running.daemon.agent_set.configured] == ["pmcd"]
        assert await client.lookup_name("pmcd.numagents")


async def test_our_own_agent_stays_when_the_configuration_names_it_no_more(start: Starter, tmp_path: Path) -> None:
    async with start(access=OWN) as running, running.client() as client:
        (tmp_path / "pmcd.conf").write_text("")
        await running.daemon.reload()
        assert (await client.fetch([Pmid.build(2, 0, 2)])).value_sets[0].value == 1


async def test_an_agent_that_takes_long_to_stop_holds_nobody_up_and_is_asked_nothing_more() -> None:
    agent, may_stop = Agent("slow", 102), threading.Event()
    agent.metric("slow.number", item=0, type_=ValueType.U32)(lambda: 42)
    agent.shutdown(lambda: may_stop.wait(10.0))
    route = LocalRoute(agent)
    stopping = asyncio.create_task(route.stop())
    try:
        await until(lambda: route.refusal is NoAgent)
        assert not stopping.done()
        (segment,) = route.fetch(FetchRequest((VALUE,)), Client()).segments
        assert getattr(segment, "status", 0) == NoAgent.code
    finally:
        may_stop.set()
        await stopping


async def test_who_asks_for_a_reload_and_comes_then_finds_what_is_new_while_others_are_answered(
    start: Starter, tmp_path: Path
) -> None:
    async with start(reload_s=3600.0, agent_hello_s=3600.0) as running, beside(running) as honest:
        await honest.is_answered()
        with agent_that_does_not_begin(tmp_path) as gate:
            (tmp_path / "names").write_text("root {\n    new 102:0:0\n}\n")
            running.daemon.reloads.tell()  # what SIGHUP does
            async with running.client() as client:
                asking = asyncio.create_task(client.lookup_name("new"))
                await honest.is_answered()
                assert not asking.done()
                await written_to(gate, "this is no agent\n")
                assert await asking == VALUE


async def test_a_reload_that_takes_long_keeps_newcomers_for_a_while_only(start: Starter, tmp_path: Path) -> None:
    async with start(reload_s=0.01, agent_hello_s=3600.0) as running:
        with agent_that_does_not_begin(tmp_path) as gate:
            running.daemon.reloads.tell()
            async with running.client() as client:
                assert await client.lookup_name("pmcd.numagents")
            assert running.daemon.reloads.pending
            await written_to(gate, "this is no agent\n")
            await until(lambda: not running.daemon.reloads.pending)


# What goes on beside a reload: an honest client is answered from its beginning to its end.


class NameService:
    """A name service that says nothing until it may; slow is this host and this account by other names."""

    def __init__(self) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, but slow where it is asked for what is."""

        def asked(name: str, *more: Any, **named: Any) -> Any:
            if name.startswith("slow"):
                self.asked.set()
                self.may_answer.wait(10.0)
            known = {"slow.example": "localhost", "slow": pwd.getpwuid(os.getuid()).pw_name}
            return function(known.get(name, name), *more, **named)

        return asked


@pytest.mark.parametrize("rule", ["disallow slow.example : store;", "disallow user slow : store;"])
async def test_clients_are_answered_while_a_name_service_says_nothing(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    service = NameService()
    async with start() as running, beside(running) as honest:
        monkeypatch.setattr(socket, "getaddrinfo", service.before(socket.getaddrinfo))
        monkeypatch.setattr(pwd, "getpwnam", service.before(pwd.getpwnam))
        (tmp_path / "pmcd.conf").write_text(f"[access]\n{rule}\n")
        reloading = asyncio.create_task(running.daemon.reload())
        try:
            await until(service.asked.is_set)
            await honest.is_answered()
            assert not reloading.done()
        finally:
            service.may_answer.set()
        await reloading
        rules = running.daemon.gate.rules
        assert rules.hosts or rules.users


async def test_clients_come_while_it_takes_long_to_see_whether_a_file_has_changed(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration, stat = tmp_path / "pmcd.conf", os.stat
    asked, may_answer = threading.Event(), threading.Event()

    def slow_stat(path: Any, **named: Any) -> os.stat_result:
        if path == configuration:
            assert threading.current_thread() is not threading.main_thread()
            asked.set()
            may_answer.wait(10.0)
        return stat(path, **named)

    async with start() as running:
        monkeypatch.setattr(os, "stat", slow_stat)
        try:
            async with beside(running) as honest:
                await until(asked.is_set)
                await honest.is_answered()
            configuration.write_text(OWN)
        finally:
            may_answer.set()
        await until(lambda: running.daemon.statistics.sighups == 1)


@pytest.mark.parametrize("asked_for", [True, False], ids=["of a reply", "of something nobody asked for"])
async def test_an_agent_that_stops_within_a_pdu_holds_up_no_reload(
    start: Starter, tmp_path: Path, asked_for: bool
) -> None:
    with Lead(tmp_path, VALUE.domain) as lead:
        async with start({VALUE.domain: "held"}, agent_s=3600.0) as running, RawClient(running.path) as client:
            await client.greeted()
            lead.let(BY_HALF if asked_for else AND_HALF_MORE)
            await client.send(fetch(VALUE))
            if not asked_for:
                assert await client.receive()
            stream = running.keeper(VALUE.domain)._stream
            assert stream is not None
            await until(lambda: stream._frames.pending)
            async with beside(running) as honest:
                done = asyncio.Event()
                running.daemon.reloaded = done.set
                running.daemon.reloads.tell()  # what SIGHUP does
                await until(done.is_set)
                await honest.is_answered()
            assert stream._frames.pending


async def test_a_privileged_helper_that_says_nothing_holds_up_its_agents_only(start: Starter, tmp_path: Path) -> None:
    path = tmp_path / "root.socket"
    async with start(helper=Helper(path)) as running, running.client() as client, beside(running) as honest:
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(path))
            mute.listen()
            (tmp_path / "pmcd.conf").write_text(
                f'fake {VALUE.domain} pipe binary "{sys.executable}" "{FAKE_AGENT}" {VALUE.domain} well\n'
            )
            reloading = asyncio.create_task(running.daemon.reload())
            await until(lambda: is_waiting(mute))
            await honest.is_answered()
            assert not reloading.done()
        path.unlink()
        await reloading
        await until(lambda: running.keeper(VALUE.domain).refusal is None)
        assert (await client.fetch([VALUE])).value_sets[0].value == 1


def is_waiting(listener: socket.socket) -> bool:
    """Does somebody wait to be accepted?"""
    return bool(select.select([listener], [], [], 0)[0])


MANY = 20_000


def many_names(last: str) -> str:
    """A large name space, as a file has it."""
    groups = [f"g{number}" for number in range(MANY // 100)]
    blocks = [
        f"many.{group} {{\n" + "".join(f"    m{item} 300:{at}:{item}\n" for item in range(100)) + "}\n"
        for at, group in enumerate(groups)
    ]
    root = f"root {{\n    many\n    pmcd\n    {last} 301:0:0\n}}\n"
    return root + "pmcd {\n    numagents 2:0:2\n}\nmany {\n" + "\n".join(groups) + "\n}\n" + "".join(blocks)


async def test_clients_are_answered_while_a_large_name_space_is_read_and_put_together(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which does not return before a request was answered since it began."""

        def watching(*arguments: Any, **named: Any) -> Any:
            before = honest.answered
            result = function(*arguments, **named)
            wait_until(lambda: honest.answered > before, "an answer")
            done.append(function.__name__)
            return result

        return watching

    async with start() as running, running.client() as client, beside(running) as honest:
        monkeypatch.setattr(sources, "load_name_space", watched(sources.load_name_space))
        for module in (reload, daemon):
            monkeypatch.setattr(module, "merged_names", watched(merged_names))
        for last in ("first", "second"):
            (tmp_path / "names").write_text(many_names(last))
            await running.daemon.reload()
            assert await client.lookup_name(last)
    assert len(done) == 2 * 3


async def test_a_reload_that_changes_nothing_leaves_all_as_it_is_and_holds_up_nobody(
    start: Starter, tmp_path: Path
) -> None:
    async with start() as running, beside(running) as honest:
        (tmp_path / "names").write_text(many_names("last"))
        await running.daemon.reload()
        honest.answered = 0
        router = running.daemon.router
        while honest.answered < 100:
            await running.daemon.reload()
        assert running.daemon.router is router


async def test_an_agent_that_begins_is_told_of_clients_that_come_and_go_while_others_do_not_begin(
    start: Starter, tmp_path: Path
) -> None:
    domain, gate = VALUE.domain, tmp_path / "gate"
    os.mkfifo(gate)
    with Lead(tmp_path, domain) as lead:
        async with start() as running:
            (tmp_path / "pmcd.conf").write_text(
                f'held {domain} pipe binary "{sys.executable}" "{HELD_AGENT}" {domain}\n'
                f"slow {domain + 1} pipe binary /bin/cat {gate}\n"
            )
            reloading = asyncio.create_task(running.daemon.reload())
            await until(lambda: lead.seen("Creds"))
            async with RawClient(running.path) as client:
                await client.greeted()
                await until(lambda: lead.seen("Attribute"))
            await until(lambda: lead.seen("Error"))
            assert not reloading.done()
            await written_to(gate, "this is no agent\n")
            await reloading
            assert running.keeper(domain).refusal is None


async def test_an_agent_whose_line_has_another_name_is_kept_and_called_by_that(start: Starter, tmp_path: Path) -> None:
    line = f"{{}} {VALUE.domain} pipe binary {sys.executable} {FAKE_AGENT} {VALUE.domain} well\n"
    async with start() as running:
        (tmp_path / "pmcd.conf").write_text(line.format("before"))
        await running.daemon.reload()
        pid = running.keeper(VALUE.domain).pid
        (tmp_path / "pmcd.conf").write_text(line.format("after"))
        await running.daemon.reload()
        (row,) = [each for each in running.daemon.agents() if each.domain == VALUE.domain]
        assert (row.label, running.keeper(VALUE.domain).pid) == ("after", pid)


# The end comes in the middle of it


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A named pipe; who reads it does not begin before something is written to it."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


def never_begins(gate: Path) -> str:
    """The line of an agent that says nothing."""
    return f"slow {VALUE.domain} pipe binary /bin/cat {gate}\n"


async def the_one_that_starts(daemon: Daemon) -> int:
    """The process of the agent that is being started."""

    def started() -> list[int]:
        return [route.pid for route in daemon.agent_set.told if isinstance(route, AgentKeeper) and route.pid]

    await until(started)
    return started()[0]


def is_there(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


async def test_an_agent_that_a_reload_starts_ends_with_the_daemon(start: Starter, tmp_path: Path, gate: Path) -> None:
    async with start() as running:
        (tmp_path / "pmcd.conf").write_text(never_begins(gate))
        running.daemon.reloads.tell()
        process = await the_one_that_starts(running.daemon)
    assert not is_there(process)


async def test_an_agent_that_a_reload_starts_ends_with_the_reload(start: Starter, tmp_path: Path, gate: Path) -> None:
    async with start() as running, running.client() as client:
        (tmp_path / "pmcd.conf").write_text(never_begins(gate))
        reloading = asyncio.create_task(running.daemon.reload())
        process = await the_one_that_starts(running.daemon)
        reloading.cancel()
        await asyncio.wait([reloading])
        assert not is_there(process)
        (tmp_path / "pmcd.conf").write_text(
            f'fake {VALUE.domain} pipe binary "{sys.executable}" "{FAKE_AGENT}" {VALUE.domain} well\n'
        )
        await running.daemon.reload()
        assert (await client.fetch([VALUE])).value_sets[0].value == 1


@pytest.mark.parametrize("cancelled", [False, True], ids=["told to", "cancelled"])
async def test_a_daemon_that_stops_while_its_agents_start_ends_them_and_is_never_ready(
    tmp_path: Path, gate: Path, cancelled: bool
) -> None:
    configuration = tmp_path / "pmcd.conf"
    configuration.write_text(never_begins(gate))
    starting = Daemon(Options(limits=Limits(agent_hello_s=3600.0)), sources=sources.Sources(configuration))
    stop, ready = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(starting.serve([], ready.set, stop))
    process = await the_one_that_starts(starting)
    if cancelled:
        serving.cancel()
    else:
        stop.set()
    await asyncio.wait([serving])
    assert serving.cancelled() == cancelled
    assert not ready.is_set()
    assert not is_there(process)
