"""Starting agent processes and connecting to them. ``told`` is what they find in their environment besides ours.

Each agent is the head of a process group of its own: what it starts ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pypcp.errors import OsError
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.descriptors import usual_limit_for

log = logging.getLogger(__name__)

_CONNECT_EVERY_S: Final = 0.05
END_WITHIN_S: Final = 1.0
REAPED_WITHIN_S: Final = 2.0
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class AgentProcess:
    """A started agent; ``ended`` is resolved when it has exited.

    Its number is that of its group, and others can have it as soon as it is waited for: so that is not done before the
    group has been killed, however long ago the agent, which may have put itself into the background, has exited.
    """

    def __init__(
        self, command: Sequence[str], *, stdin: int, stdout: int, directory: Path | None, told: Mapping[str, str]
    ) -> None:
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=stdin,
                stdout=stdout,
                cwd=directory,
                env={**os.environ, **told},
                start_new_session=True,
                close_fds=True,
            )
        except OSError as error:
            because = "" if error.filename in (None, command[0]) else f", {error.filename}"
            raise OsError(-(error.errno or errno.EIO), f"cannot start {command[0]}{because}") from error
        self.pid = self._process.pid
        log.debug("process %d is %s", self.pid, " ".join(command))
        usual_limit_for(self.pid)
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except OSError as error:
            self._process.kill()
            self._process.wait()
            raise OsError(-(error.errno or errno.EIO), f"cannot watch {command[0]}: {error}") from error
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._pidfd, self._exited)

    def _exited(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.ended.set_result(None)

    async def end(self, *, hangs: bool) -> int:
        """See to it that the agent and its process group are gone; its wait status, as ``subprocess`` tells it. Once.

        A closed stream is what an agent ends by; one that ``hangs``, or does not end soon after, is killed.
        """
        if not hangs:
            await asyncio.wait([self.ended], timeout=END_WITHIN_S)
        # What the agent started goes with it: its group is there for as long as one of them is.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await asyncio.wait([self.ended], timeout=REAPED_WITHIN_S)
        if self.ended.done():
            return self._process.wait()
        self.ended.add_done_callback(lambda _: self._process.wait())
        log.warning("process %d cannot be ended now; it is reaped when the kernel lets go of it", self.pid)
        return 0


async def start_piped(
    command: Sequence[str], stream: AgentStream, directory: Path | None, told: Mapping[str, str] = _NOTHING
) -> AgentProcess:
    """Start an agent that speaks on its standard input and output; both are one socket, which is a pipe to it."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = AgentProcess(
                command, stdin=theirs.fileno(), stdout=theirs.fileno(), directory=directory, told=told
            )
        except BaseException:
            ours.close()
            raise
    ours.setblocking(False)
    try:
        await asyncio.get_running_loop().create_connection(lambda: stream, sock=ours)
    except BaseException:
        ours.close()
        await process.end(hangs=True)
        raise
    return process


def start_listening(command: Sequence[str], directory: Path | None, told: Mapping[str, str] = _NOTHING) -> AgentProcess:
    """Start an agent that listens on a socket."""
    quiet = subprocess.DEVNULL
    return AgentProcess(command, stdin=quiet, stdout=quiet, directory=directory, told=told)


async def connect(family: int, address: str, stream: AgentStream, within_s: float) -> None:
    """Connect to an agent that listens, or is about to; ``OsError`` when it does not within the time."""
    loop = asyncio.get_running_loop()
    last = OSError(errno.ETIMEDOUT, "it does not accept")
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    await _connect_once(loop, family, address, stream)
                    return
                except OSError as error:
                    last = error
                await asyncio.sleep(_CONNECT_EVERY_S)
    except TimeoutError:
        where = address if family == socket.AF_UNIX else f"port {address}"
        raise OsError(-(last.errno or errno.ETIMEDOUT), f"cannot connect to the agent at {where}") from None


def _connect_once(loop: asyncio.AbstractEventLoop, family: int, address: str, stream: AgentStream) -> Awaitable[object]:
    if family == socket.AF_UNIX:
        return loop.create_unix_connection(lambda: stream, address)
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    return loop.create_connection(lambda: stream, host, int(address))
