"""Our agent sample beside stock's of this name: what clients are told, what they may store, and what
becomes of it. Whatever is otherwise is in a table here, with the reason.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.agents import PMDAS, STOCK_SAMPLE, dbpmda, open_ours, pmcd_with
from interop.test_agents_under_dbpmda import differences
from peers import Daemon, OurDaemon, StockPmcd, clean_environment, require, stock

NAMES = f"{PMDAS}/sample/root"

OF_TIME_OR_CHANCE = {
    "sample.daemon_pid": "another process",
    "sample.dupnames.daemon_pid": "another process",
    "sample.dupnames.pid_daemon": "another process",
    "sample.seconds": "time",
    "sample.dupnames.two.seconds": "time",
    "sample.milliseconds": "time",
    "sample.ulonglong.bin": "time",
    "sample.ulonglong.bin_ctr": "time",
    "sample.sysinfo": "time",
    "sample.proc.time": "time",
    "sample.event.records": "time",
    "sample.event.highres_records": "time",
    "sample.event.no_indom_records": "time",
    "sample.lights": "chance",
    "sample.dupnames.two.lights": "chance",
    "sample.magnitude": "chance",
    "sample.byte_ctr": "chance",
    "sample.kbyte_ctr": "chance",
    "sample.byte_rate": "chance",
    "sample.kbyte_rate": "chance",
    "sample.byte_rate_perhour": "chance",
    "sample.dodgey.value": "chance",
    "sample.scramble.bin": "chance",
    "sample.datasize": "how much memory an interpreter takes; stock counts from where it began",
    "sample.pdu": "stock counts the handshake",
    "sample.recv_pdu": "stock counts the handshake",
    "sample.xmit_pdu": "stock counts the handshake",
    "sample.percontext.pdu": "what was asked before, of as many instances as chance had it",
    "sample.percontext.recv_pdu": "what was asked before, of as many instances as chance had it",
    "sample.percontext.xmit_pdu": "what was asked before, of as many instances as chance had it",
    "sample.percontext.control.start": "stock sees clients that only ask for descriptors",
    "sample.percontext.control.end": "stock sees clients that only ask for descriptors",
}
"""Metrics with other values than stock's, of the same form."""


@contextmanager
def in_process(state) -> Iterator[Daemon]:
    """Our daemon with its own sample inside, as a line of stock's configuration asks for the other way."""
    configuration, names = state / "pmcd.conf", state / "names"
    shared_object = "/usr/lib/pcp/pmdas/sample/pmda_sample.so"
    configuration.write_text(f"sample 29 dso sample_init {shared_object}\n")
    stock("pmnsmerge", "-a", NAMES, names)
    with OurDaemon("-c", configuration, "-n", names, tool="pmcd") as daemon:
        yield daemon


@contextmanager
def ours_under(kind: str, state) -> Iterator[Daemon]:
    """A daemon with our sample: "stock" or "ours" with it as a process, or ours with it "in process"."""
    if kind == "in process":
        with in_process(state) as daemon:
            yield daemon
    else:
        with pmcd_with(kind, "sample", 29, "sample", NAMES, state=state) as daemon:
            yield daemon


@pytest.fixture(params=["ours", "stock", "in process"])
def both(request, tmp_path) -> Iterator[tuple[Daemon, Daemon]]:
    """A daemon with our agent, and stock's with its own; both agents have just been started."""
    with ours_under(request.param, tmp_path) as ours, StockPmcd(["pmcd", "sample"]) as theirs:
        yield ours, theirs


def said(daemon: Daemon, tool: str, *arguments: object) -> str:
    run = stock(tool, "-h", daemon.tcp, *arguments)
    return (run.stdout + run.stderr).replace("our_sample", "sample")


def by_name(text: str) -> dict[str, str]:
    """What pminfo prints, a metric at a time."""
    blocks = [block.strip("\n") for block in text.split("\n\n")]
    return {block.split()[0].rstrip(":"): block for block in blocks if block}


def form(text: str) -> str:
    """The text without its numbers, its lights, and how often a line is there: what chance leaves as it is."""
    text = re.sub(r'\d+ event records? .*|"(red|yellow|green)"|\[[0-9a-f]{200,}\]|-?\d[\d.:]*', "N", text)
    return "\n".join(dict.fromkeys(text.splitlines()))


def test_all_names_and_descriptors_are_stocks(both):
    ours, theirs = (by_name(said(daemon, "pminfo", "-dm", "sample")) for daemon in both)
    assert len(theirs) > 190
    assert ours == theirs


def test_all_labels_are_stocks(both):
    ours, theirs = (by_name(said(daemon, "pminfo", "-l", "sample")) for daemon in both)
    for changing in ("sample.scramble.bin", "sample.proc.ordinal", "sample.proc.exec", "sample.proc.time"):
        ours[changing], theirs[changing] = (labels(each[changing]) for each in (ours, theirs))
    assert ours == theirs


def labels(text: str) -> str:
    """The labels without the instances that have them."""
    return "\n".join(sorted({re.sub(r'"bin":\d+', "", line.partition("labels")[2]) for line in text.splitlines()}))


def test_all_values_are_stocks_but_those_of_time_or_chance(both):
    ours, theirs = (by_name(said(daemon, "pminfo", "-f", "sample")) for daemon in both)
    assert ours.keys() == theirs.keys()
    for name in OF_TIME_OR_CHANCE:
        ours[name], theirs[name] = form(ours[name]), form(theirs[name])
    assert ours == theirs


def test_each_client_counts_its_requests_as_it_does_with_stock(both):
    counts = [f"sample.percontext.{name}" for name in ("pdu", "recv_pdu", "xmit_pdu")]
    controls = [f"sample.percontext.control.{name}" for name in ("ctx", "active", "start", "end")]
    for asked in (["-f", *counts, *controls], ["-fd", counts[1]], ["-ft", counts[0]], ["-f", *controls]):
        ours, theirs = (said(daemon, "pminfo", *asked).partition("\n\n")[0::2] for daemon in both)
        assert help_left_out(ours) == help_left_out(theirs)
    ours, theirs = (said(daemon, "pmval", "-s", "4", "-t", "10msec", "-r", counts[1]).split()[-4:] for daemon in both)
    assert ours == theirs == ["3", "4", "5", "6"]


def help_left_out(parts: tuple[str, ...]) -> str:
    return re.sub(r"One-line Help:.*|Help:.*|\[.*\]", "", "\n".join(parts))


@pytest.mark.parametrize("form", ["", "highres_"])
def test_events_are_stocks_picture_by_picture(both, form):
    reset = f"reset{'_highres' if form else ''}"
    for picture in (0, 1, 2, 3, 6, -1, -2):
        ours, theirs = (event_pictures(daemon, f"sample.event.{reset}", picture, form) for daemon in both)
        assert ours == theirs


def event_pictures(daemon: Daemon, reset: str, picture: int, form: str) -> str:
    """Two pictures in turn from the one stored, without their times; and which comes next."""
    stock("pmstore", "-h", daemon.tcp, reset, picture)
    printed = [said(daemon, "pminfo", "-x", f"sample.event.{form}records") for _ in range(2)]
    printed.append(said(daemon, "pminfo", "-f", reset))
    printed.append(said(daemon, "pminfo", "-x", "sample.event.no_indom_records"))
    return re.sub(r"\d\d:\d\d:\d\d\.\d+", "TIME", "".join(printed))


NOT_STORED_INTO = {
    "sample.not_ready": "stops the agent for a second",
    "sample.control": "is for stock's debugging output",
    "sample.secret.foo.bar.max.redirect": "is another agent's",
    "sample.controller.mirage": "leaves to chance which instances of sample.mirage there are",
    "sample.const_rate.value": "stock takes it to have grown since 1970 where it was not fetched before",
    "sample.dynamic.meta.pmdesc.indom": "stock takes domains that there are not, and then gives what is in its memory",
}


def test_what_may_be_stored_and_what_comes_of_it_is_stocks(both):
    names = set(said(both[1], "pminfo", "sample").split())
    different = {}
    for name in sorted(names - NOT_STORED_INTO.keys()):
        ours, theirs = (said(daemon, "pmstore", name, "1") for daemon in both)
        if name in OF_TIME_OR_CHANCE or name == "sample.drift":
            ours, theirs = form(ours), form(theirs)
        if ours != theirs:
            different[name] = ours, theirs
    assert different == {}


def sequence(name: str, times: int) -> list[str]:
    return [f"fetch sample.{name}"] * times


SEQUENCES = {
    "saw teeth": [
        *("fetch sample.colour", "fetch sample.mirage", "fetch sample.colour sample.mirage", "fetch sample.darkness"),
        *("fetch sample.mirage_longlong", 'store sample.colour "97"', *sequence("colour", 3)),
        *('store sample.mirage "50"', "fetch sample.mirage", 'store sample.mirage_longlong "10"'),
        "fetch sample.colour",
        *("instance 29.3", "label instances 29.3"),
    ],
    "counters": [
        *(each for name in ("wrap", "slow_wrap") for type_ in ("long", "ulong", "longlong", "ulonglong")
          for each in sequence(f"{name}.{type_}", 5)),
        *sequence("rapid", 7), *sequence("slow_wrap.long", 8), *sequence("const_rate.value", 2),
        *('store sample.const_rate.value "5"', *sequence("const_rate.value", 2), "fetch sample.const_rate.gradient"),
    ],
    "scales": [
        each
        for name, times in {"bytes_up": 206, "bytes_down": 12, "count_up": 66, "count_down": 12, "time_up_secs": 31,
                            "time_up_nanosecs": 76, "none_up": 41}.items()
        for each in sequence(f"scale_step.{name}", times)
    ],
    "stairs": [
        *sequence("updown.obs", 12), 'store sample.updown.control.repeat "1"', *sequence("updown.obs", 6),
        'store sample.updown.control.max "50"', *sequence("updown.obs", 12), 'store sample.updown.control.step "25"',
        *sequence("updown.obs", 8), 'store sample.updown.control.min "-60"', *sequence("updown.obs", 8),
        'store sample.updown.control.max "-10"', *sequence("updown.obs", 8),
    ],
    "steps": [
        *("fetch sample.step", 'store sample.step "7"', "fetch sample.step_counter", 'store sample.step "-3"'),
        "fetch sample.step",
    ],
    "below zero": [
        *sequence("negative.ctr.m_32", 2), "fetch sample.negative.instant.m_32", "fetch sample.negative.discrete.m_32",
        'store sample.negative.ctr.m_32 "-5"', "fetch sample.negative.ctr.m_32 sample.negative.instant.m_32",
        "fetch sample.negative.ctr.m_float", 'store sample.negative.discrete.m_float "2.5"',
        "fetch sample.negative.instant.m_float", "fetch sample.negative.instant.m_double",
    ],
    "profiles": [
        *("fetch sample.needprofile", "profile 29.4 none", "fetch sample.needprofile", "profile 29.4 add 1"),
        *("fetch sample.needprofile", *(f"profile 29.4 add {each}" for each in (0, 2, 3, 4))),
        "fetch sample.needprofile",
        *("profile 29.4 all", "profile 29.4 delete 3", "fetch sample.needprofile", "instance 29.4", "label indom 29.4"),
    ],
    "errors": [
        *('store sample.error_code "-12345"', "fetch sample.error_code", "fetch sample.error_check"),
        *("desc sample.error_check", 'store sample.error_code "5"', "fetch sample.error_check"),
        *("desc sample.bad.nosupport", "fetch sample.bad.nosupport", "desc sample.bad.unknown"),
        *('store sample.dodgey.control "0"', "fetch sample.dodgey.value", 'store sample.dodgey.control "-12389"'),
        *("fetch sample.dodgey.value", "instance 29.6", "fetch sample.bad.fetch.again", "fetch sample.noinst"),
        *('store sample.not_ready "-3"', "fetch sample.not_ready"),
    ],
    "ghosts": [
        *("children sample.ghosts", "name 29.0.1008", "name 29.0.1009", "desc 29.0.1009", "fetch 29.0.1009"),
        *("pmid sample.ghosts.karma", "instance 29.11", 'store 29.0.1008 "3"', "children sample.ghosts"),
        *("traverse sample.ghosts", "name 29.0.1009", "pmid sample.ghosts.state", "instance 29.11"),
        *(f"desc 29.0.{item}" for item in (1008, 1009, 1010, 1011)),
        *("fetch 29.0.1009", "fetch 29.0.1010", *["fetch 29.0.1011"] * 3, 'store 29.0.1008 "9"', "fetch 29.0.1008"),
        *("fetch 29.0.1009", "fetch 29.0.1010", *["fetch 29.0.1011"] * 26, "label instances 29.11"),
        *('store 29.0.1008 "0"', "fetch 29.0.1010", 'store 29.0.1008 "-7"', "fetch 29.0.1008", "desc 29.0.1011"),
    ],
    "secrets": [
        *("traverse sample.secret", "traverse sample.secret.foo.bar", "children sample.secret.foo.bar"),
        *("children sample.secret.nosuch", "traverse sample.secret.nosuch", "pmid sample.secret.foo"),
        *("children sample.secret.foo.one", "traverse sample.secret.foo.one", "pmid sample.secret.nosuch"),
        *("name 29.0.1007", "fetch 29.0.1000", "fetch 29.0.1007"),
    ],
    "bins": [
        *("profile 29.2 none", "profile 29.2 add 300", 'store sample.bin "33"', "profile 29.2 all"),
        *(f"fetch sample.{name}" for name in ("bin", "bucket", "part_bin", "bogus_bin", "string.bin", "long.bin",
          "ulong.bin_ctr", "longlong.bin", "float.bin", "double.bin_ctr")),
        *('store sample.bin "-7"', "fetch sample.ulong.bin", "fetch sample.float.bin", "fetch sample.string.bin"),
        *('store sample.long.bin "1"', "instance 29.9", "label indom 29.9"),
    ],
    "processes": [
        *("instance 29.12", "fetch sample.proc.ordinal", 'store sample.proc.reset "1"', "fetch sample.proc.reset"),
        *("instance 29.12", "fetch sample.proc.exec"),
    ],
    "instances": [
        *('store sample.many.count "-1"', "fetch sample.many.count", "instance 29.8", 'store sample.many.count "3"'),
        *("fetch sample.many.int", "fetch sample.hordes.two", "instance 29.5", "label indom 29.12"),
    ],
    "descriptors": [
        *(each for type_ in range(7) for each in (f'store sample.dynamic.meta.pmdesc.type "{type_}"',
          "desc sample.dynamic.meta.metric", "fetch sample.dynamic.meta.metric")),
        *('store sample.dynamic.meta.pmdesc.type "0"', 'store sample.dynamic.meta.pmdesc.indom "121634818"'),
        *("desc sample.dynamic.meta.metric", "fetch sample.dynamic.meta.metric"),
        *('store sample.dynamic.meta.pmdesc.sem "1"', 'store sample.dynamic.meta.pmdesc.units "0"'),
        "desc sample.dynamic.meta.metric",
    ],
}  # fmt: skip


@pytest.mark.parametrize("commands", SEQUENCES.values(), ids=SEQUENCES)
def test_one_request_after_the_other_gives_what_stock_gives(tmp_path, commands):
    require(os.access(STOCK_SAMPLE, os.X_OK), "stock's sample agent")
    commands = ["getdesc on", *commands]
    theirs = dbpmda(f"open pipe {STOCK_SAMPLE} -d 29 -l {tmp_path}/log", *commands, names=NAMES)
    ours = dbpmda(open_ours("sample", tmp_path), *commands, names=NAMES)
    assert differences(ours, theirs) == ""


@pytest.fixture
def indom_file(monkeypatch) -> Iterator[Path]:
    """Where the agents that a test starts look for dynamic.indom: stock's is not root there."""
    with tempfile.TemporaryDirectory(prefix="pypcp-") as directory:
        os.chmod(directory, 0o755)
        Path(directory, "sample").mkdir(0o755)
        environment = clean_environment(PCP_PMDAS_DIR=directory)
        monkeypatch.setattr("peers.clean_environment", lambda **more: environment | more)
        yield Path(directory, "sample", "dynamic.indom")


def test_the_instances_of_a_file_are_counted_as_stock_counts_them(tmp_path, indom_file):
    require(os.access(STOCK_SAMPLE, os.X_OK), "stock's sample agent")
    commands = ["instance 29.7", *sequence("dynamic.counter", 3), "fetch sample.dynamic.discrete"]
    commands += ["fetch sample.dynamic.instant sample.dynamic.counter", "instance 29.7"]
    for text in ("2 two\n5 five\n", " 4   four  \n\n7 seven\n", "2 two\nthree 3\n", "2 two words\n", "7\n", ""):
        indom_file.write_text(text)
        theirs = dbpmda(f"open pipe {STOCK_SAMPLE} -d 29 -l {tmp_path}/log", *commands, names=NAMES)
        ours = dbpmda(open_ours("sample", tmp_path), *commands, names=NAMES)
        assert differences(ours, theirs) == ""


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_tools_that_watch_go_on_watching(kind, tmp_path):
    with ours_under(kind, tmp_path) as daemon:
        assert said(daemon, "pmval", "-s", "3", "-t", "10msec", "sample.load").split()[-3:] == ["42"] * 3
        named = said(daemon, "pmval", "-s", "1", "-i", "terry", "sample.needprofile")
        assert "12.05" in named
        rules = tmp_path / "rules"
        rules.write_text('some_inst sample.bin > 800 -> print "bin " "%i %v";\n')
        inferred = said(daemon, "pmie", "-c", rules, "-T", "10msec", "-t", "10msec")
        assert "bin-900 900" in inferred
        config, archive = tmp_path / "config", tmp_path / "archive"
        config.write_text("log mandatory on every 100 msec { sample }\n")
        stock("pmlogger", "-h", daemon.tcp, "-c", config, "-l", tmp_path / "log", "-s", "3", archive)
        dumped = stock("pmdumplog", archive).stdout
    assert all(f"({name})" in dumped for name in ("sample.load", "sample.wrap.long", "sample.secret.bar"))
