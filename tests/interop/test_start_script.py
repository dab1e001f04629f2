"""Stock's own scripts, unmodified, with our daemon in the place of stock's: its start, and an agent's installation."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from background import PCP_USER, program_for_all
from peers import PMDAS, PMNS, STOCK_PMCD, clean_environment, free_port, require

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SCRIPT = "/etc/init.d/pmcd"
PRIVATE = ("/run/pcp", "/var/log/pcp", "/var/lib/pcp/pmcd", "/var/lib/pypcp")
STAGE = """
set -e
mkdir -p {private}
for directory in {private}; do mount -t tmpfs -o mode=755 none $directory; done
chown {user}:{user} /run/pcp /var/log/pcp
chmod 700 /var/lib/pcp/pmcd
mount --bind {directory}/pmns {names}
mount --bind {directory}/pmcd {stock}
mount --bind {directory}/environment /etc/default/pmcd
mount --bind {directory}/pmcd.conf /etc/pcp/pmcd/pmcd.conf
export PMCD_PORT={port} PMDA_SETUP_RUNNING=yes
set +e
"""
"""A machine of its own, as far as files and processes go. The script is not to install agents meanwhile."""


class Machine:
    """Runs commands where stock's files are private and its pmcd is ours."""

    def __init__(self, directory: Path) -> None:
        python, source = program_for_all(directory)
        self._directory = directory
        self._port = free_port()
        program = directory / "pmcd"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={source} exec {python} -m pypcp.tools.main pmcd "$@"\n')
        program.chmod(0o755)
        shutil.copytree(PMNS, directory / "pmns", symlinks=True)
        kept = Path("/etc/default/pmcd").read_text()
        (directory / "environment").write_text(f"{kept}\nPMCD_PORT={self._port}\n")
        (directory / "pmcd.conf").write_text(
            f"root 1 pipe binary {PMDAS}/root/pmdaroot\n"
            f"proc 3 pipe binary {PMDAS}/proc/pmdaproc -d 3\n"
            f"linux 60 pipe binary {PMDAS}/linux/pmdalinux\n"
        )

    def private(self, directory: str) -> str:
        """The command that puts a copy of a directory in its place."""
        copy = shlex.quote(str(self._directory / Path(directory).name))
        return f"cp -a {directory} {copy} && mount --bind {copy} {directory}"

    def run(self, *commands: str) -> list[tuple[int, str]]:
        """The status and output of each command; they follow each other on one machine."""
        marked = "".join(f"( {command} ) </dev/null 2>&1; printf '\\n=%d=\\n' $?\n" for command in commands)
        stage = STAGE.format(
            private=" ".join(PRIVATE),
            user=PCP_USER,
            directory=shlex.quote(str(self._directory)),
            names=PMNS,
            stock=STOCK_PMCD,
            port=self._port,
        )
        process = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", stage + marked],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=90,
        )
        parts = re.split(r"\n=(\d+)=\n", process.stdout)
        assert len(parts) == 2 * len(commands) + 1, process.stdout + process.stderr
        return [(int(status), said) for said, status in zip(parts[::2], parts[1::2], strict=False)]


def until(condition: str) -> str:
    """Wait for what a command says, 10 s at most."""
    return f"for try in $(seq 100); do {condition} && exit 0; sleep 0.1; done; exit 1"


@pytest.fixture
def machine() -> Iterator[Machine]:
    require(os.geteuid() == 0 and Path(SCRIPT).exists() and Path(STOCK_PMCD).exists(), "root, and stock's pmcd (pcp)")
    can = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"], capture_output=True)
    require(can.returncode == 0, "mount and pid name spaces (unshare)")
    with tempfile.TemporaryDirectory(prefix="pypcp-") as name:
        Path(name).chmod(0o755)
        yield Machine(Path(name))


def test_start_status_and_stop_work(machine: Machine) -> None:
    before, started, running, pid, waited, owner, stopped, after, left = machine.run(
        f"{SCRIPT} status",
        f"{SCRIPT} start",
        f"{SCRIPT} status",
        "pmprobe -v pmcd.pid; cat /run/pcp/pmcd.pid",
        "pmcd_wait -t 5",
        "ps -o user= -p $(cat /run/pcp/pmcd.pid)",
        f"{SCRIPT} stop",
        f"{SCRIPT} status",
        "ls /run/pcp; ps -e -o args= | grep -c '[p]mda'",
    )
    assert before[0] == after[0] == 3
    assert started[0] == running[0] == waited[0] == stopped[0] == 0, started[1] + stopped[1]
    served, filed = pid[1].split("\n")[:2]
    assert served == f"pmcd.pid 1 {filed}"
    assert owner[1].strip() == PCP_USER
    assert left[1].strip() == "0"


def test_the_helper_starts_stocks_agents_as_root(machine: Machine) -> None:
    _, owners, values = machine.run(
        f"{SCRIPT} start", "ps -e -o user= -o args= | grep '[p]mda'", "pmprobe -v kernel.all.load proc.nprocs"
    )
    assert sorted(re.findall(r"^(\w+) +\S*/(\w+)", owners[1], re.MULTILINE)) == [
        ("root", "pmdalinux"),
        ("root", "pmdaproc"),
        ("root", "pmdaroot"),
    ]
    assert values[0] == 0, values[1]


def test_the_helper_starts_an_agent_again_for_a_daemon_that_is_no_longer_root(machine: Machine) -> None:
    again = "pgrep -x -u root pmdalinux | grep -qvx $old"
    _, restarted, values = machine.run(
        f"{SCRIPT} start",
        f"old=$(pgrep -x pmdalinux); kill -9 $old; {until(again)}",
        until("pmprobe -v hinv.ncpu | grep -q ' 1 '"),
    )
    assert restarted[0] == values[0] == 0


def test_a_restart_keeps_the_log_of_before(machine: Machine) -> None:
    _, restarted, logs = machine.run(
        f"{SCRIPT} start", f"{SCRIPT} restart", "grep -h PID /var/log/pcp/pmcd/pmcd.log.prev /var/log/pcp/pmcd/pmcd.log"
    )
    assert restarted[0] == 0, restarted[1]
    assert len(set(logs[1].split("\n")) - {""}) == 2


def test_pmsignal_finds_it_by_name_and_has_it_reload(machine: Machine) -> None:
    _, signalled, restarted = machine.run(
        f"{SCRIPT} start",
        "pmsignal -a -s HUP pmcd",
        until("pmprobe -v pmcd.sighups | grep -q ' 1 1$'"),
    )
    assert signalled[0] == 0, signalled[1]
    assert restarted[0] == 0


def test_a_configuration_that_is_wrong_is_not_started(machine: Machine) -> None:
    _, started, status = machine.run(
        "echo 'broken x pipe binary /bin/false' >/etc/pcp/pmcd/pmcd.conf", f"{SCRIPT} start", f"{SCRIPT} status"
    )
    assert "/etc/pcp/pmcd/pmcd.conf:1" in started[1]
    assert "pmcd --verify -A failed, cannot start pmcd" in started[1]
    assert status[0] == 3


def test_stocks_scripts_install_and_remove_an_agent(machine: Machine) -> None:
    """They write the agent's names and its line, signal the daemon, and look whether its metrics come and go."""
    script = f"unset PMDA_SETUP_RUNNING; cd {PMDAS}/mounts; sh ./"
    _, private, installed, there, removed, gone = machine.run(
        f"{SCRIPT} start",
        f"{machine.private(f'{PMDAS}/mounts')}; {machine.private('/var/lib/pcp/config/pmda')}",
        f"{script}Install",
        "pmprobe -v mounts.up; grep ^mounts /etc/pcp/pmcd/pmcd.conf",
        f"{script}Remove",
        "pminfo mounts; pmprobe -v kernel.all.nprocs; grep ^mounts /etc/pcp/pmcd/pmcd.conf",
    )
    assert private[0] == installed[0] == removed[0] == 0, installed[1] + removed[1]
    assert re.search(r"Check mounts metrics have appeared \.\.\. \d+ metrics and [1-9]\d* values", installed[1])
    assert re.search(r"^mounts\.up [1-9]", there[1], re.MULTILINE)
    assert f"{PMDAS}/mounts/pmdamounts -d 72" in there[1]
    assert "Check mounts metrics have gone away ... OK" in removed[1]
    assert gone[1].startswith("Error: mounts: Unknown metric name\nkernel.all.nprocs 1 ")
    assert "pmdamounts" not in gone[1]
