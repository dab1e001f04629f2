"""Our client tools print what stock's print, byte for byte, from the same pmcd."""

import json
import re
from collections.abc import Iterator
from functools import partial

import pytest

from interop.client_tools import both, ours, without_moments
from peers import StockPmcd, stock

STEADY = [f"sample.{name}" for name in ("bin", "string", "aggregate", "long", "float", "double", "bad", "noinst")]
LABELLED = ["sample.bin", "sample.string", "hinv", "kernel.pernode.cpu", "disk.dev.read", "29.2", "60.1"]


@pytest.fixture(scope="module")
def pmcd() -> Iterator[StockPmcd]:
    """Stock's collector with metrics of every kind; ours alone, so that values may be stored."""
    with StockPmcd(("pmcd", "linux", "sample")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def names(pmcd: StockPmcd) -> list[str]:
    """Every name that pmcd serves; the derived ones that stock's tools add are not among them."""
    return ours("info", "-h", pmcd.tcp).stdout.split()


def test_info_lists_the_names_that_stock_lists_but_for_derived_ones(pmcd: StockPmcd, names: list[str]) -> None:
    listed = stock("pminfo", "-h", pmcd.tcp).stdout.split()
    assert listed[: len(names)] == names
    assert len(names) > 1000


@pytest.mark.parametrize("options", ["-m", "-M", "-d", "-I", "-t", "-T", "-dmtT"])
@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_info_describes_every_metric_as_stock_does(
    pmcd: StockPmcd, names: list[str], options: str, transport: str
) -> None:
    theirs, mine = both("info", "-h", getattr(pmcd, transport), options, *names)
    assert mine.stdout == theirs.stdout
    assert (mine.returncode, mine.stderr) == (theirs.returncode, theirs.stderr)


@pytest.mark.parametrize("options", ["-l", "-s", "-ls"])
@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_info_shows_the_labels_and_series_that_stock_shows(pmcd: StockPmcd, options: str, transport: str) -> None:
    theirs, mine = both("info", "-h", getattr(pmcd, transport), options, *LABELLED)
    assert mine.stdout == theirs.stdout
    assert "labels" in mine.stdout or "series" in mine.stdout


@pytest.mark.parametrize("options", ["-f", "-df", "-F", "-x", "-v", "-dmtTfl"])
def test_info_shows_values_and_errors_as_stock_does(pmcd: StockPmcd, options: str) -> None:
    theirs, mine = both("info", "-h", pmcd.tcp, options, *STEADY, "sample.bogus_bin", "sample.hordes.one", "no.such")
    assert mine.stdout == theirs.stdout
    assert (mine.returncode, mine.stderr) == (theirs.returncode, theirs.stderr) == (1, mine.stderr)


@pytest.mark.parametrize(
    "subjects",
    [["29.0.6"], ["29.2"], ["29.0.6", "29.2", "29.0.999", "400.1.1", "29.77"], ["sample."], ["no such"], ["29"]],
)
def test_info_takes_identifiers_for_names(pmcd: StockPmcd, subjects: list[str]) -> None:
    theirs, mine = both("info", "-h", pmcd.tcp, "-dmt", *subjects)
    assert (mine.stdout, mine.stderr, mine.returncode) == (theirs.stdout, theirs.stderr, theirs.returncode)


def test_info_unpacks_event_records_as_stock_does(pmcd: StockPmcd) -> None:
    # Each fetch makes the records go one step on a round trip of no more than eight: both tools see all of it.
    metrics = ["sample.event.records", "sample.event.highres_records"]
    seen = [
        {without_moments(line) for _ in range(8) for line in run("-h", pmcd.tcp, "-x", *metrics).stdout.splitlines()}
        for run in (partial(stock, "pminfo"), partial(ours, "info"))
    ]
    assert seen[1] == seen[0]
    assert any("missed event records" in line for line in seen[1])


@pytest.mark.parametrize(
    "options", [[], ["-i"], ["-I"], ["-v"], ["-fi"], ["-fI"], ["-iI"], ["-F"], ["-Fv"], ["-FI"], ["-z"], ["-Z", "EST5"]]
)
def test_probe_prints_what_stock_prints(pmcd: StockPmcd, options: list[str]) -> None:
    theirs, mine = both("probe", "-h", pmcd.tcp, *options, *STEADY, "sample.bogus_bin", "no.such", "hinv")
    assert (mine.stdout, mine.returncode) == (theirs.stdout, theirs.returncode)


def test_probe_counts_the_values_of_every_metric(pmcd: StockPmcd, names: list[str]) -> None:
    settled = [name for name in names if not name.startswith("sample.")]
    theirs, mine = both("probe", "-h", pmcd.tcp, *settled)
    assert mine.stdout == theirs.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample.bin"],
        ["sample.string.hullo"],
        ["sample.double.one"],
        ["sample.float.bin"],
        ["sample.part_bin"],
        ["sample.bogus_bin"],
        ["sample.aggregate.hullo"],
        ["sample.ulong.bin_ctr"],
        ["sample.float.bin_ctr"],
        ["sample.double.bin_ctr"],
        ["sample.hordes.two"],
        ["sample.noinst"],
        ["sample.const_rate.value"],
        ["-w", "3", "sample.bin"],
        ["-w", "9", "sample.ulong.bin_ctr"],
        ["-w", "3", "sample.ulong.bin_ctr"],
        ["-f", "2", "sample.float.bin_ctr"],
        ["-r", "sample.float.bin_ctr"],
        ["-i", "bin-300 'bin-100'", "sample.bin"],
        ["sample.bin[bin-100,bin-300]"],
        ["-i", "bin-300", "sample.bin[bin-100]"],
        ["pmcd.agent.status"],
        ["-Z", "EST5", "sample.bin"],
        ["-z", "sample.bin"],
    ],
    ids=" ".join,
)
def test_val_prints_what_stock_prints(pmcd: StockPmcd, arguments: list[str]) -> None:
    theirs, mine = both("val", "-h", pmcd.tcp, "-s", 2, "-t", "0.05", *arguments)
    assert (mine.stdout, mine.returncode) == (theirs.stdout, theirs.returncode)
    assert mine.stdout.count("\n") > 6


@pytest.mark.parametrize(
    "name", ["no.such", "sample", "sample.bad.unknown", "sample.bad.nosupport", "sample.bad.fetch.again"]
)
def test_val_says_what_is_wrong_as_stock_does(pmcd: StockPmcd, name: str) -> None:
    theirs, mine = both("val", "-h", pmcd.tcp, "-s", 2, "-t", "0.05", name)
    assert (mine.stdout, mine.returncode) == (theirs.stdout, theirs.returncode)
    assert mine.stderr.replace("pypcp val", "pmval") == theirs.stderr


NUMBERS = (
    "0 0.00001 0.0999 0.1 0.99989 0.9999 0.99995 1 9.9985 9.999 9.9991 99.99 99.991 999.9 999.95 9999 9999.4 10000"
)


@pytest.mark.parametrize("number", [*NUMBERS.split(), "-0.5", "1e-20", "1e100", "nan", "inf", "-inf"])
def test_val_shows_a_number_with_as_many_digits_as_stock(pmcd: StockPmcd, number: str) -> None:
    assert ours("store", "-h", pmcd.tcp, "sample.double.write_me", number).returncode == 0
    for options in ([], ["-w", "4"], ["-f", "2"]):
        theirs, mine = both("val", "-h", pmcd.tcp, "-s", 1, *options, "sample.double.write_me")
        assert mine.stdout == theirs.stdout


LONG, ULONG, SINGLE, TEXT = (f"sample.{kind}.write_me" for kind in ("long", "ulong", "float", "string"))


@pytest.mark.parametrize(
    "arguments",
    [
        [LONG, "13"],
        [LONG, " 7"],
        [LONG, "7 "],
        [LONG, "-0x10"],
        [LONG, "2147483648"],
        [LONG, "abc"],
        [ULONG, "-1"],
        [SINGLE, "0.1"],
        [SINGLE, "3.5e38"],
        [SINGLE, "1x"],
        [TEXT, "-abc"],
        [TEXT, 'é"x'],
        ["sample.bin", "5"],
        ["-F", "-i", "bin-100 bin-200", "sample.bin", "42"],
        ["-i", "bin-300", "-i", "bin-100,bin-200", "sample.bin", "42"],
        ["-i", "nope", "sample.bin", "4"],
        ["-i", "foo", LONG, "3"],
        ["-f", LONG, "3"],
        ["-f", "-i", "bin-200", "sample.part_bin", "4"],
        ["sample", "1"],
        ["no.such", "1"],
        ["sample.bad.nosupport", "1"],
        ["sample.noinst", "1"],
        ["sample.part_bin", "4"],
    ],
    ids=" ".join,
)
def test_store_does_and_says_what_stock_does_and_says(pmcd: StockPmcd, arguments: list[str]) -> None:
    stock("pmstore", "-h", pmcd.tcp, *arguments)  # from here on the old value is the new one
    theirs, mine = both("store", "-h", pmcd.tcp, *arguments)
    assert (mine.stdout, mine.stderr, mine.returncode) == (theirs.stdout, theirs.stderr, theirs.returncode)


def test_json_says_the_same_as_the_text(pmcd: StockPmcd) -> None:
    (metric,) = json.loads(ours("info", "-h", pmcd.tcp, "--json", "-df", "sample.colour").stdout)["metrics"]
    assert [entry["name"] for entry in metric["instances"]] == ["red", "green", "blue"]
    assert metric["type"] == "32-bit int"
    (probed,) = json.loads(ours("probe", "-h", pmcd.tcp, "--json", "-v", "sample.bin").stdout)
    assert (probed["name"], probed["count"], len(probed["values"])) == ("sample.bin", 9, 9)
    lines = ours("val", "-h", pmcd.tcp, "--json", "-s", 2, "-t", "0.05", "sample.long.one").stdout.splitlines()
    assert [json.loads(line)["value"] for line in lines] == [1, 1]
    stored = json.loads(ours("store", "-h", pmcd.tcp, "--json", LONG, 17).stdout)
    assert stored["stored"][0]["new"] == 17


@pytest.mark.parametrize("tool", ["info", "probe", "val", "store"])
@pytest.mark.parametrize("host", ["localhost:1", "unix:/nonexistent/socket"])
def test_a_host_that_cannot_be_reached_is_one_line_and_status_1(tool: str, host: str) -> None:
    theirs, mine = both(tool, "-h", host, *["sample.long.one", "1"][: 2 if tool == "store" else 1])
    assert mine.returncode == theirs.returncode == 1
    assert mine.stdout == theirs.stdout == ""
    assert mine.stderr.startswith(f'pypcp {tool}: Cannot connect to PMCD on host "{host}": ')
    assert mine.stderr.count("\n") == 1


@pytest.mark.parametrize("tool", ["info", "probe", "val", "store"])
def test_an_option_that_is_not_there_is_named(tool: str) -> None:
    refused = ours(tool, "-a", "archive")
    assert refused.returncode == 1
    assert "-a" in refused.stderr or "needed" in refused.stderr


@pytest.mark.parametrize("tool", ["info", "probe", "val"])
def test_two_time_zones_are_refused_as_in_stock(pmcd: StockPmcd, tool: str) -> None:
    theirs, mine = both(tool, "-h", pmcd.tcp, "-z", "-Z", "UTC", "sample.long.one")
    said = "at most one of -Z and -z allowed"
    assert (said in mine.stderr, mine.returncode) == (said in theirs.stderr, theirs.returncode) == (True, 1)


def test_the_zone_that_probe_is_told_is_that_of_its_times(pmcd: StockPmcd) -> None:
    ours("probe", "-h", pmcd.tcp, "-v", "sample.event.no_indom_records")
    shown = [
        ours("probe", "-h", pmcd.tcp, "-Z", zone, "-v", "sample.event.no_indom_records").stdout.partition("timestamp")[
            2
        ]
        for zone in ("UTC", "EST5")
    ]
    hours = [int(re.findall(r"(\d\d):", each)[0]) for each in shown]
    assert (hours[0] - hours[1]) % 24 in (4, 5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["val", "-s", "x", "sample.bin"], "argument -s/--samples: 'x' is no number"),
        (["val", "-w", "x", "sample.bin"], "argument -w/--width: 'x' is no number"),
        (["info", "-b", "0", "sample.bin"], "argument -b/--batch: 0 is not a positive number"),
        (["val", "-s", "1", "hinv.ncpu", "hinv.ndisk"], "too many arguments, from 'hinv.ndisk' on"),
    ],
)
def test_a_command_line_that_is_wrong_is_told_in_words_of_its_own(arguments: list[str], said: str) -> None:
    told = ours(*arguments)
    assert told.stderr == f"pypcp {arguments[0]}: {said} (--help lists the options)\n"
    assert told.returncode == 1
