"""`--container` with stock's agents: what clients see through our helper is what they see through stock's."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containers.collectors import OURS, STOCKS, HelpedDaemon, StockDaemon
from containers.engines import Docker, Engine, Podman, engine, some
from containers.served import open_folder
from peers import STOCK_PMCD, require
from waiting import wait_until

pytestmark = [pytest.mark.engines, pytest.mark.slow]
IN_THE_CONTAINER = (
    *("kernel.uname.nodename", "pmcd.hostname", "filesys.mountdir"),
    *("network.interface.in.bytes", "network.interface.inet_addr", "hinv.ninterface"),
)
BY_ITS_CONTROL_GROUP = (
    *("proc.nprocs", "proc.psinfo.cmd", "proc.psinfo.pid"),
    *("cgroup.memory.usage", "cgroup.cpuacct.usage", "cgroup.pids.current", "cgroup.blkio.all.io_merged.total"),
)
Fetch = Callable[..., str]


@pytest.fixture(scope="module", params=some("docker", "podman"))
def started(request: pytest.FixtureRequest) -> Iterator[Engine]:
    require(os.geteuid() == 0 and Path(STOCK_PMCD).exists(), "root, and stock's pmcd (Debian package pcp)")
    with engine(request.param) as made:
        made.start("web", "web-host")
        made.start("other", "other-host")
        yield made


def without_values(shown: str) -> str:
    """Which metrics have which instances: a control group's figures change all the time."""
    return re.sub(r"value .*", "value", re.sub(r"inst \[\d+ ", "inst [", shown))


def seen(fetch: Fetch) -> tuple[str, str]:
    wait_until(lambda: 'value "web-host"' in fetch("kernel.uname.nodename", container="web"), "the container", 20)
    return fetch(*IN_THE_CONTAINER, container="web"), without_values(fetch(*BY_ITS_CONTROL_GROUP, container="web"))


@pytest.mark.parametrize("view", ["as it is", "version 1 only"])
def test_stocks_agents_show_a_container_through_ours_as_through_stocks(started: Engine, view: str) -> None:
    assert isinstance(started, Docker | Podman)
    unified = Path("/sys/fs/cgroup/unified")
    if view == "version 1 only":
        require(unified.is_dir(), "control groups of both versions, of which one can be hidden")
    hidden = str(unified) if view == "version 1 only" else ""
    with (
        open_folder() as first,
        open_folder() as second,
        StockDaemon(first, started.environment, STOCKS, hidden) as theirs,
        StockDaemon(second, started.environment, OURS, hidden) as ours,
    ):
        expected = seen(theirs.fetch)
        assert seen(ours.fetch) == expected
        assert "web-host" in expected[0]
        assert ("cgroup.memory.usage\n    inst [" in expected[1]) == bool(
            hidden
        )  # both views at once are a bug of stock's
        assert str(started.pid("other")) not in expected[1]
        if not hidden:
            with HelpedDaemon(OURS, started.environment) as whole:
                assert seen(whole.fetch) == expected
