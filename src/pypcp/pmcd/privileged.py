"""Agents that the privileged helper starts, so that the daemon needs no privilege. See: pmdaRootProcessStart(3)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Sequence
from io import FileIO
from pathlib import Path

from pypcp.errors import PcpError
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.launch import END_WITHIN_S
from pypcp.pmda.root_operations import RootProcess
from pypcp.pmda.rootclient import AsyncRootClient
from pypcp.wire.root import AgentIpc

log = logging.getLogger(__name__)


class HelpedAgent:
    """A process that the helper started; only the helper can end it."""

    def __init__(self, client: AsyncRootClient, pid: int) -> None:
        self.pid = pid
        self._client = client

    async def end(self, *, hangs: bool) -> int:
        """See to it that it is gone: a closed stream is what an agent ends by, but not in its own time.

        Its wait status is the helper's to know: 0.
        """
        if not hangs:
            await asyncio.sleep(END_WITHIN_S)
        with contextlib.suppress(PcpError):
            await self._client.process_terminate(self.pid, force=True)
        return 0


class Helper:
    """pmdaroot at ``path``, asked to start agents.

    Where there is none, or it refuses, the answer is None and the caller starts the agent itself, without privilege.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._client = AsyncRootClient(path)

    async def start_piped(self, label: str, command: Sequence[str], stream: AgentStream) -> HelpedAgent | None:
        """Start an agent that speaks on its standard input and output, which ``stream`` takes."""
        process = await self._start(label, command, AgentIpc.PIPE)
        if process is None:
            return None
        agent = HelpedAgent(self._client, process.pid)
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

    async def start_listening(self, label: str, command: Sequence[str]) -> HelpedAgent | None:
        """Start an agent that listens on a socket."""
        process = await self._start(label, command, AgentIpc.SOCKET)
        return None if process is None else HelpedAgent(self._client, process.pid)

    async def _start(self, label: str, command: Sequence[str], ipc: AgentIpc) -> RootProcess | None:
        # Its directory is root's alone: who has become another account has the connection from before, or none.
        if not self._client.is_connected and not os.path.exists(self._path):
            return None
        try:
            return await self._client.process_start(label, " ".join(command), ipc)
        except PcpError as error:
            log.warning("%s: pmdaroot does not start it (%s); it is started without privilege", label, error)
            return None

    def close(self) -> None:
        """Let go of the helper."""
        self._client.shutdown()


async def _joined(connecting: Awaitable[object], pipe: FileIO) -> None:
    """Wait until a pipe is a stream's, to be closed with it; one that does not come to that is closed here."""
    try:
        await connecting
    except BaseException:
        with contextlib.suppress(OSError):  # uvloop has closed it, by its number
            pipe.close()
        raise
