"""Stock and ours on each side of pmdaroot's socket: client library, server, pmcd and its agents."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.collectors import STOCKS, StockDaemon
from containers.engines import Engine, Lxc, engine, kernels_cgroup
from containers.served import Helper, answers, children, gone, open_folder, status
from peers import STOCK_PATH, STOCK_PMCD, clean_environment, require, stock
from pypcp.errors import ContainerNotFound, OsError, PcpError
from pypcp.pmda.rootclient import RootClient
from pypcp.wire.root import Kind, LookupRequest, encode
from waiting import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow]
_PIDFD_GETFD = 438


@pytest.fixture(scope="module")
def lxc() -> Iterator[Engine]:
    with engine("lxc") as started:
        started.start("known", "known-host")
        script = started.folder / "lxc-info"  # stock has no other way to be told of another directory
        script.write_text(f'#!/bin/sh\nexec /usr/bin/lxc-info -P {started.folder}/lxc "$@"\n')
        script.chmod(0o755)
        started.environment["PCP_LXC_INFO"] = str(script)
        yield started


@pytest.fixture(scope="module")
def c_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    require(compiler and Path("/usr/include/pcp/pmda.h").exists(), "gcc and libpcp-pmda3-dev")
    program = tmp_path_factory.mktemp("client") / "rootclient"
    source = Path(__file__).with_name("rootclient.c")
    subprocess.run([str(compiler), "-o", program, source, "-lpcp_pmda", "-lpcp"], check=True, timeout=60)
    return program


def said(c_client: Path, helper: Helper, *actions: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [str(c_client), str(helper.socket), *actions, "--", *helper.command()],
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_stocks_client_library_looks_up_with_our_server(c_client: Path, lxc: Engine, tmp_path: Path) -> None:
    questions = ("hostname", "known", "pid", "known", "cgroup", "known", "pid", "nosuch", "hostname", "nosuch")
    answers = said(c_client, Helper(tmp_path), *questions, **lxc.environment)
    unknown = ContainerNotFound.code
    pid = lxc.pid("known")
    found = [f"pid {pid}", f"cgroup 0 {kernels_cgroup(pid).removeprefix('/')}"]
    assert answers == ["hostname 0 known-host", *found, f"pid {unknown}", f"hostname {unknown} "]


def test_stocks_client_library_starts_waits_and_terminates_with_our_server(c_client: Path, tmp_path: Path) -> None:
    helper = Helper(tmp_path, agents="cat 150 pipe binary /bin/cat\n")
    refused = ("start", "cat", "/bin/cat /etc/shadow", "start", "sh", "/bin/sh -c id")
    answers = said(c_client, helper, *refused, "start", "cat", "/bin/cat", "terminate", "wait")
    assert answers == ["start -12387 - ", "start -12387 - ", "start 0 + hello", "terminate 0", "wait same 9"]


@pytest.fixture
def stock_server(lxc: Engine, tmp_path: Path) -> Iterator[Path]:
    """Stock's pmdaroot under dbpmda, serving a socket of its own."""
    require(os.geteuid() == 0 and Path(STOCKS).exists(), "root, and stock's pmdaroot (Debian package pcp)")
    socket = tmp_path / "stock" / "root.socket"
    dbpmda = subprocess.Popen(
        [str(shutil.which("dbpmda", path=STOCK_PATH))],
        env=clean_environment(**lxc.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert dbpmda.stdin is not None
    dbpmda.stdin.write(f"open pipe {STOCKS} -d 1 -s {socket} -l {tmp_path}/stock.log\n")
    dbpmda.stdin.flush()
    try:
        wait_until(lambda: answers(socket), "stock's pmdaroot")
        yield socket
    finally:
        dbpmda.stdin.close()
        dbpmda.wait(20)


def test_our_client_looks_up_with_stocks_server(stock_server: Path, lxc: Engine) -> None:
    with RootClient(stock_server) as client:
        assert client.container_hostname("known") == "known-host"
        assert client.container_pid("known") == lxc.pid("known")
        assert client.container_cgroup("known") == "/lxc/known"  # stock's guess: the kernel says /lxc.payload.known
        with pytest.raises(ContainerNotFound):
            client.container_pid("nosuch")
        assert client.container_hostname(pid=os.getpid()) == os.uname().nodename
        with pytest.raises(OsError):
            client.container_hostname(pid=2**22 + 1)


def test_our_client_starts_waits_and_terminates_with_stocks_server(stock_server: Path) -> None:
    with RootClient(stock_server) as client:
        agent = client.process_start("cat", "/bin/cat")
        os.write(agent.stdin, b"hello")
        assert os.read(agent.stdout, 10) == b"hello"
        os.close(agent.stdin)
        os.close(agent.stdout)
        client.process_terminate(agent.pid, force=True)
        wait_until(lambda: gone(agent.pid), "the end of the agent")


@pytest.fixture(scope="module")
def daemon(lxc: Engine) -> Iterator[StockDaemon]:
    require(os.geteuid() == 0 and Path(STOCK_PMCD).exists(), "root, and stock's pmcd (Debian package pcp)")
    with open_folder() as folder, StockDaemon(folder, lxc.environment) as started:
        yield started


def test_stocks_pmcd_starts_its_agents_through_ours(daemon: StockDaemon) -> None:
    assert set(daemon.agents()) == {"pmdaproc", "pmdalinux"}
    assert "value" in daemon.fetch("kernel.all.load", "proc.nprocs")
    assert "0" not in status(daemon.pid)["Uid"].split()  # it went on as pcp, and is served all the same


def test_stocks_pmcd_shows_the_metrics_of_our_helper(daemon: StockDaemon, lxc: Engine) -> None:
    pid = lxc.pid("known")
    shown = daemon.fetch("containers")
    for line in ('"known"] value "lxc"', f'"known"] value {pid}', f'"known"] value "{kernels_cgroup(pid)}"'):
        assert line in shown


def test_our_metrics_are_described_as_stocks_are(daemon: StockDaemon, lxc: Engine) -> None:
    def described(port: int) -> str:
        return stock("pminfo", "-h", f"localhost:{port}", "-md", "containers").stdout

    with open_folder() as folder, StockDaemon(folder, lxc.environment, STOCKS) as stocks:
        assert described(daemon.port) == described(stocks.port) != ""


def test_stocks_agents_switch_to_a_container_through_ours(daemon: StockDaemon) -> None:
    assert 'value "known-host"' in daemon.fetch("kernel.uname.nodename", container="known")
    assert 'value "known-host"' in daemon.fetch("pmcd.hostname", container="known")
    assert "Container not found" in daemon.fetch("kernel.uname.nodename", container="kn")
    assert "Container not found" in daemon.fetch("kernel.uname.nodename", container="nosuch")


def test_a_container_that_never_ran_does_not_become_the_host(daemon: StockDaemon, lxc: Engine) -> None:
    assert isinstance(lxc, Lxc)
    lxc.create("created")
    wait_until(lambda: 'value "created"' in daemon.fetch("containers.name"), "the container")
    shown = daemon.fetch("kernel.uname.nodename", container="created")
    assert "No such process" in shown
    assert os.uname().nodename not in shown.replace("kernel.uname.nodename", "")


def test_agents_and_their_look_ups_survive_the_death_of_each_worker(daemon: StockDaemon) -> None:
    before = daemon.agents()
    for pid in [pid for pid in children(daemon.starter) if pid not in before.values()]:
        os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: 'value "known-host"' in daemon.fetch("kernel.uname.nodename", container="known"), "an answer"
        )
        wait_until(lambda: '"known"] value "lxc"' in daemon.fetch("containers.engine"), "metrics")
    assert daemon.agents() == before


def looks_in(daemon: StockDaemon) -> bool:
    return 'value "known-host"' in daemon.fetch("kernel.uname.nodename", container="known")


def tells(daemon: StockDaemon) -> bool:
    return '"known"] value "lxc"' in daemon.fetch("containers.engine")


def lying(kind: int = Kind.PROCESSID_REQUEST, length: int = 24, name: int = -1) -> bytes:
    """A request whose lengths are not true."""
    return struct.pack("=IiiIii", kind, length, 0, 2, 0, name)


def test_p8_a_request_that_lies_costs_a_daemon_without_root_nothing(daemon: StockDaemon) -> None:
    before = daemon.everybody()
    for garbage in (lying(), lying(length=-1), lying(length=4200, name=7900), lying(kind=0x9FFF), b"\xff" * 200):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(daemon.socket))
            peer.settimeout(10)
            peer.recv(24)
            peer.sendall(garbage)
            peer.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert peer.recv(1) == b""
    assert looks_in(daemon)
    assert tells(daemon)
    assert daemon.everybody() == before


def own_connection(pid: int, path: Path) -> socket.socket:
    """The connection that a process has to a socket, in our hands: what we send comes from that process."""
    with contextlib.ExitStack() as held:
        pidfd = os.pidfd_open(pid)
        held.callback(os.close, pidfd)
        for name in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                taken = socket.socket(fileno=ctypes.CDLL(None).syscall(_PIDFD_GETFD, pidfd, int(name), 0))
                with contextlib.suppress(OSError):  # it only listens
                    if taken.getpeername() == str(path):
                        return taken
                taken.close()
    raise AssertionError(f"process {pid} is not connected to {path}")


def test_p8_a_daemon_that_sends_nonsense_itself_loses_that_connection_and_its_agents_nothing(lxc: Engine) -> None:
    require(os.geteuid() == 0 and Path(STOCK_PMCD).exists(), "root, and stock's pmcd (Debian package pcp)")
    with open_folder() as folder, StockDaemon(folder, lxc.environment) as started:
        wait_until(lambda: looks_in(started) and tells(started), "service")
        before = started.everybody()
        with own_connection(started.pid, started.socket) as control:
            control.sendall(lying(Kind.START_REQUEST, length=8012))
            control.settimeout(10)
            assert control.recv(1) == b""
        assert tells(started)
        assert looks_in(started)
        assert started.everybody() == before


def test_p9_a_client_that_never_reads_holds_up_neither_the_daemon_nor_other_clients(daemon: StockDaemon) -> None:
    question = encode(LookupRequest(Kind.CGROUPNAME_REQUEST, b"known")) * 100
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(daemon.socket))
        deaf.settimeout(1.0)
        with pytest.raises(TimeoutError):
            while True:
                deaf.sendall(question)
        for _ in range(5):
            begun = time.monotonic()
            assert tells(daemon)
            assert looks_in(daemon)
            assert time.monotonic() - begun < 2


def test_no_answer_is_lost_or_sent_twice_however_often_the_workers_die(daemon: StockDaemon) -> None:
    before = daemon.agents()
    for _ in range(4):
        for pid in [pid for pid in children(daemon.starter) if pid not in before.values()]:
            assert tells(daemon)  # the answer is on its way to the daemon when the worker is killed
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: tells(daemon) and looks_in(daemon), "metrics and look-ups")
    assert daemon.agents() == before


def test_agents_survive_the_death_of_the_starter_and_look_into_containers_as_before(daemon: StockDaemon) -> None:
    before, victim = daemon.agents(), daemon.starter
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: gone(victim) and children(daemon.helper), "a new starter")
    wait_until(lambda: tells(daemon), "metrics")
    wait_until(lambda: looks_in(daemon), "look-ups of an agent that does not connect again")
    assert 'value "known-host"' in daemon.fetch("pmcd.hostname", container="known")
    assert not any(gone(pid) for pid in before.values())
    assert "value" in daemon.fetch("kernel.all.load", "proc.nprocs")


def test_a_killed_guard_costs_the_daemon_its_pipe_and_nobody_else_anything(lxc: Engine) -> None:
    require(os.geteuid() == 0 and Path(STOCK_PMCD).exists(), "root, and stock's pmcd (Debian package pcp)")
    with open_folder() as folder, StockDaemon(folder, lxc.environment) as started:
        wait_until(lambda: looks_in(started), "look-ups")
        agents, starter = started.agents(), started.starter
        os.kill(started.helper, signal.SIGKILL)
        wait_until(lambda: looks_in(started), "look-ups")
        os.kill(started.pid, signal.SIGHUP)  # has the daemon start again what has ended
        wait_until(lambda: tells(started), "metrics", 40)
        assert not any(gone(pid) for pid in agents.values())
        successor = children(starter)[-1]
        everybody = [started.pid, starter, *children(starter), *children(successor)]
        os.kill(started.pid, signal.SIGTERM)
        wait_until(lambda: all(map(gone, everybody)), "the end of all with the daemon", 40)


def waits_in(pid: int) -> str:
    """The function of the kernel's where a process waits, as far as the kernel tells."""
    return Path(f"/proc/{pid}/wchan").read_text()


class Parts:
    """The helper's processes by their names, whoever of them has taken another's place."""

    def __init__(self, daemon: StockDaemon) -> None:
        self.agents = set(daemon.agents().values())
        self.pids = {"guard": daemon.helper, "starter": daemon.starter}
        self.settle()

    def settle(self) -> None:
        wait_until(self._all_there, "all parts", 30)

    def _all_there(self) -> bool:
        """A starter has all of root's rights, a worker has none."""
        guard, starter = self.pids["guard"], self.pids["starter"]
        with contextlib.suppress(OSError, KeyError):
            if gone(guard):
                guard, starter = starter, 0
            if not starter or gone(starter):
                below = set(children(guard)) - self.agents
                starter = next((pid for pid in below if status(pid)["CapEff"] == status(guard)["CapEff"]), 0)
            workers = set(children(starter)) - self.agents
            named = {"resolver" if int(status(pid)["Threads"]) > 1 else "reader": pid for pid in workers}
            self.pids = {"guard": guard, "starter": starter, **named}
            return len(named) == 2 and not any(map(gone, self.pids.values()))
        return False

    def kill(self, name: str) -> None:
        """Not in the moment of a reply: a client for which it is not certain whether it was sent is disconnected."""
        victim = self.pids[name]
        if name in ("resolver", "starter"):
            wait_until(
                lambda: status(victim)["State"].startswith("S") and "futex" not in waits_in(victim), f"{name} to wait"
            )
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: gone(victim), f"the end of the {name}")

    def descriptors(self) -> dict[str, int]:
        return {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in self.pids.items()}


def test_parts_killed_in_turn_again_and_again_are_back_within_seconds_and_leave_nothing(lxc: Engine) -> None:
    require(os.geteuid() == 0 and Path(STOCK_PMCD).exists(), "root, and stock's pmcd (Debian package pcp)")
    with open_folder() as folder, StockDaemon(folder, lxc.environment) as started:
        wait_until(lambda: looks_in(started) and tells(started), "service")
        parts = Parts(started)
        counts: list[dict[str, int]] = []
        for _ in range(4):
            for name in ("resolver", "reader", "starter", "guard"):
                parts.kill(name)
                if name == "guard":
                    wait_until(lambda: looks_in(started), "look-ups", 5)
                    os.kill(started.pid, signal.SIGHUP)  # has the daemon start again what has ended
                wait_until(lambda: looks_in(started) and tells(started), f"service after the {name}'s end", 5)
                assert 'value "known-host"' in started.fetch("pmcd.hostname", container="known")
                assert "Container not found" in started.fetch("kernel.uname.nodename", container="nosuch")
                assert not any(map(gone, parts.agents))
                parts.settle()
            counts.append(parts.descriptors())
        wait_until(  # a resolver that looks just now has a file open
            lambda: all(count <= counts[0][name] for name, count in parts.descriptors().items()), f"as few as {counts}"
        )
        everybody = [started.pid, *parts.pids.values(), *parts.agents]
        os.kill(started.pid, signal.SIGTERM)
        wait_until(lambda: all(map(gone, everybody)), "the end of all with the daemon", 40)


def test_the_daemons_end_is_the_end_of_helper_and_agents(lxc: Engine) -> None:
    require(os.geteuid() == 0 and Path(STOCK_PMCD).exists(), "root, and stock's pmcd (Debian package pcp)")
    with open_folder() as folder, StockDaemon(folder, lxc.environment) as started:
        everybody = started.everybody()
        os.kill(started.pid, signal.SIGKILL)
        wait_until(lambda: all(map(gone, everybody)), "their end", 30)


def test_a_failure_is_the_same_exception_whoever_serves(stock_server: Path, tmp_path: Path) -> None:
    def failure(path: Path) -> PcpError:
        with RootClient(path) as client, pytest.raises(PcpError) as caught:
            client.container_cgroup("nosuch")
        return caught.value

    with Helper(tmp_path) as ours:
        assert type(failure(ours.socket)) is type(failure(stock_server)) is ContainerNotFound
