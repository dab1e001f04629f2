"""Agents that the privileged helper starts: how they end, and that nothing is left of one that does not come to be.

And containers, for which it is asked.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from containers.served import Helper as Served
from containers.served import gone
from fakes.client import RawClient
from pypcp.errors import ContainerNotFound, TryAgain
from pypcp.model.ids import IN_NULL, Pmid
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.container_names import ContainerNames
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.statistics import AgentStatistics, Statistics
from pypcp.wire.handshake import Error
from pypcp.wire.result import Result
from pypcp.wire.root import Info, LookupRequest, StartReply, StartRequest, StopReply, StopRequest, decode, encode
from pypcp.wire.versions import IpcTable
from running import Starter
from waiting import until, wait_until

pytestmark = pytest.mark.anyio
PID = 4711


class Stream(AgentStream):
    """A stream that tells when it has its first pipe."""

    def __init__(self) -> None:
        super().__init__("fake", lambda: 5.0, lambda why: None, Statistics(), AgentStatistics(), IpcTable())
        self.joined = asyncio.Event()
        self.starting: asyncio.Task[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.joined.set()
        if self.starting is not None:
            self.starting.cancel()


class Root:
    """The helper's side: it starts nothing, but has pipes to give away, and tells nothing of containers.

    ``asked`` is what it was asked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[object] = []
        self.ends: list[int] = []

    async def serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as conversations:
            while True:
                connection, _ = await loop.sock_accept(listener)
                conversations.create_task(self.converse(connection))

    async def converse(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with connection:
            await loop.sock_sendall(connection, encode(Info()))
            while data := await loop.sock_recv(connection, 8192):
                self.asked.append(request := decode(data))
                if isinstance(request, StartRequest):
                    (to_agent, stdin), (stdout, from_agent) = os.pipe(), os.pipe()
                    self.ends += [to_agent, from_agent]
                    socket.send_fds(connection, [encode(StartReply(0, PID, request.label))], [stdin, stdout])
                    os.close(stdin)
                    os.close(stdout)
                elif isinstance(request, StopRequest):
                    await loop.sock_sendall(connection, encode(StopReply(0, request.pid)))


@asynccontextmanager
async def root_at(path: Path) -> AsyncIterator[Root]:
    root = Root(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.setblocking(False)
        listener.bind(str(path))
        listener.listen()
        serving = asyncio.create_task(root.serve(listener))
        try:
            yield root
        finally:
            serving.cancel()
            await asyncio.wait([serving])
            for end in root.ends:
                os.close(end)


async def test_a_start_that_is_given_up_between_two_pipes_leaves_no_process(tmp_path: Path) -> None:
    async with root_at(tmp_path / "root.socket") as root:
        helper, stream = Helper(root.path), Stream()
        stream.starting = asyncio.create_task(helper.start_piped("fake", ["/bin/fake"], stream))
        with pytest.raises(asyncio.CancelledError):
            await stream.starting
        stream.end("given up")
        assert root.asked[1] == StopRequest(PID, force=True)
        helper.close()


async def test_both_pipes_of_an_agent_are_closed_with_its_stream(tmp_path: Path) -> None:
    async with root_at(tmp_path / "root.socket") as root:
        helper, stream = Helper(root.path), Stream()
        assert await helper.start_piped("fake", ["/bin/fake"], stream) is not None
        stream.end("no more")
        async with asyncio.timeout(5.0):
            await asyncio.to_thread(os.read, root.ends[0], 1)  # the end of file
        helper.close()


async def test_what_the_helper_cannot_be_asked_is_left_to_the_daemon(tmp_path: Path) -> None:
    async with root_at(tmp_path / "root.socket") as root:
        helper = Helper(root.path)
        assert await helper.start_piped("x" * 64, ["/bin/fake"], Stream()) is None
        assert await helper.start_piped("fake", ["/bin/fake", "x" * 5000], Stream()) is None
        assert root.asked == []
        helper.close()


AGENTS = "failing 151 socket unix /x /bin/false\nquick 152 socket unix /x /bin/true\n"


async def test_how_a_helped_agent_ended_is_known(tmp_path: Path) -> None:
    with Served(tmp_path, agents=AGENTS) as served:
        helper = Helper(served.socket)
        failing = await helper.start_listening("failing", ("/bin/false",))
        quick = await helper.start_listening("quick", ("/bin/true",))
        assert failing is not None
        assert quick is not None
        assert await quick.end(hangs=False) == 0
        assert await failing.end(hangs=False) == 1
        helper.close()


async def test_an_agent_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with Served(tmp_path, agents="sleeper 150 socket unix /x /bin/sleep 1000\n") as served:
        helper = Helper(served.socket)
        sleeper = await helper.start_listening("sleeper", ("/bin/sleep", "1000"))
        assert sleeper is not None
        assert await sleeper.end(hangs=True) == -9
        wait_until(lambda: gone(sleeper.pid), "its end")
        helper.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become one who may not look")
async def test_a_helper_that_we_may_not_see_is_none(tmp_path: Path) -> None:
    closed = tmp_path / "pmcd"
    closed.mkdir(mode=0o700)
    helper = Helper(closed / "root.socket")
    os.seteuid(65534)
    try:
        assert await helper.start_listening("any", ("/bin/true",)) is None
    finally:
        os.seteuid(0)


async def test_a_container_that_nothing_is_known_of_is_asked_for_and_is_no_host_meanwhile(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        helper = Helper(served.socket)
        names = ContainerNames(helper)
        with pytest.raises(TryAgain):
            names.of("nosuch")
        await names.learn("nosuch")
        with pytest.raises(ContainerNotFound):
            names.of("nosuch")
        names.close()
        helper.close()


async def test_without_a_helper_there_is_no_container(tmp_path: Path) -> None:
    for helper in (None, Helper(tmp_path / "root.socket")):
        names = ContainerNames(helper)
        await names.learn("any")
        with pytest.raises(ContainerNotFound):
            names.of("any")


async def test_starts_do_not_wait_for_look_ups(tmp_path: Path) -> None:
    async with root_at(tmp_path / "root.socket") as root:
        helper, stream = Helper(root.path), Stream()
        looking = asyncio.create_task(helper.container_hostname("web"))
        await until(lambda: root.asked)
        assert await helper.start_piped("fake", ["/bin/fake"], stream) is not None
        assert not looking.done()
        stream.end("no more")
        looking.cancel()
        await asyncio.wait([looking])
        helper.close()


async def test_only_so_many_containers_are_asked_for_at_a_time(tmp_path: Path) -> None:
    async with root_at(tmp_path / "root.socket") as root:
        helper = Helper(root.path)
        names = ContainerNames(helper)
        for number in range(100):
            with pytest.raises(TryAgain):
                names.of(f"c{number}")
        assert len([task for task in asyncio.all_tasks() if "ContainerNames" in repr(task.get_coro())]) == 64
        await names.learn("another")
        with pytest.raises(TryAgain):
            names.of("another")
        names.close()
        helper.close()


async def test_a_store_of_many_names_asks_for_the_last(start: Starter, tmp_path: Path) -> None:
    container = Pmid.build(2, 6, 2)
    named = [ValueSet(container, [IN_NULL], [f"c{number}"], type=ValueType.STRING) for number in range(200)]
    path = tmp_path / "root.socket"
    async with root_at(path) as root, start(helper=Helper(path)) as running, RawClient(running.path) as client:
        await client.greeted()
        assert await client.answer(Result(0, named)) == Error(0)
        await until(lambda: root.asked)
        assert [each.name for each in root.asked if isinstance(each, LookupRequest)] == [b"c199"]
        assert list(running.daemon.containers._asking) == ["c199"]
