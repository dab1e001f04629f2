"""Tests against stock PCP: the daemons that they share, started once in a run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import STOCK_PMCD, Daemon, OurDaemon, StockPmcd, require


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs stock PCP, and what asks for the fixture lxc a container engine too."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.interop)
            if "lxc" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.engines)


@pytest.fixture(scope="session", autouse=True)
def stock_pcp() -> None:
    """What all these tests are about."""
    require(Path(STOCK_PMCD).exists(), "stock PCP (Debian packages pcp and python3-pcp)")


@pytest.fixture(scope="session")
def stock_pmcd() -> Iterator[StockPmcd]:
    """Stock's collector with its agents pmcd and linux."""
    with StockPmcd(("pmcd", "linux")) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def our_daemon(loop_name: str) -> Iterator[OurDaemon]:
    """`pypcp up` as a new user has it, on each event loop in turn."""
    with OurDaemon(loop=loop_name) as daemon:
        yield daemon


@pytest.fixture(params=["tcp", "unix"])
def our_address(request: pytest.FixtureRequest, our_daemon: Daemon) -> str:
    """Our daemon's address by either way, as a stock client takes it after -h."""
    return str(getattr(our_daemon, request.param))
