"""Stock's agents, C and Python, on pipes and sockets: under our pmcd they are what they are under stock's."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.stock_agents import OurPmcd, Pair, TheirPmcd, pair, said
from peers import Daemon, clean_environment, compiled_agent, free_port
from waiting import wait_until

C_AGENTS = ("root", "pmcd", "simple", "trivial.python", "sample", "linux", "proc", "xfs", "kvm", "jbd2", "mmv")
NAMES = (
    *("simple", "trivial", "sample", "kernel", "mem", "disk", "network", "filesys", "ipc", "nfs", "hinv"),
    *("cgroup", "xfs", "kvm", "jbd2", "mmv", "containers", "hotproc", "proc"),
)
WITH_STEADY_INSTANCES = tuple(name for name in NAMES if name not in ("proc", "hotproc"))
REDIRECTED = "sample.secret.foo.bar.max.redirect"
"""A name of sample's for a metric of pmcd's, which each daemon tells in its own words."""


@pytest.fixture(scope="module")
def agents() -> Iterator[Pair]:
    with pair(C_AGENTS) as both:
        yield both


def without_values(text: str) -> list[str]:
    return [re.sub(r" value .*", " value", line) for line in text.splitlines()]


def without_redirected(text: str) -> str:
    return re.sub(rf"^{re.escape(REDIRECTED)}.*?(?=^sample\.)", "", text, flags=re.MULTILINE | re.DOTALL)


def eventually_says(daemon: Daemon, what: str, *arguments: object) -> None:
    def text() -> str:
        return said(daemon, *map(str, arguments))

    wait_until(lambda: what in text(), text)


@pytest.mark.parametrize("name", NAMES)
def test_names_descriptors_and_texts_are_the_same(agents: Pair, name: str) -> None:
    ours, theirs = (said(each, "pminfo", "-d", "-m", "-t", "-T", name) for each in agents.both)
    assert f"{name}." in theirs
    assert without_redirected(ours) == without_redirected(theirs)


@pytest.mark.parametrize("name", WITH_STEADY_INSTANCES)
def test_instances_and_errors_of_a_fetch_are_the_same(agents: Pair, name: str) -> None:
    ours, theirs = (without_values(said(each, "pminfo", "-f", name)) for each in agents.both)
    assert ours == theirs


@pytest.mark.parametrize("name", WITH_STEADY_INSTANCES)
def test_labels_are_the_same(agents: Pair, name: str) -> None:
    ours, theirs = (without_redirected(said(each, "pminfo", "-l", name)) for each in agents.both)
    assert ours == theirs


@pytest.mark.parametrize("options", ["-v", "-I", "-i", "-f"])
def test_what_is_there_is_the_same(agents: Pair, options: str) -> None:
    ours, theirs = (
        said(each, "pmprobe", options, "sample.colour", "sample.bad", "simple", "mmv") for each in agents.both
    )
    assert ours == theirs if options != "-v" else _counts(ours) == _counts(theirs)


def _counts(text: str) -> list[list[str]]:
    """Name and number of values, without the values, which grow with each fetch."""
    return [line.split()[:2] for line in text.splitlines()]


def test_events_are_relayed_whole(agents: Pair) -> None:
    ours, theirs = (
        re.sub(r"\d\d:\d\d:\d\d\.\d+", "TIME", said(each, "pminfo", "-f", "-x", "sample.event")) for each in agents.both
    )
    assert "sample.event.param_string" in theirs
    assert without_values(ours) == without_values(theirs)


STORES = (
    ("sample.write_me", 7),
    ("sample.long.write_me", -13),
    ("sample.string.write_me", "a text with blanks"),
    ("sample.float.write_me", "2.5"),
    ("sample.double.write_me", "1e300"),
    ("sample.aggregate.write_me", "some bytes"),
    ("-i", "bin-500", "sample.bin", 3),
    ("-i", "red", "simple.color", 77),
    ("simple.color", 300),
    ("simple.numfetch", 5),
    ("sample.long.one", 2),
    ("sample.nosuch", 2),
    ("-i", "mauve", "simple.color", 2),
    ("sample.long.write_me", "text"),
    ("sample.secret.foo.one", 1),
    ("trivial.time", 1),
    ("kernel.all.load", 1),
    ("mmv.control.debug", 0),
    ("sample.needprofile", 1),
    ("sample.many.count", 7),
    ("sample.error_check", -12345),
)


@pytest.mark.parametrize("stored", STORES, ids=lambda stored: "-".join(map(str, stored)))
def test_a_store_succeeds_or_fails_in_the_same_words(agents: Pair, stored: tuple[object, ...]) -> None:
    ours, theirs = (_stored(each, stored) for each in agents.both)
    assert ours == theirs


def _stored(daemon: Daemon, stored: tuple[object, ...]) -> str:
    """What pmstore says of a store and pmprobe after it; what counts fetches and the time has no say in it."""
    said_of_it = said(daemon, "pmstore", *stored)
    seen = said(daemon, "pmprobe", "-v", stored[-2])
    if stored[-2] in ("simple.color", "simple.numfetch", "trivial.time", "kernel.all.load"):
        return re.sub(r"old value=\d+", "", said_of_it) + seen.split()[1]
    return said_of_it + seen


def test_an_error_that_an_agent_is_told_to_answer_is_passed_on(agents: Pair) -> None:
    seen = []
    for each in agents.both:
        said(each, "pmstore", "sample.error_code", "-12345")
        seen.append(
            said(each, "pminfo", "-d", "-f", "sample.error_check") + said(each, "pmprobe", "sample.error_check")
        )
        said(each, "pmstore", "sample.error_code", 0)
    assert "sample.error_check: pmLookupDesc: Generic error" in seen[1]
    assert seen[0] == seen[1]


def test_names_that_appear_by_a_store_appear(agents: Pair) -> None:
    seen = []
    for each in agents.both:
        before = said(each, "pminfo", "sample.ghosts")
        said(each, "pmstore", "sample.ghosts.visible", 1)
        seen.append([before, said(each, "pminfo", "-f", "-m", "sample.ghosts")])
        said(each, "pmstore", "sample.ghosts.visible", 0)
    assert seen[0] == seen[1]
    assert seen[1][0] != seen[1][1]


def test_what_an_agent_counts_for_each_client_is_the_same(agents: Pair) -> None:
    """It counts the PDUs that it got for a client: we send those that stock sends."""
    counts = "sample.percontext.pdu", "sample.percontext.recv_pdu", "sample.percontext.xmit_pdu"
    ours, theirs = (said(each, "pminfo", "-f", *counts) for each in agents.both)
    assert ours == theirs


def test_an_agent_that_is_not_ready_says_so_until_it_is(agents: Pair) -> None:
    """Asked for the status alone: with both, stock asks its own agent before it knows of the other's trouble."""
    for each in agents.both:
        said(each, "pmstore", "sample.not_ready", 1)
        assert "-12389 Try again" in said(each, "pmprobe", "-v", "sample.long.one")
        assert " 1 " in said(each, "pmprobe", "-v", "pmcd.agent.status").partition("11 ")[2]
        eventually_says(each, "sample.long.one 1 1", "pmprobe", "-v", "sample.long.one")
        assert said(each, "pmprobe", "-v", "pmcd.agent.status").split()[1:] == ["11", *["0"] * 11]


def test_an_agent_knows_the_account_of_a_client(agents: Pair) -> None:
    """pmdaproc tells values of processes by the UNIX socket, where the client is known, and to nobody by TCP."""
    parents = "pminfo", "-f", "proc.psinfo.ppid"
    for each in agents.both:
        assert 'inst [1 or "000001 ' in said(each, *parents, by="unix")
        assert "No permission to perform requested operation" in said(each, *parents, by="tcp")


def test_an_agent_that_ends_is_there_again(agents: Pair) -> None:
    for each in agents.both:
        said(each, "pmstore", "sample.control", -1)
        eventually_says(each, "sample.long.one 1 1", "pmprobe", "-v", "sample.long.one")
        eventually_says(each, " ".join(["11", *["0"] * 11]), "pmprobe", "-v", "pmcd.agent.status")


def told_by_a_socket_agent(kind: type[OurPmcd | TheirPmcd], option: str, where: object) -> str:
    family = {"-i": "inet", "-6": "ipv6", "-u": "unix"}[option]
    line = f"simple 253 socket {family} {where} {compiled_agent('simple')} -d 253 {option} {where}\n"
    with kind(["pmcd", "names of simple"], more=line) as daemon:
        return said(daemon, "pminfo", "-f", "-m", "-l", "simple.color") + said(daemon, "pmprobe", "pmcd.agent.type")


@pytest.fixture(scope="module")
def theirs_on_a_socket() -> str:
    return told_by_a_socket_agent(TheirPmcd, "-i", free_port())


@pytest.mark.parametrize("option", ["-i", "-6", "-u"])
def test_an_agent_on_a_socket_is_started_and_connected_to(option: str, tmp_path: Path, theirs_on_a_socket: str) -> None:
    where = tmp_path / "simple.socket" if option == "-u" else free_port()
    assert 'inst [2 or "blue"] value 201' in theirs_on_a_socket
    assert told_by_a_socket_agent(OurPmcd, option, where) == theirs_on_a_socket


def test_an_agent_on_a_socket_that_runs_already_is_connected_to_and_left_running(tmp_path: Path) -> None:
    port = free_port()
    command = [str(compiled_agent("simple")), "-d", "253", "-i", str(port), "-l", str(tmp_path / "log")]
    with subprocess.Popen(command, env=clean_environment(), cwd=tmp_path) as agent:
        try:
            with OurPmcd(["pmcd", "names of simple"], more=f"simple 253 socket inet {port}\n") as daemon:
                eventually_says(daemon, "value", "pminfo", "-f", "simple.numfetch")
            assert agent.poll() is None or agent.returncode == 0  # it may end by itself when its connection ends
        finally:
            agent.kill()


def test_agents_in_python_are_the_same() -> None:
    with pair(["pmcd", "simple.python"]) as both:
        for arguments in (["-d", "-m", "-t", "-T"], ["-l"], ["-f"]):
            ours, theirs = (said(each, "pminfo", *arguments, "simple") for each in both.both)
            if arguments == ["-f"]:
                assert without_values(ours) == without_values(theirs)
            else:
                assert ours == theirs
        for stored in STORES:
            if str(stored[-2]).startswith("simple."):
                ours, theirs = (_stored(each, stored) for each in both.both)
                assert ours == theirs
