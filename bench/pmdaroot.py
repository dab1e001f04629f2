"""Look-ups by pmdaroot, ours beside stock's: one container running, 99 created, the same client, alternating rounds.

Needs root, docker and stock's pmdaroot; `python bench/pmdaroot.py [rounds]` prints medians in microseconds and ratios.
"""

import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from containers.engines import Docker, engine
from containers.served import Helper, answers, until
from peers import STOCK_PATH, clean_environment
from pypcp.wire.root import Kind, LookupRequest, encode

STOCK_ROOT = "/var/lib/pcp/pmdas/root/pmdaroot"
LOOK_UPS = 320
"""Few, since stock takes milliseconds for one with so many containers."""
CONCURRENT = 32
KINDS = {"pid": Kind.PROCESSID_REQUEST, "cgroup": Kind.CGROUPNAME_REQUEST, "hostname": Kind.HOSTNAME_REQUEST}
LIMITS = {"pid": 1.2, "cgroup": 1.2, "hostname": 2.5}


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.recv(24)
    return connection


def one_after_the_other(path: Path, kind: Kind) -> float:
    """Microseconds a look-up, on one connection."""
    request = encode(LookupRequest(kind, b"busy"))
    with connect(path) as connection:
        began = time.perf_counter()
        for _ in range(LOOK_UPS):
            connection.send(request)
            connection.recv(4200)
        return (time.perf_counter() - began) / LOOK_UPS * 1e6


def all_at_once(path: Path, kind: Kind) -> float:
    """Microseconds a look-up, with many connections that ask at the same moment."""
    request = encode(LookupRequest(kind, b"busy"))
    connections = [connect(path) for _ in range(CONCURRENT)]
    began = time.perf_counter()
    for _ in range(LOOK_UPS // CONCURRENT):
        for connection in connections:
            connection.send(request)
        for connection in connections:
            connection.recv(4200)
    spent = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return spent / (LOOK_UPS // CONCURRENT * CONCURRENT) * 1e6


def slowest_ms(path: Path) -> float:
    """The longest single look-up while the engine creates and removes containers."""
    request, slowest = encode(LookupRequest(Kind.PROCESSID_REQUEST, b"busy")), 0.0
    with connect(path) as connection:
        end = time.monotonic() + 3
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
    with engine("docker") as docker, tempfile.TemporaryDirectory(prefix="pypcp-") as folder:
        assert isinstance(docker, Docker)
        # Stock runs lxc-info for each LXC container at every look-up; without any, this is its fast case.
        docker.environment["PCP_LXC_DIR"] = f"{folder}/none"
        docker.start("busy", "busy-host")
        with stocks(Path(folder), docker.environment) as stock, Helper(Path(folder), **docker.environment) as ours:
            missed = compare(stock, ours, 1, rounds)
            for number in range(99):
                docker.create(f"idle{number}")
            missed += compare(stock, ours, 100, rounds)
            missed += under_churn(ours, docker)
    return int(missed > 0)


def compare(stock: Path, ours: Helper, containers: int, rounds: int) -> int:
    """Print both sides; how many limits were missed."""
    missed = 0
    # A process of its own: this one is our helper's parent, whose look-ups are relayed by the starter.
    with multiprocessing.get_context("fork").Pool(1) as elsewhere:
        for way in (one_after_the_other, all_at_once):
            for name, kind in KINDS.items():
                sides = [[elsewhere.apply(way, (path, kind)) for path in (stock, ours.socket)] for _ in range(rounds)]
                theirs, mine = (statistics.median(column) for column in zip(*sides, strict=True))
                missed += mine / theirs > LIMITS[name]
                figures = f"stock {theirs:8.1f} us  ours {mine:6.1f} us  ratio {mine / theirs:.3f}"
                print(f"{containers:4} containers  {way.__name__:<20} {name:<9} {figures}")
    relayed = one_after_the_other(ours.socket, KINDS["pid"])
    print(f"{containers:4} containers  relayed for the daemon: pid {relayed:.1f} us")
    return missed


def under_churn(ours: Helper, docker: Docker) -> int:
    """The slowest look-up while containers come and go; 1 if it took a tenth of a second."""
    words = f"while :; do docker -H {docker.address} rm $(docker -H {docker.address} create bb); done"
    quiet = subprocess.DEVNULL
    churn = subprocess.Popen(["sh", "-c", words], stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        with multiprocessing.get_context("fork").Pool(1) as elsewhere:
            slowest = elsewhere.apply(slowest_ms, (ours.socket,))
    finally:
        os.killpg(churn.pid, 9)
        churn.wait()
    print(f"slowest of 3 s while containers come and go: {slowest:.1f} ms")
    return int(slowest >= 100)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
