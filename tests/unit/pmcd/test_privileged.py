"""Agents that the privileged helper starts for the daemon."""

import os
from pathlib import Path

import pytest

from containers.served import Helper as Served
from containers.served import gone, until
from pypcp.errors import ContainerNotFound, TryAgain
from pypcp.pmcd.container_names import ContainerNames
from pypcp.pmcd.privileged import Helper

AGENTS = "failing 151 socket unix /x /bin/false\nquick 152 socket unix /x /bin/true\n"


async def test_how_a_helped_agent_ended_is_known(tmp_path: Path) -> None:
    with Served(tmp_path, agents=AGENTS) as served:
        helper = Helper(served.socket)
        failing = await helper.start_listening("failing", ("/bin/false",))
        quick = await helper.start_listening("quick", ("/bin/true",))
        assert failing is not None
        assert quick is not None
        assert await quick.end(hangs=False) == 0
        assert await failing.end(hangs=False) == 1
        helper.close()


async def test_an_agent_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with Served(tmp_path, agents="sleeper 150 socket unix /x /bin/sleep 1000\n") as served:
        helper = Helper(served.socket)
        sleeper = await helper.start_listening("sleeper", ("/bin/sleep", "1000"))
        assert sleeper is not None
        assert await sleeper.end(hangs=True) == -9
        until(lambda: gone(sleeper.pid), "its end")
        helper.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become one who may not look")
async def test_a_helper_that_we_may_not_see_is_none(tmp_path: Path) -> None:
    closed = tmp_path / "pmcd"
    closed.mkdir(mode=0o700)
    helper = Helper(closed / "root.socket")
    os.seteuid(65534)
    try:
        assert await helper.start_listening("any", ("/bin/true",)) is None
    finally:
        os.seteuid(0)


async def test_a_container_that_nothing_is_known_of_is_asked_for_and_is_no_host_meanwhile(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        helper = Helper(served.socket)
        names = ContainerNames(helper)
        with pytest.raises(TryAgain):
            names.of("nosuch")
        await names.learn("nosuch")
        with pytest.raises(ContainerNotFound):
            names.of("nosuch")
        names.close()
        helper.close()


async def test_without_a_helper_there_is_no_container(tmp_path: Path) -> None:
    for helper in (None, Helper(tmp_path / "root.socket")):
        names = ContainerNames(helper)
        await names.learn("any")
        with pytest.raises(ContainerNotFound):
            names.of("any")
