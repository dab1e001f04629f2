"""What stock's pmproxy tells of itself, seen through stock's pmcd and through ours."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interop.stock_agents import Pair, pair, said
from peers import clean_environment, free_port, require
from waiting import wait_until

PMPROXY = Path("/usr/lib/pcp/bin/pmproxy")
CONTROL = "pmproxy.control."


@contextmanager
def stocks_pmproxy(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A private one, without the database it looks for; it writes into the directory pmproxy of ``directory``."""
    require(PMPROXY.exists(), "stock's pmproxy (Debian package pcp)")
    (directory / "pmproxy").mkdir(exist_ok=True)
    where = ["-i", "127.0.0.1", "-p", str(free_port()), "-r", str(free_port()), "-s", str(directory / "pmproxy.socket")]
    logs = ["-l", str(directory / "pmproxy.log"), "-x", str(directory / "pmproxy.out")]
    environment = clean_environment(PCP_TMP_DIR=str(directory), PCP_RUN_DIR=str(directory))
    with subprocess.Popen([PMPROXY, "-f", "-A", *where, *logs], env=environment, cwd=directory) as process:
        try:
            yield process
        finally:
            process.kill()


def published(daemons: Pair) -> list[str]:
    return [name for name in said(daemons.ours, "pminfo", "pmproxy").split() if not name.startswith(CONTROL)]


def test_what_pmproxy_tells_of_itself_is_seen_alike() -> None:
    with pair(["pmcd", "pmproxy"]) as daemons:
        ours, theirs = (each.directory / "tmp" for each in daemons.both)
        with stocks_pmproxy(theirs) as process:
            (ours / "pmproxy").symlink_to(theirs / "pmproxy")
            wait_until(lambda: len(published(daemons)) >= 30, "pmproxy's metrics")
            process.send_signal(signal.SIGSTOP)  # so that both find the same values
            names = published(daemons)
            for options in (["-d", "-m", "-t", "-T", "-f"], ["-l"]):
                seen = [sorted(said(each, "pminfo", *options, *names).split("\n\n")) for each in daemons.both]
                assert seen[0] == seen[1]
            assert f"value {process.pid}" in said(daemons.ours, "pminfo", "-f", "pmproxy.pid")
        wait_until(lambda: not published(daemons), "the end of its metrics")
        left = [sorted(said(each, "pminfo", "pmproxy").split()) for each in daemons.both]
        assert left[0] == left[1]
