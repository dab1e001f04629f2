"""Stock's programs that stand between our daemon and others: pmproxy, which passes on, and pmie, which watches."""

import json
import re
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import OurDaemon, clean_environment, free_port, require, stock
from waiting import LIMIT_S, wait_until

PMPROXY = Path("/usr/lib/pcp/bin/pmproxy")
USED = r"(?m)^used: +[\d.]+$"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a private pmproxy."""
    require(PMPROXY.exists(), "stock's pmproxy (Debian package pcp)")
    directory, port = tmp_path_factory.mktemp("pmproxy"), free_port()
    where = ["-i", "127.0.0.1", "-p", str(port), "-r", str(free_port()), "-s", str(directory / "pmproxy.socket")]
    logs = ["-l", str(directory / "pmproxy.log"), "-x", str(directory / "pmproxy.out")]
    environment = clean_environment(PCP_TMP_DIR=str(directory), PCP_RUN_DIR=str(directory))
    (directory / "pmproxy").mkdir()
    with subprocess.Popen([PMPROXY, "-f", "-A", *where, *logs], env=environment, cwd=directory) as process:
        try:
            wait_until(lambda: answers(port), "pmproxy")
            yield port
        finally:
            process.kill()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def got(port: int, path: str, **query: object) -> object:
    """What pmproxy's web API gives."""
    address = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=LIMIT_S) as response:
        text = response.read()
    return json.loads(text) if text.startswith((b"{", b"[")) else text


def test_a_client_comes_by_way_of_pmproxy(proxy: int, our_daemon: OurDaemon) -> None:
    host = f"localhost:{our_daemon.port}@localhost:{proxy}"
    fetched = stock("pminfo", "-h", host, "-f", "kernel.all.load")
    assert 'inst [15 or "15 minute"] value' in fetched.stdout, fetched.stderr


def test_the_web_api_of_pmproxy_asks_our_daemon(proxy: int, our_daemon: OurDaemon) -> None:
    context = got(proxy, "/pmapi/context", hostspec=our_daemon.tcp)
    assert isinstance(context, dict)
    number = context["context"]
    described = got(proxy, "/pmapi/metric", context=number, name="kernel.all.load")
    assert isinstance(described, dict)
    assert described["metrics"][0]["type"] == "float"
    fetched = got(proxy, "/pmapi/fetch", context=number, names="kernel.all.load,hinv.ncpu")
    assert isinstance(fetched, dict)
    assert [len(each["instances"]) for each in fetched["values"]] == [3, 1]
    instances = got(proxy, "/pmapi/indom", context=number, name="kernel.all.load")
    assert isinstance(instances, dict)
    assert {each["name"] for each in instances["instances"]} == {"1 minute", "5 minute", "15 minute"}


def test_pmie_evaluates_rules_over_our_daemon(our_daemon: OurDaemon, tmp_path: Path) -> None:
    configuration, log = tmp_path / "rules", tmp_path / "pmie.log"
    configuration.write_text(
        "delta = 200 msec;\n"
        'some_inst kernel.all.load >= 0 -> print "load of %i is %v";\n'
        'hinv.ncpu > 100000 -> print "no such host";\n'
        "used = kernel.all.cpu.user + kernel.all.cpu.sys;\n"
    )
    command = ["/usr/bin/pmie", "-v", "-U", "root", "-h", our_daemon.tcp, "-c", str(configuration), "-l", str(log)]
    with subprocess.Popen(command, env=clean_environment()) as process:
        try:
            wait_until(lambda: log.exists() and re.search(USED, log.read_text()), "rules and rates")
        finally:
            process.terminate()
    said = log.read_text()
    assert "15 minute" in said
    assert "no such host" not in said
    assert re.search(USED, said)
    assert "Error" not in said
