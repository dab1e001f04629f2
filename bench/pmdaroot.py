"""Look-ups by pmdaroot, ours beside stock's: one container running, 99 created, the same client, alternating rounds.

Needs root, docker, /dev/fuse and stock's pmdaroot. `python bench/pmdaroot.py [rounds]` prints medians in microseconds,
the range of the rounds, and ratios; then the slowest look-up while containers come and go, while other clients ask
without a pause, and while two engines hang. Its exit status is 1 where a limit was missed.
"""

import multiprocessing
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from containers.engines import Docker, engine
from containers.served import Helper, answers, until
from containers.test_hanging import DeadMount
from peers import STOCK_PATH, clean_environment
from pypcp.wire.root import Kind, LookupRequest, encode

STOCK_ROOT = "/var/lib/pcp/pmdas/root/pmdaroot"
LOOK_UPS = {1: 3200, 100: 320}
"""By the number of containers: stock takes a millisecond for one with so many."""
CONCURRENT = 32
SLOWEST_S = 3.0
SLOWEST_MS = 100.0
KINDS = {"pid": Kind.PROCESSID_REQUEST, "cgroup": Kind.CGROUPNAME_REQUEST, "hostname": Kind.HOSTNAME_REQUEST}
LIMITS = {"pid": 1.2, "cgroup": 1.2, "hostname": 2.5}


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.recv(24)
    return connection


def one_after_the_other(path: Path, kind: Kind, look_ups: int) -> float:
    """Microseconds a look-up, on one connection."""
    request = encode(LookupRequest(kind, b"busy"))
    with connect(path) as connection:
        began = time.perf_counter()
        for _ in range(look_ups):
            connection.send(request)
            connection.recv(4200)
        return (time.perf_counter() - began) / look_ups * 1e6


def all_at_once(path: Path, kind: Kind, look_ups: int) -> float:
    """Microseconds a look-up, with many connections that ask at the same moment."""
    request = encode(LookupRequest(kind, b"busy"))
    connections = [connect(path) for _ in range(CONCURRENT)]
    began = time.perf_counter()
    for _ in range(look_ups // CONCURRENT):
        for connection in connections:
            connection.send(request)
        for connection in connections:
            connection.recv(4200)
    spent = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return spent / look_ups * 1e6


def slowest_ms(path: Path, kind: Kind = Kind.PROCESSID_REQUEST) -> float:
    """The longest single look-up in a few seconds."""
    request, slowest = encode(LookupRequest(kind, b"busy")), 0.0
    with connect(path) as connection:
        end = time.monotonic() + SLOWEST_S
        while time.monotonic() < end:
            began = time.perf_counter()
            connection.send(request)
            connection.recv(4200)
            slowest = max(slowest, time.perf_counter() - began)
    return slowest * 1000


@contextmanager
def stocks(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    path = folder / "stock" / "root.socket"
    dbpmda = subprocess.Popen(
        [str(shutil.which("dbpmda", path=STOCK_PATH))],
        env=clean_environment(**environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert dbpmda.stdin is not None
    dbpmda.stdin.write(f"open pipe {STOCK_ROOT} -d 1 -s {path} -l {folder}/stock.log\n")
    dbpmda.stdin.flush()
    until(lambda: answers(path), "stock's pmdaroot")
    try:
        yield path
    finally:
        dbpmda.stdin.close()
        dbpmda.wait(20)


def main(rounds: int) -> int:
    if os.geteuid() != 0 or not Path(STOCK_ROOT).exists():
        print("needs root and stock's pmdaroot", file=sys.stderr)
        return 2
    missed = 0
    with engine("docker") as docker, tempfile.TemporaryDirectory(prefix="pypcp-") as folder:
        assert isinstance(docker, Docker)
        # Stock runs lxc-info for each LXC container at every look-up; without any, this is its fast case.
        hanging = Hanging(Path(folder))
        docker.environment["PCP_LXC_DIR"] = str(hanging.folder)
        docker.start("busy", "busy-host")
        ours = Helper(Path(folder), policy=hanging.policy, **docker.environment)
        with stocks(Path(folder), docker.environment) as stock, ours:
            for containers in LOOK_UPS:
                for number in range(1, containers):
                    docker.create(f"idle{number}")
                missed += compare(stock, ours, containers, rounds)
            missed += waits(ours, "while containers come and go", churn(docker))
            missed += waits(ours, f"while {CONCURRENT} others ask without a pause", crowd(ours.socket))
            missed += waits(ours, "while a file system and an engine's socket hang", hanging.hang())
    return int(missed > 0)


def compare(stock: Path, ours: Helper, containers: int, rounds: int) -> int:
    """Print both sides; how many limits were missed."""
    missed = 0
    look_ups = LOOK_UPS[containers]
    # A process of its own: this one is our helper's parent, whose look-ups are relayed by the starter.
    with multiprocessing.get_context("fork").Pool(1) as elsewhere:
        for way in (one_after_the_other, all_at_once):
            for name, kind in KINDS.items():
                sides = [
                    [elsewhere.apply(way, (path, kind, look_ups)) for path in (stock, ours.socket)]
                    for _ in range(rounds)
                ]
                theirs, mine = zip(*sides, strict=True)
                ratio = statistics.median(mine) / statistics.median(theirs)
                missed += ratio > LIMITS[name]
                figures = f"stock {spread(theirs)}  ours {spread(mine)}  ratio {ratio:.2f} (limit {LIMITS[name]})"
                print(f"{containers:4} containers  {way.__name__:<19} {name:<8} {figures}", flush=True)
    relayed = one_after_the_other(ours.socket, KINDS["pid"], 320)
    print(f"{containers:4} containers  relayed for the daemon: pid {relayed:.1f} us")
    return missed


def spread(figures: Sequence[float]) -> str:
    """The median in microseconds, and the range."""
    return f"{statistics.median(figures):7.1f} us ({min(figures):.0f}-{max(figures):.0f})"


def waits(ours: Helper, when: str, meanwhile: AbstractContextManager[object]) -> int:
    """The slowest look-up of each kind meanwhile; how many of them took a tenth of a second."""
    with multiprocessing.get_context("fork").Pool(1) as elsewhere, meanwhile:
        slowest = {name: elsewhere.apply(slowest_ms, (ours.socket, kind)) for name, kind in KINDS.items()}
    figures = "  ".join(f"{name} {took:.1f} ms" for name, took in slowest.items())
    print(f"slowest of {SLOWEST_S:.0f} s {when}: {figures} (limit {SLOWEST_MS:.0f})", flush=True)
    return sum(took >= SLOWEST_MS for took in slowest.values())


@contextmanager
def churn(docker: Docker) -> Iterator[None]:
    """Containers are created and removed, one after the other."""
    words = f"while :; do docker -H {docker.address} rm $(docker -H {docker.address} create bb); done"
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(["sh", "-c", words], stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def crowd(path: Path) -> Iterator[None]:
    """Many connections of another process, each with a request under way all the time."""
    process = multiprocessing.get_context("fork").Process(target=ask_for_ever, args=(path,))
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def ask_for_ever(path: Path) -> None:
    while True:
        all_at_once(path, Kind.PROCESSID_REQUEST, LOOK_UPS[1])


class Hanging:
    """LXC's directory and the socket of an engine: both answer at first, later neither does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "lxc"
        self.folder.mkdir()
        path = folder / "engine.socket"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()  # and accepts nobody
        path.chmod(0o660)
        self.policy = f'engine-sockets = ["podman:{path}"]\n'

    @contextmanager
    def hang(self) -> Iterator[None]:
        """The helper is made to look at what does not answer."""
        (self.folder / "new").mkdir()
        with DeadMount(self.folder):
            yield


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
