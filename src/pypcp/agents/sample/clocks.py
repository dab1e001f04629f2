"""daemon_pid, seconds, milliseconds: the agent itself."""

from __future__ import annotations

import os
import time

from pypcp.agents.sample.bench import Bench
from pypcp.pmda import U32, Counter


def declare(bench: Bench) -> None:
    """Declare them; time counts from here."""
    agent, begun = bench.agent, time.monotonic()

    @agent.metric("sample.daemon_pid", item=1)
    def daemon_pid() -> U32:
        """Process id of the agent"""
        return os.getpid()

    @agent.metric("sample.seconds", item=2, units="sec")
    def seconds() -> Counter[U32]:
        """Whole seconds since the agent was started"""
        return int(time.monotonic() - begun)

    @agent.metric("sample.milliseconds", item=3, units="millisec")
    def milliseconds() -> Counter[float]:
        """Milliseconds since the agent was started"""
        return (time.monotonic() - begun) * 1000
