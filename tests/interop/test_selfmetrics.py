"""What our daemon tells of itself against what stock's does: descriptions, instances, labels, who may change it."""

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import STOCK_PATH, Daemon, OurDaemon, StockPmcd, clean_environment, require, stock
from waiting import wait_until

DESCRIPTION = re.compile(
    r"^(?P<name>\S+) PMID: (?P<pmid>\S+)\n"
    r"    Data Type: (?P<type>.*?)  InDom: (?P<indom>\S+).*\n"
    r"    Semantics: (?P<semantics>\S+)  Units: (?P<units>.*)$",
    re.MULTILINE,
)
BEYOND = re.compile(r"pmcd\.agent\.(requests|late|restarts|queue|pid|latency\.(total|last|longest|mean))")
FIXED = ("pmcd.buf", "pmcd.control.register")
OPEN = "[access]\nallow * : all;\n"


def described(address: str) -> dict[str, tuple[str, ...]]:
    listed = stock("pminfo", "-h", address, "-dm", "pmcd").stdout
    return {
        found["name"]: found.group("pmid", "type", "indom", "semantics", "units")
        for found in DESCRIPTION.finditer(listed)
    }


def test_every_metric_of_stocks_is_ours_and_described_alike(our_address: str, stock_pmcd: StockPmcd) -> None:
    ours, stocks = described(our_address), described(stock_pmcd.tcp)
    assert len(stocks) > 100
    assert {name: (ours.get(name), desc) for name, desc in stocks.items() if ours.get(name) != desc} == {}
    assert [name for name in ours if name not in stocks and not BEYOND.fullmatch(name)] == []


def test_instances_that_never_change_are_stocks(our_address: str, stock_pmcd: StockPmcd) -> None:
    assert (
        stock("pminfo", "-h", our_address, "-f", *FIXED).stdout
        == stock("pminfo", "-h", stock_pmcd.tcp, "-f", *FIXED).stdout
    )


def test_agents_and_clients_are_numbered_and_named_as_stock_does(our_address: str) -> None:
    agents = stock("pminfo", "-h", our_address, "-f", "pmcd.agent.name", "pmcd.agent.status").stdout
    assert 'inst [2 or "pmcd"] value "pmcd"' in agents
    assert 'inst [60 or "linux"] value 0' in agents
    clients = stock("pminfo", "-h", our_address, "-f", "pmcd.client").stdout
    assert re.search(r'inst \[(\d+) or "\1"\] value "\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"', clients)


def test_the_counts_of_pdus_add_up(our_address: str) -> None:
    for done in ("in", "out"):
        listed = stock("pmprobe", "-h", our_address, "-v", f"pmcd.pdu_{done}").stdout
        counts = {name.rpartition(".")[2]: int(value) for name, _, value in map(str.split, listed.splitlines())}
        total = counts.pop("total")
        assert total == sum(counts.values()) > 0


def test_context_labels_are_those_of_a_stock_pmcd(our_daemon: OurDaemon, stock_pmcd: StockPmcd) -> None:
    by_unix = [stock("pminfo", "-h", daemon.unix, "-l", "pmcd.numagents").stdout for daemon in (our_daemon, stock_pmcd)]
    assert '"userid"' in by_unix[0]
    assert by_unix[0] == by_unix[1]
    by_tcp = [stock("pminfo", "-h", daemon.tcp, "-l", "pmcd.numagents").stdout for daemon in (our_daemon, stock_pmcd)]
    assert by_tcp[0] == by_tcp[1]


def test_the_summary_that_stock_makes_of_a_host_is_whole(our_daemon: OurDaemon) -> None:
    summary = stock("pcp", "-h", our_daemon.tcp)
    assert summary.returncode == 0, summary.stderr
    assert re.search(r"services: pmcd", summary.stdout)
    assert re.search(r"pmcd: Version \S+-\S+, 3 agents", summary.stdout)
    assert re.search(r"pmda: pmcd linux", summary.stdout)
    assert "timezone: UTC" in summary.stdout


def test_a_logger_of_stocks_is_told_of(our_daemon: OurDaemon, tmp_path: Path) -> None:
    with logger(our_daemon, tmp_path) as pid:
        listed = stock("pminfo", "-h", our_daemon.tcp, "-f", "pmcd.pmlogger").stdout
        assert f'inst [{pid} or "{pid}"] value "{tmp_path}/archive"' in listed
        assert len(re.findall(rf'inst \[{pid} or "{pid}"\]', listed)) == 4
    assert f"inst [{pid} or" not in stock("pminfo", "-h", our_daemon.tcp, "-f", "pmcd.pmlogger").stdout


@contextlib.contextmanager
def logger(daemon: Daemon, directory: Path) -> Iterator[int]:
    """A pmlogger that leaves its mark in the daemon's directories."""
    marks = daemon.directory / "tmp" / "pmlogger"
    marks.mkdir(exist_ok=True)
    (directory / "config").write_text("log mandatory on 1 sec { pmcd.pid }\n")
    environment = clean_environment(PCP_TMP_DIR=str(marks.parent), PCP_RUN_DIR=str(directory))
    command = ["pmlogger", "-h", daemon.unix, "-c", "config", "-l", "log", str(directory / "archive")]
    process = subprocess.Popen(command, env=environment, cwd=directory)
    try:
        mark = marks / str(process.pid)
        log = directory / "log"
        wait_until(lambda: process.poll() is not None or is_whole(mark), lambda: log.read_text())
        assert process.poll() is None, log.read_text()
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def is_whole(mark: Path) -> bool:
    return mark.exists() and mark.read_text().count("\n") >= 3


# Who may change what


@pytest.fixture(scope="module")
def open_daemon(loop_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OurDaemon]:
    """A daemon whose access rules let everybody store."""
    require(os.geteuid() == 0, "root, as whom a daemon can be changed")
    directory = tmp_path_factory.mktemp("open")
    (directory / "pmcd.conf").write_text(OPEN)
    (directory / "names").write_text("root {\n}\n")
    with OurDaemon("-c", directory / "pmcd.conf", "-n", directory / "names", tool="pmcd", loop=loop_name) as daemon:
        daemon.directory.chmod(0o755)
        yield daemon


def test_root_changes_the_daemon_by_the_unix_socket(open_daemon: OurDaemon) -> None:
    stored = stock("pmstore", "-h", open_daemon.unix, "pmcd.control.timeout", 7)
    assert stored.stdout == "pmcd.control.timeout old value=5 new value=7\n"
    assert "value 7" in stock("pminfo", "-h", open_daemon.tcp, "-f", "pmcd.control.timeout").stdout
    assert stock("pmstore", "-h", open_daemon.unix, "pmcd.control.timeout", 5).returncode == 0


@pytest.mark.parametrize(
    "name", ["pmcd.control.timeout", "pmcd.control.sighup", "pmcd.control.register", "pmcd.seqnum"]
)
def test_nobody_changes_the_daemon_by_tcp_even_where_everybody_may_store(open_daemon: OurDaemon, name: str) -> None:
    refused = stock("pmstore", "-h", open_daemon.tcp, name, 7)
    assert "No permission to perform requested operation" in refused.stdout
    assert refused.returncode != 0


def test_another_user_changes_nothing_by_the_unix_socket(open_daemon: OurDaemon) -> None:
    command = ["pmstore", "-h", open_daemon.unix, "pmcd.control.timeout", "7"]
    environment = clean_environment(PATH=STOCK_PATH)
    refused = subprocess.run(
        command, env=environment, user="nobody", group="nogroup", extra_groups=[], capture_output=True, text=True
    )
    assert "No permission to perform requested operation" in refused.stdout


@pytest.mark.parametrize(
    ("name", "value"), [("traceconn", 2), ("tracepdu", -1), ("tracebufs", 0), ("tracebufs", 2**30)]
)
def test_a_value_that_means_nothing_is_refused_as_stock_refuses_it(
    open_daemon: OurDaemon, name: str, value: int
) -> None:
    refused = stock("pmstore", "-h", open_daemon.unix, "--", f"pmcd.control.{name}", value)
    assert "Bad input to pmstore" in refused.stdout


def test_a_client_names_itself_over_any_way(open_daemon: OurDaemon) -> None:
    with socket.create_connection(("127.0.0.1", open_daemon.port)):  # somebody else, whose instance pmstore names too
        for address in (open_daemon.tcp, open_daemon.unix):
            stored = stock("pmstore", "-h", address, "pmcd.client.whoami", "the tester")
            assert re.search(r'inst \[\d+ or "\d+"\] old value="" new value="the tester"', stored.stdout), stored.stderr


def test_the_library_says_who_uses_it(open_daemon: OurDaemon) -> None:
    """As loggers and rule engines do when they connect."""
    script = (
        "import ctypes, subprocess, sys; from pcp import pmapi; import cpmapi\n"
        "context = pmapi.pmContext(cpmapi.PM_CONTEXT_HOST, sys.argv[1])\n"
        "assert ctypes.CDLL('libpcp.so.3')['__pmSetClientId'](b'the rules') == 0\n"
        "subprocess.run(['pminfo', '-h', sys.argv[1], '-f', 'pmcd.client.whoami'])\n"
    )
    asked = stock("python3", "-c", script, open_daemon.tcp)
    assert re.search(r'inst \[\d+ or "\d+"\] value "\S+ .*the rules"', asked.stdout), asked.stderr


def test_the_trace_goes_to_the_log(open_daemon: OurDaemon) -> None:
    assert stock("pmstore", "-h", open_daemon.unix, "pmcd.control.traceconn", 1).returncode == 0
    stock("pmprobe", "-h", open_daemon.tcp, "pmcd.pid")
    assert stock("pmstore", "-h", open_daemon.unix, "pmcd.control.dumptrace", 1).returncode == 0
    assert stock("pmstore", "-h", open_daemon.unix, "pmcd.control.traceconn", 0).returncode == 0
    assert re.search(r"->PMCD event trace: starting at", open_daemon.log)
    assert re.search(r"New client: \[\d+\] (127\.0\.0\.1|::1):\d+", open_daemon.log)
