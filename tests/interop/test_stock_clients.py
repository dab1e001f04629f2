"""Stock's clients read our daemon as if it were their own: by TCP and by the UNIX socket, on both event loops."""

import json
import re
from pathlib import Path

import pytest

from peers import OurDaemon, stock

DASHBOARD = ["kernel.all.load", "kernel.all.cpu.user", "mem.util.free", "disk.all.read", "network.interface.in.bytes"]


def test_pminfo_lists_every_name_that_it_can_describe(our_address: str) -> None:
    names = stock("pminfo", "-h", our_address).stdout.split()
    described = stock("pminfo", "-h", our_address, "-d").stdout
    assert len(names) > 300
    assert set(re.findall(r"^(\w[\w.]+)$", described, re.MULTILINE)) == set(names)


def test_pminfo_gives_a_text_of_both_lengths_for_every_metric(our_address: str) -> None:
    listed = stock("pminfo", "-h", our_address, "-dtT")
    assert listed.returncode == 0
    assert "Help" in listed.stdout
    assert "No help" not in listed.stdout
    assert "not available" not in listed.stdout + listed.stderr


def test_pminfo_fetches_every_metric_without_a_protocol_error(our_address: str) -> None:
    fetched = stock("pminfo", "-h", our_address, "-f")
    assert fetched.returncode == 0
    assert "IPC protocol failure" not in fetched.stdout + fetched.stderr
    assert 'inst [1 or "1 minute"]' in fetched.stdout


def test_pmprobe_finds_values(our_address: str) -> None:
    probed = dict(line.split(maxsplit=1) for line in stock("pmprobe", "-h", our_address, "-v").stdout.splitlines())
    assert probed["kernel.all.load"].startswith("3 ")
    assert probed["pmcd.numclients"] in {f"1 {count}" for count in range(1, 20)}


def test_pmval_reports_as_many_samples_as_asked_for(our_address: str) -> None:
    sampled = stock("pmval", "-h", our_address, "-s", 3, "-t", "0.1", "mem.util.free")
    values = re.findall(r"^\s+(\d+)\s*$", sampled.stdout, re.MULTILINE)
    assert len(values) == 3
    assert all(int(value) > 0 for value in values)


def test_pmrep_reports_a_dashboard(our_address: str) -> None:
    reported = stock("pmrep", "-h", our_address, "-s", 2, "-t", "0.1", "-o", "csv", *DASHBOARD)
    assert reported.returncode == 0, reported.stderr
    header, *rows = reported.stdout.splitlines()
    assert len(rows) == 2
    assert '"kernel.all.load-1 minute"' in header
    assert all(len(row.split(",")) == len(header.split(",")) for row in rows)


def test_pmlogger_writes_an_archive_that_stock_checks_and_reads(our_address: str, tmp_path: Path) -> None:
    configuration = tmp_path / "config"
    configuration.write_text("log mandatory on 100 msec { " + " ".join([*DASHBOARD, "pmcd", "hinv", "swap"]) + " }\n")
    archive = tmp_path / "archive"
    logged = stock("pmlogger", "-h", our_address, "-c", configuration, "-s", 5, "-l", tmp_path / "log", archive)
    assert logged.returncode == 0, (tmp_path / "log").read_text()
    checked = stock("pmlogcheck", "-v", archive)
    assert checked.returncode == 0
    assert "error" not in (checked.stdout + checked.stderr).lower()
    replayed = stock("pmval", "-a", archive, "-t", "0.1", "mem.util.free")
    assert len(re.findall(r"^\d\S+\s+\d+\s*$", replayed.stdout, re.MULTILINE)) >= 3


def test_the_stock_python_binding_reads_values(our_address: str) -> None:
    script = (
        "import json,sys; from pcp import pmapi; import cpmapi\n"
        "c = pmapi.pmContext(cpmapi.PM_CONTEXT_HOST, sys.argv[1])\n"
        "p = c.pmLookupName('kernel.all.load'); d = c.pmLookupDescs(p); r = c.pmFetch(p)\n"
        "print(json.dumps([r.contents.get_inst(0, i) for i in range(r.contents.get_numval(0))]))\n"
    )
    read = stock("python3", "-c", script, our_address)
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout) == [1, 5, 15]


@pytest.mark.parametrize("name", ["no.such.metric", "kernel.all"])
def test_a_name_that_is_no_metric_gets_the_error_that_stock_gives(our_daemon: OurDaemon, name: str) -> None:
    asked = stock("pmval", "-h", our_daemon.tcp, "-s", 1, name)
    wanted = {"no.such.metric": "Unknown metric name", "kernel.all": "Metric name is not a leaf in PMNS"}[name]
    assert wanted in asked.stderr
