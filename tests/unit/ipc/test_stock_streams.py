"""Both streams reach stock's pmcd by every way that host specifications name."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import StockPmcd, clean_environment, free_port, missing
from pypcp.ipc.address import parse_hostspec
from pypcp.ipc.asynchronous import AsyncStream
from pypcp.ipc.blocking import BlockingStream
from pypcp.wire.framing import frame_type
from waiting import wait_until

pytestmark = pytest.mark.interop

LIMIT_S = 5.0
ERROR_PDU = 0x7000
PMPROXY = "/usr/lib/pcp/bin/pmproxy"


@pytest.fixture(scope="module")
def pmcd() -> Iterator[StockPmcd]:
    with StockPmcd(("pmcd",)) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def pmproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a stock pmproxy."""
    if not Path(PMPROXY).exists():
        missing("stock's pmproxy (Debian package pcp)")
    directory, port = tmp_path_factory.mktemp("pmproxy"), free_port()
    where = ["-p", str(port), "-s", str(directory / "socket"), "-l", str(directory / "log"), "-i", "127.0.0.1"]
    command = [PMPROXY, "-f", "-A", "-d", *where]
    with subprocess.Popen(command, cwd=directory, env=clean_environment(), stdin=subprocess.DEVNULL) as process:
        try:
            wait_until_served(process, port)
            yield port
        finally:
            process.terminate()


def wait_until_served(process: subprocess.Popen[bytes], port: int) -> None:
    with socket.socket() as probe:
        wait_until(lambda: process.poll() is not None or not probe.connect_ex(("127.0.0.1", port)), "pmproxy listens")
    assert process.poll() is None, "pmproxy ended"


@pytest.fixture(params=["tcp", "unix", "local", "second port", "proxy"])
def endpoints(request, pmcd, pmproxy):
    spec = {
        "tcp": pmcd.tcp,
        "unix": pmcd.unix,
        "local": f"local:{pmcd.socket}",
        "second port": f"127.0.0.1:1,{pmcd.port}",
        "proxy": f"127.0.0.1:{pmcd.port}@127.0.0.1:{pmproxy}",
    }[request.param]
    return parse_hostspec(spec, {}).endpoints([])


def test_stock_greets_the_blocking_stream(endpoints):
    with BlockingStream.connect(endpoints, LIMIT_S) as stream:
        challenge = stream.receive(LIMIT_S)
    assert (len(challenge), frame_type(challenge)) == (20, ERROR_PDU)


@pytest.mark.anyio
async def test_stock_greets_the_asynchronous_stream(endpoints):
    async with await AsyncStream.connect(endpoints, LIMIT_S) as stream:
        challenge = await stream.receive(LIMIT_S)
    assert (len(challenge), frame_type(challenge)) == (20, ERROR_PDU)
