"""Agents that the privileged helper starts, so that the daemon needs no privilege. See: pmdaRootProcessStart(3)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Final

from pypcp.errors import ContainerNotFound, PcpError
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.launch import END_WITHIN_S, REAPED_WITHIN_S
from pypcp.pmda.root_operations import RootProcess
from pypcp.pmda.rootclient import AsyncRootClient
from pypcp.root import var_view
from pypcp.wire.root import AgentIpc, Feature

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.05


class HelpedAgent:
    """A process that the helper started; only the helper can end it, and knows how it ended."""

    def __init__(self, client: AsyncRootClient, pid: int, statuses: dict[int, int | None]) -> None:
        self.pid = pid
        self._client = client
        self._statuses = statuses
        statuses[pid] = None

    async def end(self, *, hangs: bool) -> int:
        """See to it that it is gone: a closed stream is what an agent ends by, but not in its own time.

        Its status as ``subprocess`` tells it, 0 where the helper does not know (any more).
        """
        try:
            with contextlib.suppress(PcpError):
                if hangs or not await self._ended_within(END_WITHIN_S):
                    await self._client.process_terminate(self.pid, force=True)
                    await self._ended_within(REAPED_WITHIN_S)
        finally:
            status = self._statuses.pop(self.pid, None)
        return os.waitstatus_to_exitcode(status) if status is not None else 0

    async def _ended_within(self, limit_s: float) -> bool:
        """Whether it ends in that time. The helper tells of all our processes: those of others are kept for them."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            while ended := await self._client.process_wait():
                if ended[0] in self._statuses:
                    self._statuses[ended[0]] = ended[1]
            if self._statuses.get(self.pid) is not None:
                return True
            await asyncio.sleep(_LOOK_EVERY_S)
        return False


class Helper:
    """pmdaroot at ``path``, asked to start agents.

    Where there is none, or it refuses, the answer is None and the caller starts the agent itself, without privilege.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._client = AsyncRootClient(path)
        self._lookups = AsyncRootClient(path)  # which may be many, and starts and ends do not wait for them
        self._statuses: dict[int, int | None] = {}

    def environment(self) -> Mapping[str, str]:
        """What agents that we start ourselves are told, to find this helper where it is."""
        view = var_view.place(str(self._path))
        return {"PCP_VAR_DIR": view} if os.path.isdir(view) else {}

    async def start_piped(self, label: str, command: Sequence[str], stream: AgentStream) -> HelpedAgent | None:
        """Start an agent that speaks on its standard input and output, which ``stream`` takes."""
        process = await self._start(label, command, AgentIpc.PIPE)
        if process is None:
            return None
        agent = HelpedAgent(self._client, process.pid, self._statuses)
        loop = asyncio.get_running_loop()
        reading, writing = os.fdopen(process.stdout, "rb", 0), os.fdopen(process.stdin, "wb", 0)
        try:
            await _joined(loop.connect_read_pipe(lambda: stream, reading), reading)
            await _joined(loop.connect_write_pipe(lambda: stream, writing), writing)
        except BaseException:
            writing.close()
            await agent.end(hangs=True)
            raise
        return agent

    async def container_hostname(self, container: str) -> str:
        """See :meth:`pypcp.pmda.rootclient.RootClient.container_hostname`. Without a helper no container is."""
        if not self._is_there():
            raise ContainerNotFound("there is no privileged helper to ask")
        client = self._lookups if self._can_be_seen() else self._client
        return await client.container_hostname(container)

    async def converses(self) -> bool:
        """Whether it is there and answers for ``containers.*`` without being started for that: pypcp's does."""
        if not self._is_there():
            return False
        try:
            await self._client.connect()
        except PcpError:
            return False
        return bool(self._client.features & Feature.CONVERSE)

    async def start_listening(self, label: str, command: Sequence[str]) -> HelpedAgent | None:
        """Start an agent that listens on a socket."""
        process = await self._start(label, command, AgentIpc.SOCKET)
        return None if process is None else HelpedAgent(self._client, process.pid, self._statuses)

    async def _start(self, label: str, command: Sequence[str], ipc: AgentIpc) -> RootProcess | None:
        if not self._is_there():
            return None
        try:
            return await self._client.process_start(label, " ".join(command), ipc)
        except PcpError as error:
            log.warning("%s: pmdaroot does not start it (%s); it is started without privilege", label, error)
            return None

    def _is_there(self) -> bool:
        """Who has become another account since it was root goes on with the connection from before."""
        return self._client.is_connected or self._can_be_seen()

    def _can_be_seen(self) -> bool:
        """Not one that is not ours to see: stock's stands in a directory that only root may enter."""
        try:
            return self._path.exists()
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the helper."""
        self._client.shutdown()
        self._lookups.shutdown()


async def _joined(connecting: Awaitable[object], pipe: FileIO) -> None:
    """Wait until a pipe is a stream's, to be closed with it; one that does not come to that is closed here."""
    try:
        await connecting
    except BaseException:
        with contextlib.suppress(OSError):  # uvloop has closed it, by its number
            pipe.close()
        raise
