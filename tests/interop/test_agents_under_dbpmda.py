"""Our agents through every command of stock's dbpmda, beside stock's agents of the same names."""

import difflib
import os
import re
import signal
import socket
import struct
import subprocess

import pytest

from interop.agents import PMDAS, SERVE, STOCK_SAMPLE, dbpmda, open_ours
from peers import clean_environment, compiled_agent, free_port, require
from pypcp.model.ids import InDom
from pypcp.wire.handshake import Creds
from pypcp.wire.instance import InstanceRequest
from pypcp.wire.pdu import PduType, encode
from waiting import wait_until

SIMPLE_NAMES = f"{PMDAS}/simple/root"
SAMPLE_NAMES = f"{PMDAS}/sample/root"

SIMPLE = [
    "desc simple.numfetch",
    "desc simple.color",
    "desc simple.time.user",
    "desc simple.time.sys",
    "desc simple.now",
    "desc 253.9.9",
    "getdesc on",
    "getiname on",
    "fetch simple.numfetch simple.color",
    "fetch simple.color",
    "fetch 253.9.9",
    "label instances 253.0",
    "profile 253.0 none",
    "profile 253.0 add 1",
    "fetch simple.numfetch",
    "label instances 253.0",
    "profile 253.0 delete 1",
    "profile 253.0 all",
    'store simple.color "250"',
    'store simple.color "300"',
    'store simple.numfetch "7"',
    'store simple.time.user "1"',
    "fetch simple.numfetch",
    "instance 253.0",
    "instance 253.0 1",
    'instance 253.0 "green"',
    'instance 253.0 "mauve"',
    "instance 253.0 9",
    "instance 253.1",
    "instance 253.9",
    "label context",
    "label domain",
    "label indom 253.0",
    "label indom 253.1",
    "label indom 253.9",
    "label cluster 253.0",
    "label item simple.color",
    "label instances 253.1",
    'attr "username" "somebody"',
    "attr 11 1000",
    "status",
]


def told_apart_by(text: str) -> str:
    """Without what differs from run to run: addresses in memory, times, how the agent was started."""
    text = re.sub(r"0x[0-9a-f]{6,}", "0x", text)
    text = re.sub(r"timestamp: [^ ]+ [^ ]+", "timestamp:", text)
    text = re.sub(r"(?m)^(Start|PMDA = |Connection|\s+PMDA:|PMDA:).*$", "", text)
    return re.sub(r"(253\.1\.[23].*?\n\s+value|\[0\]: |253\.1\.2: )[\d. e+-]+", r"\1", text)


def differences(ours: str, theirs: str) -> str:
    """Lines that only one of the two has printed."""
    both = [told_apart_by(text).splitlines() for text in (theirs, ours)]
    return "\n".join(difflib.unified_diff(*both, "stock", "ours", n=1, lineterm=""))


def test_simple_answers_every_command_as_stocks_simple_does(tmp_path):
    theirs = dbpmda(f"open pipe {compiled_agent('simple')} -d 253 -l {tmp_path}/log", *SIMPLE, names=SIMPLE_NAMES)
    ours = dbpmda(open_ours("simple", tmp_path), *SIMPLE, names=SIMPLE_NAMES)
    assert "Error PDU" in theirs
    assert differences(ours, theirs) == ""


def test_samples_instances_labels_and_secret_names_are_stocks(tmp_path):
    require(os.access(STOCK_SAMPLE, os.X_OK), "stock's sample agent")
    indoms = [f"29.{serial}" for serial in (1, 2, 8, 10)]
    commands = ["label domain", "label cluster 29.0", "label cluster 29.1"]
    commands += [f"{what} {indom}" for indom in indoms for what in ("instance", "label indom", "label instances")]
    commands += ["children sample.secret", "children sample.secret.foo"]
    commands += ["profile 29.2 none", "fetch sample.bin", "profile 29.2 add 300", "fetch sample.bin"]
    commands += ["profile 29.2 delete 300", "profile 29.2 all", "fetch sample.bin"]
    commands += ["pmid sample.secret.foo.one", "name 29.0.1001", "children sample.secret.foo.one"]
    theirs = dbpmda(f"open pipe {STOCK_SAMPLE} -d 29 -l {tmp_path}/log", *commands, names=SAMPLE_NAMES)
    ours = dbpmda(open_ours("sample", tmp_path), *commands, names=SAMPLE_NAMES)
    assert differences(ours, theirs) == ""


def test_names_and_texts_come_from_the_agent_itself(tmp_path):
    printed = dbpmda(
        open_ours("simple", tmp_path),
        "children simple",
        "traverse simple.time",
        "pmid simple.time.user",
        "name 253.1.2",
        "text simple.numfetch",
        "text indom 253.0",
        "pmid simple.nosuch",
        "name 253.7.7",
        names=SIMPLE_NAMES,
    )
    assert "       leaf numfetch\n       leaf color\n   non-leaf time\n       leaf now" in printed
    assert "   simple.time.user\n   simple.time.sys\n" in printed
    assert "   253.1.2\n" in printed
    assert "[Fetches that this agent has answered]" in printed
    assert "[Three colors]" in printed
    assert printed.count("Error PDU: Unknown metric name") == 1
    assert printed.count("Error PDU: Unknown or illegal metric identifier") == 1


def test_the_domain_can_be_another_one(tmp_path):
    assert "400.0.0" in dbpmda(open_ours("trivial", tmp_path, "-d", "400"), "pmid trivial.time")


@pytest.mark.parametrize("transport", ["inet", "ipv6", "unix"])
def test_an_agent_can_be_connected_to_on_every_kind_of_socket(tmp_path, transport):
    place = tmp_path / "agent.socket" if transport == "unix" else free_port()
    option = {"inet": "-i", "ipv6": "-6", "unix": "-u"}[transport]
    agent = subprocess.Popen([*SERVE, "trivial", option, str(place), "--state", str(tmp_path)], env=clean_environment())
    with agent:
        try:
            wait_until_it_listens(transport, place)
            assert "trivial" in dbpmda(f"open socket {transport} {place}", "traverse trivial")
            assert agent.wait(10) == 0
        finally:
            agent.kill()


def wait_until_it_listens(transport, place) -> None:
    """By looking, not by connecting: the agent takes one connection only."""

    def listens() -> bool:
        if transport == "unix":
            return place.exists()
        with open("/proc/net/tcp6" if transport == "ipv6" else "/proc/net/tcp") as file:
            return any(f":{place:04X} 0" in line and " 0A " in line for line in file)

    wait_until(listens, f"an agent listens on {place}")


def test_printing_and_child_processes_do_not_reach_the_daemon(tmp_path):
    agent = tmp_path / "noisy.py"
    agent.write_text(
        "import os, subprocess\n"
        "from pypcp.pmda import Agent\n"
        'print("imported")\n'
        'agent = Agent("noisy", 300)\n'
        "@agent.metric()\n"
        "def value() -> int:\n"
        '    print("asked", flush=True)\n'
        '    os.write(1, b"raw\\n")\n'
        '    subprocess.run(["echo", "from a child"], check=True)\n'
        "    return 42\n"
    )
    printed = dbpmda(open_ours(agent, tmp_path), "fetch 300.0.0", "fetch 300.0.0")
    assert printed.count("value 42") == 2
    log = finished_log(tmp_path / "agent.log")
    assert all(words in log for words in ("imported", "asked", "raw", "from a child"))
    assert re.match(r"Log for pmdanoisy on \S+ started \w{3} \w{3} .*\n\n", log)


def finished_log(path) -> str:
    """The log of an agent that ends after dbpmda has."""
    wait_until(lambda: re.search(r"\nLog finished \w{3} \w{3} .*\n$", path.read_text()), path.read_text)
    return path.read_text()


def test_an_agent_that_cannot_be_imported_ends_with_one_clear_word_in_its_log(tmp_path):
    agent = tmp_path / "broken.py"
    agent.write_text("import nothing_of_this_name\n")
    run = subprocess.run([*SERVE, str(agent), "-l", str(tmp_path / "log")], stdin=subprocess.DEVNULL, timeout=20)
    assert run.returncode == 1
    assert "nothing_of_this_name" in (tmp_path / "log").read_text()


def test_a_daemon_that_dies_leaves_no_agent_behind(tmp_path):
    ours, theirs = socket.socketpair()
    with theirs, ours:
        agent = subprocess.Popen([*SERVE, "simple", "--state", str(tmp_path)], stdin=theirs, stdout=theirs)
        assert ours.recv(20, socket.MSG_WAITALL)[:8].hex() == "000000140000700c"
    with agent:
        assert agent.wait(10) in (0, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_agent_in_good_order_and_its_numbers_are_kept(tmp_path, number):
    agent = tmp_path / "kept.py"
    agent.write_text(
        "from pypcp.pmda import Agent\n"
        'agent = Agent("kept", 300)\n'
        "things = agent.indom(0, members=list, persistent=True)\n"
        "@agent.source()\n"
        "def source() -> dict[str, int]:\n"
        '    return {"one": 1, "two": 2}\n'
        "@source.metric(indom=things)\n"
        "def thing(now: dict[str, int]) -> dict[str, int]:\n"
        "    return now\n"
    )
    log = tmp_path / "log"
    ours, theirs = socket.socketpair()
    command = [*SERVE, str(agent), "--state", str(tmp_path / "state"), "-l", str(log)]
    with theirs, ours, subprocess.Popen(command, stdin=theirs, stdout=theirs) as process:
        ours.recv(20, socket.MSG_WAITALL)
        ours.sendall(encode(Creds()) + encode(InstanceRequest(InDom.build(300, 0))))
        assert ours.recv(8, socket.MSG_WAITALL)[4:] == struct.pack(">i", PduType.INSTANCE)
        process.send_signal(signal.SIGHUP)
        process.send_signal(number)
        assert process.wait(10) == 128 + number
    assert "Traceback" not in finished_log(log)
    assert [line.split()[::2] for line in (tmp_path / "state" / "300.0").read_text().splitlines()[1:]] == [
        ["0", "one"],
        ["1", "two"],
    ]
