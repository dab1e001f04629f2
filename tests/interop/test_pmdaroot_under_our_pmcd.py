"""Our pmcd and a privileged helper, stock's or ours: it starts stock's agents, they look up containers through it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.collectors import OURS, STOCKS, HelpedDaemon
from containers.engines import Engine, engine
from containers.served import Helper, children, status
from peers import PMDAS, require
from waiting import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.fixture(scope="module")
def lxc() -> Iterator[Engine]:
    with engine("lxc") as started:
        started.start("known", "known-host")
        script = started.folder / "lxc-info"
        script.write_text(f'#!/bin/sh\nexec /usr/bin/lxc-info -P {started.folder}/lxc "$@"\n')
        script.chmod(0o755)
        started.environment["PCP_LXC_INFO"] = str(script)
        yield started


@pytest.mark.parametrize("root", [STOCKS, OURS], ids=["stock's", "ours"])
def test_agents_are_started_by_the_helper_and_switch_to_containers(root: str, lxc: Engine) -> None:
    require(os.geteuid() == 0 and Path(PMDAS, "root/pmdaroot").exists(), "root, and stock's agents (package pcp)")
    with HelpedDaemon(root, lxc.environment) as daemon:
        wait_until(lambda: "value" in daemon.fetch("kernel.all.load"), "stock's linux agent")
        below = {status(pid)["Name"] for pid in children(daemon.pid)}
        assert not below & {"pmdaproc", "pmdalinux"}, "they are the helper's children"
        assert 'value "known-host"' in daemon.fetch("kernel.uname.nodename", container="known")
        assert "lxc" in daemon.fetch("containers.engine")


class BesideStocks(HelpedDaemon):
    """Our pmcd, and our helper, which does not know it, so that pmcd starts its agents itself."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(OURS, environment)
        places = {"PCP_VAR_DIR": str(self.directory / "var")}
        self.helper = Helper(folder, **environment, **places)
        configuration = self.directory / "pmcd.conf"
        lines = configuration.read_text().splitlines(keepends=True)
        configuration.write_text("".join(lines[1:]))

    def environment(self) -> dict[str, str]:
        return super().environment() | {"PMDA_ROOT_SOCKET": str(self.helper.socket)}


def test_stocks_agents_find_our_helper_where_another_has_its_place(lxc: Engine, tmp_path: Path) -> None:
    require(os.geteuid() == 0 and Path(PMDAS, "root/pmdaroot").exists(), "root, and stock's agents (package pcp)")
    daemon = BesideStocks(tmp_path, lxc.environment)
    var = daemon.directory / "var"
    (var / "pmcd").mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(var / "pmcd" / "root.socket"))
        other.listen()
        with daemon.helper, daemon:
            wait_until(
                lambda: 'value "known-host"' in daemon.fetch("kernel.uname.nodename", container="known"), "a look-up"
            )


class OwnAgents(HelpedDaemon):
    """Our daemon with our own agent linux, in its process, and our helper."""

    def __init__(self, environment: dict[str, str]) -> None:
        super().__init__(OURS, environment)
        configuration = self.directory / "pmcd.conf"
        root = configuration.read_text().splitlines()[0]
        configuration.write_text(f"{root}\nlinux 60 dso linux_init {PMDAS}/linux/pmda_linux.so\n")


def test_a_client_that_looks_into_a_container_never_gets_the_hosts_values_for_it(lxc: Engine) -> None:
    require(os.geteuid() == 0, "root")
    with OwnAgents(lxc.environment) as daemon:
        wait_until(lambda: 'value "known-host"' in daemon.fetch("pmcd.hostname", container="known"), "the helper")
        for _ in range(2):
            assert 'value "known-host"' in daemon.fetch("pmcd.hostname", container="known")
            assert f'value "{os.uname().nodename}"' in daemon.fetch("pmcd.hostname")
        for unknown in ("pmcd.hostname", "kernel.uname.nodename", "network.interface.in.bytes", "kernel.all.load"):
            shown = daemon.fetch(unknown, container="nosuch")
            assert "Container not found" in shown, shown
        for others in ("kernel.uname.nodename", "network.interface.in.bytes", "hinv.ninterface"):
            shown = daemon.fetch(others, container="known")
            assert "Functionality not yet implemented" in shown, shown
        assert "value" in daemon.fetch("kernel.all.load", container="known")
        assert "value" in daemon.fetch("network.interface.in.bytes")
