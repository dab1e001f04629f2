"""A daemon in the test's own event loop, with agents that misbehave as told (see tests/fakes/agent.py)."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pypcp.pmapi.context import Context
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.limits import Limits
from pypcp.pmcd.options import Options
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.sources import Sources
from pypcp.pmda.agent import Agent

FAKE_AGENT = Path(__file__).parent / "fakes" / "agent.py"
HELD_AGENT = Path(__file__).parent / "fakes" / "held_agent.py"
VERSION_1_AGENT = Path(__file__).parent / "fakes" / "version_1_agent.py"


@dataclass
class Running:
    """A running daemon and the path of its socket."""

    daemon: Daemon
    path: Path

    def client(self) -> Context:
        return Context(f"unix:{self.path}")

    def keeper(self, domain: int) -> AgentKeeper:
        """The keeper of an agent process."""
        route = self.daemon.router.routes[domain]
        assert isinstance(route, AgentKeeper)
        return route

    def limit(self, domain: int, seconds: float) -> None:
        """Let one agent have another limit of an answer than the others, from its next request to its end."""
        stream = self.keeper(domain)._stream
        assert stream is not None
        stream.hard_limit_s = lambda: seconds

    def change_limits(self, **limits: Any) -> None:
        """Go on with other limits."""
        self.daemon.limits = replace(self.daemon.limits, **limits)

    def is_busy(self, domain: int) -> bool:
        """Has the agent a request to answer?"""
        stream = self.keeper(domain)._stream
        return stream is not None and (stream._current is not None or stream.queued > 0)


class Starter:
    """Starts daemons in a directory of the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @asynccontextmanager
    async def __call__(
        self,
        agents: dict[int, str] | None = None,
        own: Sequence[Agent] = (),
        access: str = "",
        *,
        version_1: dict[int, str] | None = None,
        helper: Helper | None = None,
        **limits: Any,
    ) -> AsyncIterator[Running]:
        """``agents`` are processes, ``{domain: behaviour}``; ``own`` are agents in the daemon; the rest are limits.

        One that behaves as ``held`` wants a :class:`fakes.held_agent.Lead` in the same directory.

        ``version_1`` are processes too, ``{domain: behaviour}``, which may begin with words of the agent's line.
        """
        configuration = _configuration(self.directory, agents or {}, version_1 or {}, access)
        names = self.directory / "names"
        names.write_text(_name_space([*(agents or {}), *(version_1 or {})]))
        path = self.directory / "pmcd.socket"
        options = Options(socket=path, limits=replace(Limits(), **limits))
        daemon = Daemon(options, own, Sources(configuration, names), directory=self.directory, helper=helper)
        stop, ready = asyncio.Event(), asyncio.Event()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(64)
        serving = asyncio.create_task(daemon.serve([listener], ready.set, stop))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        try:
            yield Running(daemon, path)
        finally:
            waiting.cancel()
            stop.set()
            await serving
            path.unlink()


def _configuration(directory: Path, agents: dict[int, str], version_1: dict[int, str], access: str) -> Path:
    lines = [
        f'fake{domain} {domain} pipe binary "{sys.executable}" "{_program_of(behaviour)}" {domain} {behaviour}'
        for domain, behaviour in agents.items()
    ]
    for domain, behaviour in version_1.items():
        *words, behaves = behaviour.split()
        command = f'"{sys.executable}" "{VERSION_1_AGENT}" {domain} {behaves}'
        lines.append(f"fake{domain} {domain} pipe binary {' '.join(words)} version1 {command}")
    path = directory / "pmcd.conf"
    path.write_text("\n".join([*lines, access, ""]))
    return path


def _program_of(behaviour: str) -> Path:
    return HELD_AGENT if behaviour == "held" else FAKE_AGENT


def _name_space(agents: Sequence[int]) -> str:
    """``fakeD.value`` for each agent, and a dynamic subtree ``fakeD.more``."""
    roots = "".join(f"    fake{domain}\n" for domain in agents)
    blocks = "".join(f"fake{domain} {{\n    value {domain}:0:0\n    more {domain}:*:*\n}}\n" for domain in agents)
    return f"root {{\n{roots}    pmcd\n}}\npmcd {{\n    numagents 2:0:2\n}}\n{blocks}"
