"""The helper as a whole, as an ordinary user may run it: who is served, what may be started, what is refused."""

import contextlib
import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.served import Helper, children, gone, open_folder, status
from pypcp.errors import ContainerNotFound, OsError, PermissionDenied
from pypcp.pmda.rootclient import RootClient
from pypcp.root.control import WRITE_LIMIT_S
from pypcp.wire.root import (
    AgentIpc,
    Kind,
    LookupReply,
    LookupRequest,
    StartReply,
    StartRequest,
    StopReply,
    StopRequest,
    decode,
    encode,
)
from waiting import wait_until

AGENTS = """\
# agents of this test
cat     150 pipe binary /bin/cat
sleeper 151 pipe binary notready /bin/sleep 1000
listen  152 socket unix /run/nowhere /bin/sleep 1001
quick   153 pipe binary /bin/true
failing 154 pipe binary /bin/false
missing 155 pipe binary /no/such/program -d 155
script  156 pipe binary {folder}/agent.sh one "two words"
[access]
allow "*" : all;
evil    157 pipe binary /bin/true
"""


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    script = tmp_path / "agent.sh"
    script.write_text('#!/bin/sh\necho "$#:$1:$2:$PATH:${SECRET-none}:${PCP_TMP_DIR-none}"\nexec /bin/cat\n')
    script.chmod(0o700)
    policy = 'starts-per-minute = 60\n[agents.denied]\ncommand = "/bin/true"\ndeny = true\n'
    with Helper(tmp_path, agents=AGENTS.format(folder=tmp_path), policy=policy, SECRET="s", PCP_TMP_DIR="/t") as served:
        yield served


def ended(connection: socket.socket) -> bool:
    """Whether the helper closed the connection, as it does without a word."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_configured_agent_is_started_and_speaks_through_the_descriptors_passed(helper: Helper) -> None:
    with helper.client() as client:
        agent = client.process_start("cat", "/bin/cat")
        os.write(agent.stdin, b"hello")
        assert os.read(agent.stdout, 100) == b"hello"
        os.close(agent.stdin)
        assert os.read(agent.stdout, 100) == b""
        os.close(agent.stdout)
        wait_until(lambda: client.process_wait() == (agent.pid, 0), "the status of the agent")
        with pytest.raises(OsError) as none_left:
            client.process_wait()
        assert none_left.value.code == -errno.ECHILD


def test_descriptors_arrive_closed_for_programs_that_we_execute(helper: Helper) -> None:
    with helper.client() as client:
        agent = client.process_start("cat", "/bin/cat")
        assert not os.get_inheritable(agent.stdin)
        assert not os.get_inheritable(agent.stdout)
        os.close(agent.stdin)
        os.close(agent.stdout)


def test_an_agent_gets_its_words_as_configured_and_none_of_the_callers_environment(helper: Helper) -> None:
    script = helper.folder / "agent.sh"
    with helper.client() as client:
        agent = client.process_start("script", f"{script} one two words")
        said = os.read(agent.stdout, 1000).decode().strip().split(":")
        assert said[:3] == ["2", "one", "two words"]
        assert said[-2:] == ["none", "/t"]
        os.close(agent.stdin)
        os.close(agent.stdout)


def test_an_agent_has_three_descriptors_its_own_session_and_no_ignored_signals(helper: Helper) -> None:
    with helper.client() as client:
        agent = client.process_start("sleeper", "/bin/sleep 1000")
        wait_until(lambda: Path(f"/proc/{agent.pid}/comm").read_text() == "sleep\n", "exec")
        assert sorted(os.listdir(f"/proc/{agent.pid}/fd")) == ["0", "1", "2"]
        assert os.getsid(agent.pid) == agent.pid
        facts = status(agent.pid)
        # Signals 32 and 33 are the C library's own: what it was started with stays, and nobody can send them.
        assert int(facts["SigIgn"], 16) & ~0x1_8000_0000 == 0
        assert int(facts["SigBlk"], 16) == 0
        assert facts["Umask"] == "0022"
        assert os.readlink(f"/proc/{agent.pid}/cwd") == str(helper.folder / "agents")
        os.close(agent.stdin)
        os.close(agent.stdout)
        client.process_terminate(agent.pid, force=True)
        wait_until(lambda: gone(agent.pid), "the end of the agent")


def test_a_socket_agent_is_started_without_descriptors(helper: Helper) -> None:
    with helper.client() as client:
        agent = client.process_start("listen", "/bin/sleep 1001", AgentIpc.SOCKET)
        assert (agent.stdin, agent.stdout) == (-1, -1)
        assert os.readlink(f"/proc/{agent.pid}/fd/0") == "/dev/null"
        client.process_terminate(agent.pid)
        wait_until(lambda: client.process_wait() == (agent.pid, signal.SIGTERM), "the signal in its status")


@pytest.mark.parametrize(
    ("label", "command", "ipc"),
    [
        ("cat", "/bin/cat /etc/shadow", AgentIpc.PIPE),
        ("cat", "/bin/cat ", AgentIpc.PIPE),
        ("cat", " /bin/cat", AgentIpc.PIPE),
        ("cat", "cat", AgentIpc.PIPE),
        ("cat", "/bin/cat", AgentIpc.SOCKET),
        ("sleeper", "/bin/cat", AgentIpc.PIPE),
        ("CAT", "/bin/cat", AgentIpc.PIPE),
        ("evil", "/bin/true", AgentIpc.PIPE),
        ("denied", "/bin/true", AgentIpc.PIPE),
        ("x", "/bin/sh -c id>/tmp/owned", AgentIpc.PIPE),
        ("x", "sh -c id", AgentIpc.PIPE),
        ("cat\nstart uid=0", "/bin/cat", AgentIpc.PIPE),
    ],
)
def test_nothing_but_what_is_configured_is_started(helper: Helper, label: str, command: str, ipc: AgentIpc) -> None:
    with helper.client() as client, pytest.raises(PermissionDenied):
        client.process_start(label, command, ipc)
    assert len(children(helper.starter)) == 2
    [refusal] = [line for line in helper.record if "start-refused" in line]
    assert "\n" not in refusal
    assert refusal.isascii()


def test_a_program_that_is_not_there_is_an_error_of_the_start(helper: Helper) -> None:
    with helper.client() as client:
        with pytest.raises(OsError) as caught:
            client.process_start("missing", "/no/such/program -d 155")
        assert caught.value.code == -2


def test_a_program_that_others_may_write_is_not_started(helper: Helper) -> None:
    script = helper.folder / "agent.sh"
    script.chmod(0o722)
    with helper.client() as client:
        with pytest.raises(OsError) as caught:
            client.process_start("script", f"{script} one two words")
        assert caught.value.code == -13
    assert "writable by others" in helper.record[-1]


def test_fifty_quick_children_have_fifty_statuses_and_nobody_else_sees_one(helper: Helper) -> None:
    with helper.client() as client:
        started = []
        for _ in range(25):
            for label, command in (("quick", "/bin/true"), ("failing", "/bin/false")):
                agent = client.process_start(label, command)
                os.close(agent.stdin)
                os.close(agent.stdout)
                started.append(agent.pid)
        with helper.outsider() as other:
            other.connection.sendall(encode(StopRequest(-1, force=False)))
            assert ended(other.connection)
        statuses: dict[int, int] = {}

        def collect() -> bool:
            with contextlib.suppress(OsError):
                if ended := client.process_wait():
                    statuses.update([ended])
            return len(statuses) == 50

        wait_until(collect, "50 statuses")
        assert statuses == {pid: (0, 256)[at % 2] for at, pid in enumerate(started)}


def test_more_starts_of_one_agent_than_the_policy_has_are_refused(helper: Helper) -> None:
    with helper.client() as client:
        for _ in range(60):
            agent = client.process_start("quick", "/bin/true")
            os.close(agent.stdin)
            os.close(agent.stdout)
        with pytest.raises(OsError) as caught:
            client.process_start("quick", "/bin/true")
        assert caught.value.code == -11


def test_only_live_children_of_ours_can_be_terminated(helper: Helper) -> None:
    bystander = os.spawnv(os.P_NOWAIT, "/bin/sleep", ["sleep", "1000"])
    try:
        with helper.raw() as connection:
            for pid in (
                bystander,
                os.getpid(),
                helper.starter,
                helper.process.pid,
                1,
                0,
                -1,
                -bystander,
                2**31 - 1,
                -(2**31),
            ):
                for force in (True, False) if pid > 0 else (True,):
                    connection.sendall(encode(StopRequest(pid, force)))
                    reply = decode(connection.recv(100))
                    assert isinstance(reply, StopReply)
                    assert reply.status in (-3, -22), pid
        assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
        assert helper.process.poll() is None
    finally:
        os.kill(bystander, signal.SIGKILL)
        os.waitpid(bystander, 0)


def test_a_peer_that_is_not_the_daemon_can_start_and_end_nothing(helper: Helper) -> None:
    for request in (
        StartRequest(b"cat", b"/bin/cat"),
        StopRequest(helper.starter, force=True),
        StopRequest(-1, force=False),
    ):
        with helper.outsider() as other:
            assert len(other.greeting) == 24
            other.connection.sendall(encode(request))
            assert ended(other.connection)
    assert len(children(helper.starter)) == 2


def test_requests_in_one_write_have_as_many_replies_in_order(helper: Helper) -> None:
    requests = [LookupRequest(kind, b"nosuch%d" % at, at) for at, kind in enumerate([0x9001, 0x9003, 0x9005] * 5)]
    expected = b"".join(
        encode(LookupReply(request.kind + 1, ContainerNotFound.code, request.pid)) for request in requests
    )
    with helper.raw() as ours, helper.outsider() as other:
        for connection in (ours, other.connection):
            connection.sendall(b"".join(map(encode, requests)))
            got = b""
            while len(got) < len(expected):
                got += connection.recv(len(expected) - len(got))
            assert got == expected


@pytest.mark.parametrize("message", [LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch"), StopRequest(-1, force=False)])
def test_a_request_may_be_cut_anywhere(helper: Helper, message: LookupRequest | StopRequest) -> None:
    raw = encode(message)
    with helper.raw() as connection:
        for cut in range(1, len(raw)):
            connection.sendall(raw[:cut])
            connection.sendall(raw[cut:])
            assert len(connection.recv(100)) in (24, 32)


GARBAGE = [
    b"\0" * 64,
    b"GET / HTTP/1.0\r\n\r\n" + b"x" * 20,
    struct.pack("=IiiIii", 0x9003, 30, 0, 2, 0, -1) + b"nosuch",
    struct.pack("=IiiIii", 0x9003, 30, 0, 2, 0, 3000) + b"nosuch",
    struct.pack("=IiiIii", 0x9003, 30, 0, 3, 0, 6) + b"nosuch",
    struct.pack("=IiiIii", 0x9003, 24, 0, 2, 0, 0),
    struct.pack("=IiiIii", 0x9003, 30, -1, 2, 0, 6) + b"nosuch",
    struct.pack("=IiiI", 0x9007, 104 + 7900, 0, 2) + b"A" * 8000,
    encode(LookupReply(Kind.PROCESSID, 0, 1)),
    encode(StartReply(0, 1, b"x")),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_whoever_breaks_the_rules_is_disconnected_and_nobody_else_notices(helper: Helper, garbage: bytes) -> None:
    with helper.raw() as ours, helper.outsider() as bad, helper.outsider() as good:
        for connection in (ours, bad.connection):
            with contextlib.suppress(OSError):
                connection.sendall(garbage)
            assert ended(connection)
        reply = good.ask(LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch"))
        assert reply == LookupReply(Kind.PROCESSID, ContainerNotFound.code, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at the helper's descriptors")
def test_descriptors_that_a_peer_sends_are_not_taken(helper: Helper) -> None:
    with helper.raw() as connection, helper.outsider() as other:
        for sender, process in ((connection, helper.starter), (other.connection, helper.workers["resolver"])):
            before = os.listdir(f"/proc/{process}/fd")
            for _ in range(20):
                socket.send_fds(sender, [encode(LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch"))], [0, 1, 2])
                assert len(sender.recv(100)) == 24
            assert len(os.listdir(f"/proc/{process}/fd")) == len(before)


def test_a_name_of_4095_bytes_is_unknown_and_a_longer_one_the_end(helper: Helper) -> None:
    with helper.outsider() as other:
        assert other.ask(LookupRequest(Kind.HOSTNAME_REQUEST, b"n" * 4095)) == LookupReply(
            0x9002, ContainerNotFound.code, 0
        )
        other.connection.sendall(struct.pack("=IiiIii", 0x9001, 24 + 4096, 0, 2, 0, 4096) + b"n" * 4096)
        assert ended(other.connection)


def test_a_client_that_never_reads_holds_up_nobody(helper: Helper) -> None:
    request = encode(LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch"))
    with helper.raw() as deaf, helper.outsider() as deaf_too, helper.outsider() as other:
        for connection in (deaf, deaf_too.connection):
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                while True:
                    connection.send(request * 100)
        for _ in range(20):
            before = time.monotonic()
            other.ask(LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch"))
            assert time.monotonic() - before < WRITE_LIMIT_S


def test_half_a_request_is_waited_for_only_so_long(helper: Helper) -> None:
    with helper.raw() as ours, helper.outsider() as other:
        for connection in (ours, other.connection):
            connection.sendall(encode(StopRequest(-1, force=False))[:10])
        assert ended(ours)
        assert ended(other.connection)


def test_any_worker_may_be_killed_and_clients_notice_nothing(helper: Helper) -> None:
    question, answer = LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch"), LookupReply(0x9004, ContainerNotFound.code, 0)
    with helper.outsider() as other, helper.client() as client:
        agent = client.process_start("cat", "/bin/cat")
        for name in ("resolver", "reader", "resolver"):
            wait_until(lambda: len(helper.workers) == 2, "two workers")
            victim = helper.workers[name]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: gone(victim), "its end")  # type: ignore[misc]
            assert other.ask(question) == answer  # by its successor; nobody else's limit is on this connection
            with pytest.raises(ContainerNotFound):
                client.container_pid("nosuch")
        os.write(agent.stdin, b"alive")
        assert os.read(agent.stdout, 10) == b"alive"
        os.close(agent.stdin)
        os.close(agent.stdout)


def test_a_killed_starter_comes_back_with_its_children(helper: Helper) -> None:
    with helper.client() as client:
        agent = client.process_start("cat", "/bin/cat")
        victim = helper.starter
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: gone(victim) and helper.log.count("resolver-ready") == 2, "a new starter and its workers")
        os.write(agent.stdin, b"alive")
        assert os.read(agent.stdout, 10) == b"alive"
        assert client.process_wait() is None
        client.process_terminate(agent.pid)
        wait_until(lambda: client.process_wait() == (agent.pid, signal.SIGTERM), "the status of the adopted agent")
        again = client.process_start("cat", "/bin/cat")
        for fd in (agent.stdin, agent.stdout, again.stdin, again.stdout):
            os.close(fd)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at the helper's descriptors")
def test_guards_that_are_killed_leave_their_successors_no_descriptor(helper: Helper) -> None:
    with helper.client() as client:
        agent = client.process_start("cat", "/bin/cat")
        guard, successor, open_before = helper.process.pid, helper.starter, descriptors(helper.process.pid)
        for killed in (1, 2, 3):
            os.kill(guard, signal.SIGKILL)
            wait_until(lambda killed=killed: helper.log.count("resolver-ready") == 1 + killed, "a new starter")  # type: ignore[misc]
            guard, [successor] = successor, [pid for pid in children(successor) if pid != agent.pid]
            assert descriptors(guard) <= open_before
        os.write(agent.stdin, b"alive")
        assert os.read(agent.stdout, 10) == b"alive"
        os.kill(guard, signal.SIGTERM)
        wait_until(lambda: gone(guard), "the end")
        os.close(agent.stdin)
        os.close(agent.stdout)


def test_stocks_agents_find_the_helper_where_it_is_and_all_else_where_stock_has_it(tmp_path: Path) -> None:
    stock = tmp_path / "stock"
    (stock / "pmcd").mkdir(parents=True)
    (stock / "pmcd" / "root.socket").write_text("another helper's")
    (stock / "pmcd" / "other").write_text("other")
    (stock / "names").write_text("names")
    script = tmp_path / "agent.sh"
    script.write_text('#!/bin/sh\necho "$PCP_VAR_DIR"\nexec /bin/cat\n')
    script.chmod(0o700)
    with Helper(tmp_path, agents=f"script 150 pipe binary {script}\n", PCP_VAR_DIR=str(stock)) as helper:
        with helper.client() as client:
            agent = client.process_start("script", str(script))
            seen = Path(os.read(agent.stdout, 1000).decode().strip())
            os.close(agent.stdin)
            os.close(agent.stdout)
        assert ((seen / "names").read_text(), (seen / "pmcd" / "other").read_text()) == ("names", "other")
        with RootClient(seen / "pmcd" / "root.socket") as client, pytest.raises(ContainerNotFound):
            client.container_pid("nosuch")
        helper.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("policy-loaded" in line for line in helper.record), "the view made anew")
        assert (seen / "names").read_text() == "names"


class Cramped(Helper):
    """One that may open few files, and so serves few clients: 100."""

    def command(self) -> list[str]:
        return ["/bin/sh", "-c", 'ulimit -n 400; exec "$@"', "sh", *super().command()]


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")
def test_no_account_takes_every_place(open_to_all: Path) -> None:
    helper = Cramped(open_to_all)
    helper.policy.write_text(f'agent-files = ["{helper.configuration}"]\nlookup-accounts = ["nobody", "daemon"]\n')
    open_to_all.chmod(0o755)
    code = (
        "import os, pwd, socket, sys\n"
        "os.setgroups([]); os.setuid(pwd.getpwnam(sys.argv[2]).pw_uid)\n"
        "places = [socket.socket(socket.AF_UNIX) for _ in range(60)]\n"
        "for place in places: place.connect(sys.argv[1])\n"
        "print(sum(len(place.recv(24)) == 24 for place in places), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with helper, contextlib.ExitStack() as greedy:
        helper.socket.parent.chmod(0o755)
        helper.socket.chmod(0o666)
        for account in ("nobody", "daemon"):
            command = [sys.executable, "-I", "-c", code, str(helper.socket), account]
            taker = greedy.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            assert taker.stdout is not None
            assert taker.stdout.readline() == b"25\n"
        with helper.outsider() as root:
            assert len(root.greeting) == 24


def test_a_second_helper_refuses_the_place_of_a_living_one_and_takes_that_of_a_dead_one(helper: Helper) -> None:
    second = Helper(helper.folder, agents="")
    with pytest.raises(AssertionError, match="another pmdaroot serves there"), second:
        pass
    with helper.client() as client, pytest.raises(ContainerNotFound):
        client.container_pid("nosuch")


def test_a_policy_that_others_may_write_is_refused(tmp_path: Path) -> None:
    helper = Helper(tmp_path)
    helper.policy.chmod(0o622)
    with pytest.raises(AssertionError, match=r"policy\.toml is writable by others"), helper:
        pass


def test_the_policy_is_read_again_on_sighup_and_a_bad_one_changes_nothing(helper: Helper) -> None:
    with helper.client() as client:
        helper.policy.write_text(f'agent-files = ["{helper.configuration}"]\n[agents.cat]\ndeny = true\n')
        helper.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("policy-loaded" in line for line in helper.record), "the new policy")
        with pytest.raises(PermissionDenied):
            client.process_start("cat", "/bin/cat")
        helper.policy.write_text("agent-files = 7\n")
        helper.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("policy-kept" in line for line in helper.record), "the refusal")
        with pytest.raises(PermissionDenied):
            client.process_start("cat", "/bin/cat")


def test_a_starter_that_comes_back_goes_by_the_policy_that_was_read_again(helper: Helper) -> None:
    with helper.client() as client:
        helper.policy.write_text(f'agent-files = ["{helper.configuration}"]\n[agents.cat]\ndeny = true\n')
        helper.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("policy-loaded" in line for line in helper.record), "the new policy")
        victim, ready = helper.starter, helper.log.count("resolver-ready")
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: gone(victim) and helper.log.count("resolver-ready") > ready, "a new starter and its workers")
        with pytest.raises(PermissionDenied):
            client.process_start("cat", "/bin/cat")


def test_everything_privileged_is_on_record_in_one_line_each(helper: Helper) -> None:
    with helper.client() as client:
        agent = client.process_start("cat", "/bin/cat")
        client.process_terminate(agent.pid, force=True)
        wait_until(lambda: client.process_wait() == (agent.pid, 9), "its status")
        with pytest.raises(PermissionDenied):
            client.process_start("forged", "x\n2026 pmdaroot start uid=0 \x1b[31m" + "A" * 3000)
        os.close(agent.stdin)
        os.close(agent.stdout)
    events = [line.split(": ", 1)[1].split(" ")[0] for line in helper.record]
    assert events == ["environment-trusted", "start", "stop", "agent-ended", "start-refused"]
    assert all(len(line) < 1500 for line in helper.record)
