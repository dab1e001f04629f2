"""Stock's reports about a whole system are the same against our daemon as against stock's, number for number."""

import re

import pytest

from peers import OurDaemon, StockPmcd, stock

REPORTS = {
    "summary": ["pcp"],
    "dstat": ["pcp", "dstat", "--nocolor", "1", "1"],
    "dstat of what vmstat shows": ["pcp", "dstat", "--nocolor", "-v", "1", "1"],
    "dstat of each device": ["pcp", "dstat", "--nocolor", "-f", "1", "1"],
    "dstat of files and sockets": ["pcp", "dstat", "--nocolor", "--fs", "--aio", "--lock", "--socket", "1", "1"],
    "dstat of volumes": ["pcp", "dstat", "--nocolor", "--part", "--dm", "--md", "--swap", "1", "1"],
    "iostat": ["pcp", "iostat", "-t", "0.5", "-s", "2"],
    "iostat of volumes": ["pcp", "iostat", "-x", "dm", "-t", "0.5", "-s", "2"],
    "mpstat": ["pcp", "mpstat", "-t", "0.5", "-s", "2"],
    "mpstat of each processor": ["pcp", "mpstat", "-A", "-t", "0.5", "-s", "2"],
    "numastat": ["pcp", "numastat"],
    "free": ["pcp", "free"],
    "uptime": ["pcp", "uptime"],
    "vmstat": ["pcp", "vmstat", "0.5", "2"],
    "pmstat": ["pmstat", "-t", "0.5", "-s", "2"],
}
"""Each report and its command, but for the host."""

OF_THE_DAEMON = re.compile(r"^ +(pmcd|pmda): .*\n", re.MULTILINE)
"""What differs in a summary: the version, and which agents there are."""

NUMBER = re.compile(r"-?\d+(\.\d+)?[BKMGTkmgt]?\b")


def _shape(command: list[str], address: str) -> tuple[int, str]:
    """The exit status, and the report with all numbers alike and without the space that aligns them."""
    program, *rest = command
    ran = stock(program, "-h", address, *rest)
    text = OF_THE_DAEMON.sub("", ran.stdout + ran.stderr).replace(address, "HOST")
    return ran.returncode, re.sub(r"[ \t]+", "", NUMBER.sub("N", text))


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_is_that_of_stock_but_for_the_numbers(
    report: str, our_daemon: OurDaemon, stock_pmcd: StockPmcd
) -> None:
    theirs = _shape(REPORTS[report], stock_pmcd.tcp)
    assert theirs[0] == 0
    assert theirs[1]
    assert _shape(REPORTS[report], our_daemon.tcp) == theirs
