"""From the agents of a configuration to the routes of a router."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from pypcp.errors import NoAgent, PcpError
from pypcp.pmcd.agent_keeper import AgentKeeper, Owner, RunningAgent, Starter
from pypcp.pmcd.agent_stream import AgentStream
from pypcp.pmcd.config import AgentSpec, DsoAgent, PipeAgent, SocketAgent
from pypcp.pmcd.conversation import Conversation
from pypcp.pmcd.launch import connect, start_listening, start_piped
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.router import AbsentRoute, LocalRoute, Route, no_containers
from pypcp.pmcd.version_1_agents import Version1Conversation
from pypcp.pmda.finding import SHIPPED, find_agent
from pypcp.wire.root import OURSELVES
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2

log = logging.getLogger(__name__)

HELPER_DOMAIN: Final = 1
"""The domain of pmdaroot."""

_CONVERSATIONS: Final = {PDU_VERSION1: Version1Conversation, PDU_VERSION2: Conversation}
CONVERSING: Final = (OURSELVES[0], (OURSELVES[1],))
""":meth:`Helper.start_piped` of this starts nothing: it is the helper's own end of a pipe."""

CONTAINERS: Final = PipeAgent(OURSELVES[0], HELPER_DOMAIN, (OURSELVES[1],))
"""The agent of a helper that runs without being configured."""

_FAMILIES: Final = {"inet": socket.AF_INET, "ipv6": socket.AF_INET6, "unix": socket.AF_UNIX}


class AgentMaker:
    """Makes the routes of a configuration.

    ``own`` are the daemon's own agents by label, ``state`` their directory; others are started in ``directory``, by the
    privileged ``helper`` where there is one.
    """

    def __init__(
        self,
        owner: Owner,
        own: Mapping[str, Route],
        state: Path | None,
        directory: Path | None,
        helper: Helper | None = None,
        host_name_of: Callable[[str], str] = no_containers,
    ) -> None:
        self._helper = helper
        self._host_name_of = host_name_of
        self._owner = owner
        self._own = own
        self._state = state
        self._directory = directory

    def route(self, spec: AgentSpec) -> Route:
        """The route of an agent; a process is being started when this returns.

        One that cannot be had is named in the log, with what to do.
        """
        try:
            return self._route(spec)
        except PcpError as error:
            log.error("agent %s (line %d) is left out: %s", spec.label, spec.line, error.detail or error)
            return AbsentRoute(spec.label, spec.domain)

    def _route(self, spec: AgentSpec) -> Route:
        if isinstance(spec, DsoAgent):
            return self._own.get(spec.label) or self._in_process(spec)
        not_ready = isinstance(spec, PipeAgent) and spec.not_ready
        talk = _CONVERSATIONS[spec.version]
        return AgentKeeper(spec.label, spec.domain, self.starter(spec), self._owner, talk, not_ready=not_ready)

    def _in_process(self, spec: DsoAgent) -> Route:
        """Stock loads a shared object there; ours is the agent of that name, if it comes with pypcp."""
        if spec.label not in SHIPPED:
            raise NoAgent(
                f"{spec.path} is a shared object for the C daemon; run the agent as a process (a pipe or socket line)"
            )
        agent = find_agent(spec.label, state=self._state)
        if agent.domain != spec.domain:
            raise NoAgent(f"pypcp's own agent {spec.label} has the domain {agent.domain}, not {spec.domain}")
        return LocalRoute(agent, self._owner.announce, self._host_name_of)

    def starter(self, spec: PipeAgent | SocketAgent) -> Starter:
        """What starts the process of an agent, or connects to it."""
        if isinstance(spec, PipeAgent) and spec.domain == HELPER_DOMAIN:
            return partial(_start_helper, spec, self._directory, self._helper)
        if isinstance(spec, PipeAgent):
            return partial(_start_pipe, spec, self._directory, self._helper)
        return partial(_start_socket, spec, self._directory, self._helper, self._owner.limits.agent_hello_s)


async def _start_pipe(
    spec: PipeAgent, directory: Path | None, helper: Helper | None, stream: AgentStream
) -> RunningAgent:
    if helper is not None and (helped := await helper.start_piped(spec.label, spec.command, stream)):
        return helped
    return await start_piped(spec.command, stream, directory, helper.environment() if helper else {})


async def _start_helper(
    spec: PipeAgent, directory: Path | None, helper: Helper | None, stream: AgentStream
) -> RunningAgent:
    """The helper is itself the agent of a line. Where it runs already it is spoken with; else it is started by us."""
    if helper is not None and await helper.converses() and (helped := await helper.start_piped(*CONVERSING, stream)):
        return helped
    if spec == CONTAINERS:
        raise NoAgent("the privileged helper does not answer")
    return await start_piped(spec.command, stream, directory)


async def _start_socket(
    spec: SocketAgent, directory: Path | None, helper: Helper | None, within_s: float, stream: AgentStream
) -> RunningAgent | None:
    process: RunningAgent | None = None
    if spec.command:
        if helper is not None:
            process = await helper.start_listening(spec.label, spec.command)
        process = process or start_listening(spec.command, directory, helper.environment() if helper else {})
    try:
        await connect(_FAMILIES[spec.family], str(spec.address), stream, within_s)
    except BaseException:
        if process is not None:
            await process.end(hangs=False)
        raise
    return process
