"""Ask pmdaroot: facts about containers, and privileged processes. See: pmdaRootConnect(3).

:class:`RootClient` is for plain code, :class:`AsyncRootClient` has the same calls for asyncio. Both connect when first
needed, and again when the helper went away. A refusal or failure is the :mod:`pypcp.errors` exception of its code.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from pypcp.errors import ChannelClosed, PcpError, RemoteProtocolError, RequestTimeout
from pypcp.pmda.root_operations import (
    Answer,
    Incoming,
    Operation,
    RootProcess,
    as_error,
    cgroup,
    expected,
    finish,
    host_name,
    is_idle,
    process_id,
    request,
    start,
    terminate,
    wait,
)
from pypcp.wire.root import AgentIpc, Info

TIMEOUT_S = 5.0
T = TypeVar("T")


class RootClient:
    """One connection to pmdaroot, for plain code; may be shared by threads, which then take turns."""

    def __init__(self, path: str | os.PathLike[str], timeout_s: float = TIMEOUT_S) -> None:
        self.path = os.fspath(path)
        self.timeout_s = timeout_s
        self.features = 0
        """What the helper said it can do (:class:`pypcp.wire.root.Feature`), when it was last connected to."""
        self._channel: socket.socket | None = None
        self._turn = threading.Lock()

    def connect(self) -> None:
        """Connect and hear what the helper can do; nothing to do when connected. See: pmdaRootConnect(3)."""
        if self._channel is not None and is_idle(self._channel):
            return
        self.shutdown()
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.settimeout(self.timeout_s)
        try:
            channel.connect(self.path)
            self.features = expected(self._receive(channel), Info).features
        except OSError as error:
            channel.close()
            raise as_error(error, self.path) from None
        except PcpError:
            channel.close()
            raise
        self._channel = channel

    def shutdown(self) -> None:
        """Close the connection. See: pmdaRootShutdown(3)."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()

    def container_hostname(self, name: str = "", *, pid: int = 0) -> str:
        """The host name that a container sees now, or (root only) that process ``pid`` sees.

        ``ContainerNotFound``, or ``OsError`` where it does not run. See: pmdaRootContainerHostName(3).
        """
        return self._run(partial(host_name, name, pid), again=True)

    def container_pid(self, name: str) -> int:
        """The first process of a container that runs. See: pmdaRootContainerProcessID(3)."""
        return self._run(partial(process_id, name), again=True)

    def container_cgroup(self, name: str) -> str:
        """The control group of a container, with a leading slash. See: pmdaRootContainerCGroupName(3)."""
        return self._run(partial(cgroup, name), again=True)

    def process_start(self, label: str, command: str, ipc: AgentIpc = AgentIpc.PIPE) -> RootProcess:
        """Start the agent that root configured as ``label`` with exactly this command line.

        ``PermissionDenied`` for any other; ``OsError`` where its program cannot be executed.
        See: pmdaRootProcessStart(3).
        """
        return self._run(partial(start, label, command, ipc))

    def process_wait(self) -> tuple[int, int] | None:
        """(pid, wait status) of a process of ours that ended; None while all run.

        ``OsError`` (ECHILD) when there are none. See: pmdaRootProcessWait(3).
        """
        return self._run(wait)

    def process_terminate(self, pid: int, *, force: bool = False) -> None:
        """Ask a process that we had started to end, or with ``force`` end it. See: pmdaRootProcessTerminate(3)."""
        self._run(partial(terminate, pid, force))

    def _run(self, operation: Callable[[], Operation[T]], *, again: bool = False) -> T:
        """Carry out an operation; one that may be repeated is, once, when the helper went away in the middle."""
        with self._turn:
            self.connect()
            try:
                return self._exchange(operation())
            except ChannelClosed:
                if not again:
                    raise
            self.connect()
            return self._exchange(operation())

    def _exchange(self, operation: Operation[T]) -> T:
        assert self._channel is not None
        try:
            self._channel.sendall(request(operation))
            answer = self._receive(self._channel)
        except OSError as error:
            self.shutdown()
            raise as_error(error, self.path) from None
        except (ChannelClosed, RemoteProtocolError):
            self.shutdown()
            raise
        return finish(operation, answer)

    def _receive(self, channel: socket.socket) -> Answer:
        with Incoming() as incoming:
            while (answer := incoming.receive(channel)) is None:
                continue
            return answer


class AsyncRootClient:
    """One connection to pmdaroot, for asyncio; concurrent calls take turns. The calls are :class:`RootClient`'s."""

    def __init__(self, path: str | os.PathLike[str], timeout_s: float = TIMEOUT_S) -> None:
        self.path = os.fspath(path)
        self.timeout_s = timeout_s
        self.features = 0
        """What the helper said it can do (:class:`pypcp.wire.root.Feature`), when it was last connected to."""
        self._channel: socket.socket | None = None
        self._turn = asyncio.Lock()

    async def connect(self) -> None:
        """Connect and hear what the helper can do; nothing to do when connected. See: pmdaRootConnect(3)."""
        if self.is_connected:
            return
        self.shutdown()
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await self._limited(asyncio.get_running_loop().sock_connect(channel, self.path))
            self.features = expected(await self._limited(self._receive(channel)), Info).features
        except OSError as error:
            channel.close()
            raise as_error(error, self.path) from None
        except BaseException:
            channel.close()
            raise
        self._channel = channel

    @property
    def is_connected(self) -> bool:
        """Is there a connection, as far as we know?"""
        return self._channel is not None and is_idle(self._channel)

    def shutdown(self) -> None:
        """Close the connection. See: pmdaRootShutdown(3)."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()

    async def container_hostname(self, name: str = "", *, pid: int = 0) -> str:
        """See :meth:`RootClient.container_hostname` and pmdaRootContainerHostName(3)."""
        return await self._run(partial(host_name, name, pid), again=True)

    async def container_pid(self, name: str) -> int:
        """See :meth:`RootClient.container_pid` and pmdaRootContainerProcessID(3)."""
        return await self._run(partial(process_id, name), again=True)

    async def container_cgroup(self, name: str) -> str:
        """See :meth:`RootClient.container_cgroup` and pmdaRootContainerCGroupName(3)."""
        return await self._run(partial(cgroup, name), again=True)

    async def process_start(self, label: str, command: str, ipc: AgentIpc = AgentIpc.PIPE) -> RootProcess:
        """See :meth:`RootClient.process_start` and pmdaRootProcessStart(3)."""
        return await self._run(partial(start, label, command, ipc))

    async def process_wait(self) -> tuple[int, int] | None:
        """See :meth:`RootClient.process_wait` and pmdaRootProcessWait(3)."""
        return await self._run(wait)

    async def process_terminate(self, pid: int, *, force: bool = False) -> None:
        """See :meth:`RootClient.process_terminate` and pmdaRootProcessTerminate(3)."""
        await self._run(partial(terminate, pid, force))

    async def _run(self, operation: Callable[[], Operation[T]], *, again: bool = False) -> T:
        async with self._turn:
            await self.connect()
            try:
                return await self._exchange(operation())
            except ChannelClosed:
                if not again:
                    raise
            await self.connect()
            return await self._exchange(operation())

    async def _exchange(self, operation: Operation[T]) -> T:
        assert self._channel is not None
        try:
            await self._limited(asyncio.get_running_loop().sock_sendall(self._channel, request(operation)))
            answer = await self._limited(self._receive(self._channel))
        except OSError as error:
            self.shutdown()
            raise as_error(error, self.path) from None
        except BaseException:
            self.shutdown()  # a cancelled call leaves its reply unread: it must not become the next one's
            raise
        return finish(operation, answer)

    async def _limited(self, waiting: Coroutine[Any, Any, T]) -> T:
        try:
            return await asyncio.wait_for(waiting, self.timeout_s)
        except TimeoutError:
            raise RequestTimeout("pmdaroot does not answer") from None

    async def _receive(self, channel: socket.socket) -> Answer:
        with Incoming() as incoming:
            while True:
                try:
                    answer = incoming.receive(channel)
                except BlockingIOError:
                    await _readable(channel)
                    continue
                if answer is not None:
                    return answer


async def _readable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(channel, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(channel)
