"""pmlogger and pmie of stock, as our reader of their files sees them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peers import STOCK_PATH, StockPmcd, clean_environment, require
from pypcp.pmcd.map_files import LoggerInstance, PmieInstance, pmies, pmloggers
from waiting import LIMIT_S, wait_until


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Directories of stock's programs of our own."""
    for name in ("tmp/pmlogger", "tmp/pmie", "run"):
        (tmp_path / name).mkdir(parents=True)
    return {"PCP_TMP_DIR": str(tmp_path / "tmp"), "PCP_RUN_DIR": str(tmp_path / "run")}


@pytest.fixture
def start(tmp_path: Path, places: dict[str, str]) -> Iterator[Callable[..., int]]:
    """Starts one of stock's programs in the background; its pid."""
    started: list[subprocess.Popen[bytes]] = []

    def starter(tool: str, *arguments: object, **environment: str) -> int:
        program = shutil.which(tool, path=STOCK_PATH)
        require(program, f"stock's {tool}")
        started.append(
            subprocess.Popen(
                [str(program), *map(str, arguments)],
                cwd=tmp_path,
                env=clean_environment(**places, **environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        return started[-1].pid

    yield starter
    for process in started:
        process.terminate()
        process.wait(LIMIT_S)


def wait_for(what: Callable[[], list[object]], count: int) -> list[object]:
    wait_until(lambda: len(what()) >= count, lambda: f"{count} expected, there are {what()}")
    return what()


def test_a_primary_logger_is_found(
    stock_pmcd: StockPmcd, tmp_path: Path, places: dict[str, str], start: Callable[..., int]
) -> None:
    (tmp_path / "config").write_text("log mandatory on 1 sec { pmcd.numclients }\n")
    where = {"PMCD_SOCKET": str(stock_pmcd.socket), "PMCD_PORT": str(stock_pmcd.port)}
    pid = start("pmlogger", "-P", "-c", "config", "-l", "log", "-m", "a note", "archive", **where)
    directory = Path(places["PCP_TMP_DIR"], "pmlogger")
    primary, by_pid = wait_for(lambda: list(pmloggers(directory)), 2)
    assert isinstance(primary, LoggerInstance)
    assert isinstance(by_pid, LoggerInstance)
    assert (primary.instance, primary.name, by_pid.instance, by_pid.name) == (0, "primary", pid, str(pid))
    assert by_pid.pmcd_host == os.uname().nodename
    assert by_pid.archive == str(tmp_path / "archive")
    assert by_pid.note == "a note"
    assert by_pid.port >= 4330


def test_a_pmie_is_found_with_its_counters(
    stock_pmcd: StockPmcd, tmp_path: Path, places: dict[str, str], start: Callable[..., int]
) -> None:
    (tmp_path / "rules").write_text('delta = 1 sec;\nfew = pmcd.numagents > 0 -> print "x";\n')
    pid = start("pmie", "-f", "-h", stock_pmcd.unix, "-c", "rules", "-l", "log")
    directory = Path(places["PCP_TMP_DIR"], "pmie")
    (found,) = wait_for(lambda: [pmie for pmie in pmies(directory) if pmie.true], 1)
    assert isinstance(found, PmieInstance)
    assert (found.pid, found.rules, found.expected, found.pmcd_host) == (pid, 1, 1.0, os.uname().nodename)
    assert found.config_file == str(tmp_path / "rules")
    assert found.log_file == str(tmp_path / "log")
    assert found.actual >= found.true >= found.actions > 0
