"""Both clients of the privileged helper, with a real one."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from containers.served import Helper
from pypcp.errors import ContainerNotFound, OsError, PcpError
from pypcp.pmda.rootclient import AsyncRootClient, RootClient

AGENTS = "cat 150 pipe binary /bin/cat\nfailing 151 pipe binary /bin/false\n"


async def test_calls_made_together_take_turns_and_get_their_own_answers(tmp_path: Path) -> None:
    with Helper(tmp_path, agents=AGENTS) as helper:
        async with AsyncRootClient(helper.socket) as client:
            calls = [client.container_pid("a"), client.container_cgroup("b"), client.container_hostname("c")]
            failures = await asyncio.gather(*calls, client.process_terminate(2**30), return_exceptions=True)
    *unknown, no_process = failures
    assert [type(failure) for failure in unknown] == [ContainerNotFound] * 3
    assert isinstance(no_process, OsError)
    assert no_process.code == -errno.ESRCH


async def test_a_process_is_started_waited_for_and_ended(tmp_path: Path) -> None:
    with Helper(tmp_path, agents=AGENTS) as helper:
        async with AsyncRootClient(helper.socket) as client:
            with pytest.raises(OsError) as none:
                await client.process_wait()
            assert none.value.code == -errno.ECHILD
            agent = await client.process_start("cat", "/bin/cat")
            assert await client.process_wait() is None
            await client.process_terminate(agent.pid, force=True)
            async with asyncio.timeout(10):
                while (ended := await client.process_wait()) is None:
                    await asyncio.sleep(0)
            assert ended == (agent.pid, 9)
            os.close(agent.stdin)
            os.close(agent.stdout)


async def test_a_helper_that_was_restarted_is_connected_to_again(tmp_path: Path) -> None:
    plain, client = RootClient(Helper(tmp_path).socket), AsyncRootClient(Helper(tmp_path).socket)
    for _ in range(2):
        with Helper(tmp_path):
            with pytest.raises(ContainerNotFound):
                plain.container_pid("nosuch")
            with pytest.raises(ContainerNotFound):
                await client.container_pid("nosuch")
    for _ in range(2):
        with pytest.raises(PcpError):
            await client.container_pid("nosuch")
    plain.shutdown()
    client.shutdown()
