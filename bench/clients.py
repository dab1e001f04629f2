"""How many clients our daemon serves, and what each costs: connects them all, then lets each fetch, a few times round.

    python bench/clients.py [--clients 5000] [--metrics 20] [--unix] [--loop asyncio]

Needs two descriptors a client (one here, one in the daemon). The status is 1 where a client is not served.
"""

import argparse
import resource
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from peers import CHALLENGE_BYTES, OurDaemon  # noqa: E402
from pypcp.model.profile import EVERYTHING  # noqa: E402
from pypcp.pmapi.blocking import BlockingContext  # noqa: E402
from pypcp.wire.fetch import Fetch, ProfilePdu  # noqa: E402
from pypcp.wire.handshake import Creds  # noqa: E402
from pypcp.wire.pdu import encode  # noqa: E402

ROUNDS = 5
SPARE = 100
LIMIT_S = 30.0


def main() -> int:
    """Print what there is to know; the exit status."""
    given = _parser().parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(given.clients, hard - SPARE)
    if count < given.clients:
        print(f"{hard} descriptors allow {count} clients, not {given.clients}")
    with OurDaemon(loop=given.loop) as daemon:
        request = fetch_of(daemon, given.metrics)
        before = memory_kb(daemon.pid)
        started = time.perf_counter()
        with connected(daemon, count, given.unix) as clients:
            print(f"{count} clients connected and greeted in {time.perf_counter() - started:.1f} s")
            for client in clients:
                client.sendall(request)
            for client in clients:
                take(client)
            after = memory_kb(daemon.pid)
            each = (after - before) / count
            print(f"daemon: {before} kB PSS alone, {after} kB with them: {each:.1f} kB a client")
            for number in range(ROUNDS):
                print(f"round {number + 1}: all answered in {answered(clients, request):.2f} s")
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--metrics", type=int, default=20, help="how many metrics each client fetches")
    parser.add_argument("--unix", action="store_true", help="by the UNIX socket instead of TCP")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    return parser


def fetch_of(daemon: OurDaemon, count: int) -> bytes:
    """A fetch of the first metrics of the name space."""
    with BlockingContext(daemon.unix) as context:
        names = list(context.traverse(""))[:count]
        pmids = tuple(context.lookup_name(name) for name in names)
    return encode(Fetch(0, pmids, highres=True))


@contextmanager
def connected(daemon: OurDaemon, count: int, unix: bool) -> Iterator[Sequence[socket.socket]]:
    """So many greeted clients."""
    greeting = encode(Creds()) + encode(ProfilePdu(0, EVERYTHING))
    clients: list[socket.socket] = []
    try:
        for _ in range(count):
            client = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
            clients.append(client)
            client.connect(str(daemon.socket) if unix else ("127.0.0.1", daemon.port))
            client.settimeout(LIMIT_S)
            client.sendall(greeting)
        for client in clients:
            assert len(client.recv(CHALLENGE_BYTES, socket.MSG_WAITALL)) == CHALLENGE_BYTES
        yield clients
    finally:
        for client in clients:
            client.close()


def answered(clients: Sequence[socket.socket], request: bytes) -> float:
    """The seconds it takes until each client has its answer, when all ask at once."""
    started = time.perf_counter()
    for client in clients:
        client.sendall(request)
    for client in clients:
        take(client)
    return time.perf_counter() - started


def take(client: socket.socket) -> None:
    """Read one reply."""
    header = client.recv(12, socket.MSG_WAITALL)
    size = int.from_bytes(header[:4], "big") - len(header)
    assert header[4:8] == b"\x00\x00\x70\x15", header
    assert len(client.recv(size, socket.MSG_WAITALL)) == size


def memory_kb(pid: int) -> int:
    """PSS in kB: memory that is the process's own, and its share of what it shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError(f"process {pid} has no Pss")


if __name__ == "__main__":
    sys.exit(main())
