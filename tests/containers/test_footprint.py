"""What the helper costs: memory after many changes, processor time while nobody asks; and a socket of systemd's."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from containers.served import Helper, children
from containers.test_recorded import CREATED, DATA
from pypcp.errors import ContainerNotFound, OsError
from pypcp.pmda.rootclient import RootClient
from waiting import wait_until

pytestmark = pytest.mark.slow


def kilobytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise AssertionError(field)


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def family(helper: Helper) -> list[int]:
    return [helper.process.pid, helper.starter, *children(helper.starter)]


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    shutil.copytree(DATA / "docker", tmp_path / "docker")
    return tmp_path / "docker"


def renamed(settings: Path, name: str) -> None:
    """As docker does it: a new file takes the place of the old."""
    described = json.loads(settings.read_text())
    described["Name"] = f"/{name}"
    beside = settings.with_suffix(".tmp")
    beside.write_text(json.dumps(described))
    beside.replace(settings)


def code(client: RootClient, name: str) -> int:
    try:
        client.container_pid(name)
    except (ContainerNotFound, OsError) as error:
        return error.code
    return 0


@pytest.mark.skipif(os.geteuid() != 0, reason="an engine's files count only if they are root's")
def test_thousands_of_state_changes_leave_no_trace_in_memory(tmp_path: Path, docker: Path) -> None:
    settings = docker / "containers" / CREATED / "config.v2.json"
    with Helper(tmp_path, PCP_DOCKER_DIR=str(docker)) as helper, helper.client() as client:

        def rounds(first: int, last: int) -> int:
            for number in range(first, last):
                renamed(settings, f"name{number}")
                if number % 50 == 0:
                    wait_until(lambda number=number: code(client, f"name{number}") == -3, "the new name")  # type: ignore[misc]
            wait_until(lambda: code(client, f"name{last - 1}") == -3, "the last name")
            return kilobytes(helper.workers["resolver"], "Private_Dirty")

        # How many changes are seen at once depends on who else is busy, and with that the memory of the moment.
        sizes = [rounds(first, first + 1000) for first in range(0, 6000, 1000)]
        assert median(later - earlier for earlier, later in pairwise(sizes)) < 100, sizes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at the helper's memory")
def test_all_processes_together_are_small(tmp_path: Path) -> None:
    with Helper(tmp_path) as helper:
        assert sum(kilobytes(pid, "Pss") for pid in family(helper)) < 25_000


def test_nobody_asks_and_nothing_is_done(tmp_path: Path) -> None:
    with Helper(tmp_path) as helper:
        end = time.monotonic() + 10
        while True:  # the last looks after the start, then silence
            before = [ticks(pid) for pid in family(helper)]
            time.sleep(2.0)  # the measurement itself: two seconds in which no tick is used
            if [ticks(pid) for pid in family(helper)] == before:
                return
            assert time.monotonic() < end, "the helper is never idle"


@pytest.mark.skipif(os.geteuid() != 0, reason="an engine's files count only if they are root's")
def test_containers_are_looked_for_where_pcp_conf_says_unless_the_environment_does(
    tmp_path: Path, docker: Path
) -> None:
    configuration = tmp_path / "pcp.conf"
    configuration.write_text(f"PCP_DOCKER_DIR={docker}\n")
    with Helper(tmp_path, PCP_CONF=str(configuration)) as helper, helper.client() as client:
        assert code(client, "dkcreated") == -3
    elsewhere = {"PCP_CONF": str(configuration), "PCP_DOCKER_DIR": str(tmp_path)}
    with Helper(tmp_path, **elsewhere) as helper, helper.client() as client:
        assert code(client, "dkcreated") == ContainerNotFound.code


def test_a_socket_that_systemd_opened_is_served(tmp_path: Path) -> None:
    path = tmp_path / "passed.socket"
    helper = Helper(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        code = (
            f"import os, sys; os.dup2({listener.fileno()}, 3); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[1], sys.argv[1:])"
        )
        words = [sys.executable, "-I", "-c", code]
        log = tmp_path / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*words, *helper.command()],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
    try:
        wait_until(lambda: "resolver-ready" in log.read_text() or process.poll() is not None, "the helper")
        assert process.poll() is None, log.read_text()
        with RootClient(path) as client, pytest.raises(ContainerNotFound):
            client.container_pid("nosuch")
        assert not helper.socket.exists()
    finally:
        process.terminate()
        process.wait(15)
    assert process.returncode == 0
