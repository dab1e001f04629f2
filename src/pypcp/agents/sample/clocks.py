"""daemon_pid, seconds, milliseconds, datasize, pdu: the agent itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pypcp.agents.sample.bench import Bench
from pypcp.pmda import U32, U64, Counter


def data_kbytes() -> int:
    """Memory that this process has for its data."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def declare(bench: Bench) -> None:
    """Declare them."""
    agent = bench.agent

    @agent.metric("sample.daemon_pid", item=1)
    def daemon_pid() -> U32:
        """Process id of the agent"""
        return os.getpid()

    @agent.metric("sample.seconds", item=2, units="sec")
    def seconds() -> Counter[U32]:
        """Whole seconds since the agent was started"""
        return bench.seconds()

    @agent.metric("sample.milliseconds", item=3, units="millisec")
    def milliseconds() -> Counter[float]:
        """Milliseconds since the agent was started"""
        return (time.monotonic() - bench.begun) * 1000

    @agent.metric("sample.datasize", item=91, units="Kbyte")
    def datasize() -> U32:
        """Memory that the agent has for its data"""
        return data_kbytes()

    _declare_pdus(bench)


def _declare_pdus(bench: Bench) -> None:
    agent, requests = bench.agent, bench.agent.requests

    def replies() -> int:
        return max(0, requests.replies - 1)  # the one at hand is not sent yet

    @agent.metric("sample.pdu", item=40, units="count")
    def pdu() -> Counter[U64]:
        """Requests to the agent, and its replies; whatever is stored, they are counted from none again"""
        return requests.requests + replies()

    @agent.metric("sample.recv_pdu", item=41, units="count")
    def recv_pdu() -> Counter[U32]:
        """Requests to the agent; whatever is stored, they are counted from none again"""
        return requests.requests

    @agent.metric("sample.xmit_pdu", item=42, units="count")
    def xmit_pdu() -> Counter[U32]:
        """Replies of the agent; whatever is stored, they are counted from none again"""
        return replies()

    @recv_pdu.on_store
    def forget_requests(value: int) -> None:
        requests.requests = 0

    @xmit_pdu.on_store
    def forget_replies(value: int) -> None:
        requests.replies = 0

    @pdu.on_store
    def forget_both(value: int) -> None:
        requests.requests = requests.replies = 0
