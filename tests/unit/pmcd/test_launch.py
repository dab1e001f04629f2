"""The processes of agents: their number stays theirs until their group has been killed."""

import os
import subprocess

import pytest

from pypcp.pmcd.launch import AgentProcess
from waiting import until

pytestmark = pytest.mark.anyio
BACKGROUND = ["/bin/sh", "-c", "sleep 60 & exit 3"]


def started(command: list[str]) -> AgentProcess:
    return AgentProcess(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, directory=None, told={})


def is_waited_for(pid: int) -> bool:
    """Can the kernel give the number to somebody else?"""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def group_is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


async def test_an_agent_in_the_background_keeps_its_number_until_its_group_is_killed() -> None:
    process = started(BACKGROUND)
    await process.ended
    assert group_is_there(process.pid)
    assert not is_waited_for(process.pid)
    assert await process.end(hangs=False) == 3
    assert is_waited_for(process.pid)
    await until(lambda: not group_is_there(process.pid))


async def test_an_agent_that_hangs_is_killed_at_once() -> None:
    process = started(["/bin/sleep", "60"])
    assert await process.end(hangs=True) == -9
    assert is_waited_for(process.pid)
