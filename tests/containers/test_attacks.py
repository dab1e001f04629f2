"""The attacks that work on stock's pmdaroot, tried on ours as the attacker: another account, without capabilities.

What needs no second account is in tests/unit/root/test_helper.py: any command (P1, P2), signals to strangers (P3),
lengths that lie (P6, P7), split and glued requests (P10), forged log lines (P12), lost statuses (P13, P14), what a
child inherits (P15), programs that are not there (P17). What the confined processes can do at all: test_confinement.py.
"""

import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.served import Helper, children, gone, open_folder, status
from peers import require
from pypcp.errors import ContainerNotFound, OsError, PermissionDenied
from pypcp.wire.root import Kind, LookupReply, LookupRequest, StartRequest, StopRequest, encode
from waiting import wait_until

pytestmark = pytest.mark.interop
AGENTS = "cat 150 pipe binary /bin/cat\ntrue 151 pipe binary /bin/true\n"
PACKAGES = str(Path(sys.modules["pypcp"].__file__ or "").parents[1])

ATTACK = """
import os, socket, sys
path, uid, request = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(path)
    greeting = connection.recv(24)
    if greeting and request:
        connection.sendall(request)
    print(greeting.hex(), connection.recv(5000).hex() if greeting and request else "")
except OSError as error:
    print("failed", error.errno)
"""


@pytest.fixture
def helper() -> Iterator[Helper]:
    require(os.geteuid() == 0, "root, to attack as somebody else")
    with open_folder() as folder, Helper(folder, agents=AGENTS) as served:
        folder.chmod(0o755)
        yield served


def attack(helper: Helper, account: str, request: bytes = b"", *wrapper: str) -> list[str]:
    """What a process of that account gets: the greeting and the answer, in hex, or the failure."""
    uid = str(pwd.getpwnam(account).pw_uid)
    words = [*wrapper, sys.executable, "-I", "-S", "-c", ATTACK, str(helper.socket), uid, request.hex()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    return done.stdout.split()


def open_up(helper: Helper) -> None:
    """What an administrator may get wrong: everybody reaches the socket."""
    helper.socket.parent.chmod(0o755)
    helper.socket.chmod(0o666)


def test_p4_another_account_does_not_reach_the_socket(helper: Helper) -> None:
    assert attack(helper, "nobody") == ["failed", "13"]
    assert oct(helper.socket.stat().st_mode)[-3:] == "660"


def test_p4_another_account_gets_nothing_even_where_it_reaches_the_socket(helper: Helper) -> None:
    open_up(helper)
    request = encode(LookupRequest(Kind.HOSTNAME_REQUEST, b"any"))
    assert attack(helper, "nobody", request) == []
    assert attack(helper, "daemon", request) == []
    assert sum("client-refused" in line for line in helper.record) == 2


def test_p1_the_account_that_may_look_up_can_start_and_end_nothing(tmp_path: Path, helper: Helper) -> None:
    helper.policy.write_text(f'agent-files = ["{helper.configuration}"]\nlookup-accounts = ["nobody"]\n')
    helper.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any("policy-loaded" in line for line in helper.record), "the policy")
    open_up(helper)
    owned = tmp_path / "owned"
    [greeting, answer] = attack(helper, "nobody", encode(LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch")))
    assert len(greeting) == 48
    assert bytes.fromhex(answer) == encode(LookupReply(Kind.PROCESSID, ContainerNotFound.code, 0))
    for request in (
        StartRequest(b"cat", b"/bin/cat"),
        StartRequest(b"sh", f"/bin/sh -c id>{owned}".encode()),
        StopRequest(helper.starter, force=True),
        StopRequest(-1, force=False),
    ):
        assert attack(helper, "nobody", encode(request)) in ([greeting], ["failed", "104"])
    assert not owned.exists()
    assert len(children(helper.starter)) == 2


def test_p1_the_accounts_own_look_up_cannot_name_a_process(helper: Helper) -> None:
    helper.policy.write_text('lookup-accounts = ["nobody"]\n')
    helper.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any("policy-loaded" in line for line in helper.record), "the policy")
    open_up(helper)
    [_, answer] = attack(helper, "nobody", encode(LookupRequest(Kind.HOSTNAME_REQUEST, b"", 1)))
    assert bytes.fromhex(answer) == encode(LookupReply(Kind.HOSTNAME, -1, 1))


@pytest.mark.parametrize("spaces", [["-U", "-r"], ["-m"], ["-p", "-f"]], ids=["user", "mount", "pid"])
def test_root_of_another_name_space_is_not_root(helper: Helper, spaces: list[str]) -> None:
    require(Path("/usr/bin/unshare").exists(), "unshare (Debian package util-linux)")
    request = encode(LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch"))
    assert attack(helper, "root", request, "/usr/bin/unshare", *spaces) in ([], ["failed", "1"])
    assert attack(helper, "root", request) != []


def test_p3_the_number_of_an_ended_child_belongs_to_nobody(helper: Helper) -> None:
    last_pid = Path("/proc/sys/kernel/ns_last_pid")
    require(os.access(last_pid, os.W_OK), "kernel.ns_last_pid")
    with helper.client() as client:
        agent = client.process_start("true", "/bin/true")
        os.close(agent.stdin)
        os.close(agent.stdout)
        wait_until(lambda: client.process_wait() == (agent.pid, 0), "its end")

        def taken_again() -> int:
            last_pid.write_text(str(agent.pid - 1))
            bystander = os.spawnv(os.P_NOWAIT, "/bin/sleep", ["sleep", "1000"])
            if bystander != agent.pid:
                os.kill(bystander, signal.SIGKILL)
                os.waitpid(bystander, 0)
            return bystander if bystander == agent.pid else 0

        wait_until(taken_again, "the same number")
        try:
            with pytest.raises(OsError):
                client.process_terminate(agent.pid, force=True)
            assert os.waitpid(agent.pid, os.WNOHANG) == (0, 0)
        finally:
            os.kill(agent.pid, signal.SIGKILL)
            os.waitpid(agent.pid, 0)


def test_p5_the_workers_memory_and_descriptors_are_closed_to_their_own_account(helper: Helper) -> None:
    for pid in helper.workers.values():
        for name in ("mem", "fd/0", "environ", "ns/uts"):
            nobody = "import os; os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)"
            code = f"{nobody}; open('/proc/{pid}/{name}')"
            done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
            assert "PermissionError" in done.stderr, (name, done.stderr)


def test_p11_an_error_carries_no_bytes_of_anybodys_memory(helper: Helper) -> None:
    with helper.outsider() as root:
        for pid in (2**22 + 7, 2**31 - 1, -5):
            root.connection.sendall(encode(LookupRequest(Kind.HOSTNAME_REQUEST, b"", pid)))
            assert len(root.connection.recv(5000)) == 24


def test_p16_a_link_in_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "root")
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    for planted in ("log-a", "log-b", "log-c"):
        place = tmp_path / planted
        if planted == "log-a":
            place.symlink_to(victim)
        elif planted == "log-b":
            os.link(victim, place)
        else:
            os.mkfifo(place)
        with Helper(tmp_path, "-l", str(place)) as helper:
            assert "standard error is used" in helper.log
    assert victim.read_text() == "precious\n"


def test_a_thousand_clients_are_served_and_one_too_many_harms_nobody(helper: Helper) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    code = "import socket, sys\n" + (
        "all = [socket.socket(socket.AF_UNIX) for _ in range(1100)]\n"
        "for one in all:\n    one.connect(sys.argv[1])\n    assert len(one.recv(24)) == 24\n"
        "question, size = bytes.fromhex(sys.argv[2]), 24\n"
        "for one in all:\n    one.sendall(question)\n"
        "assert all and {len(one.recv(100)) for one in all} == {24}\n"
        "print('served', len(all))\n"
    )
    question = encode(LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch")).hex()
    words = [sys.executable, "-I", "-S", "-c", code, str(helper.socket), question]
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))  # noqa: E731
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, preexec_fn=limit)
    assert done.stdout == "served 1100\n", done.stderr
    before = len(os.listdir(f"/proc/{helper.starter}/fd"))
    wait_until(
        lambda: len(os.listdir(f"/proc/{helper.starter}/fd")) < 60, f"{before} descriptors of clients to be closed"
    )
    with helper.client() as client, pytest.raises(ContainerNotFound):
        client.container_pid("nosuch")


def test_without_descriptors_clients_are_shed_and_the_helper_lives(helper: Helper) -> None:
    used = len(os.listdir(f"/proc/{helper.starter}/fd"))
    resource.prlimit(helper.starter, resource.RLIMIT_NOFILE, (used + 8, used + 8))
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    try:
        for connection in waiting:
            connection.connect(str(helper.socket))
        wait_until(lambda: any("shed" in line or "Too many" in line for line in helper.record), "one to be shed")
    finally:
        for connection in waiting:
            connection.close()
    wait_until(lambda: _served(helper), "service again")


def _served(helper: Helper) -> bool:
    try:
        with helper.client() as client:
            client.container_pid("nosuch")
    except ContainerNotFound:
        return True
    except Exception:  # noqa: BLE001 - not yet
        return False
    return False


def test_an_agent_of_another_account_has_none_of_roots_power(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "root")
    with (
        Helper(tmp_path, agents=AGENTS, policy='[agents.cat]\naccount = "nobody"\n') as helper,
        helper.client() as client,
    ):
        agent = client.process_start("cat", "/bin/cat")
        facts = status(agent.pid)
        assert facts["Uid"].split() == [str(pwd.getpwnam("nobody").pw_uid)] * 4
        assert facts["CapEff"] == facts["CapPrm"] == "0" * 16
        os.close(agent.stdin)
        os.close(agent.stdout)
        wait_until(lambda: gone(agent.pid), "its end")


def test_agents_of_a_dead_daemon_are_ended(tmp_path: Path) -> None:
    """A daemon (a child of ours) starts the helper and an agent that ignores everything, then dies."""
    require(os.geteuid() == 0, "root")
    helper = Helper(tmp_path, agents="stubborn 150 pipe binary /bin/sleep 1000\n")
    code = (
        f"import sys; sys.path.insert(0, {PACKAGES!r})\n"
        "import subprocess, time\n"
        "from pypcp.pmda.rootclient import RootClient\n"
        "helper = subprocess.Popen(sys.argv[2:])\n"
        "for _ in range(1000):\n"
        "    try:\n"
        "        client = RootClient(sys.argv[1]); client.connect(); break\n"
        "    except Exception: time.sleep(0.01)\n"
        "agent = client.process_start('stubborn', '/bin/sleep 1000')\n"
        "print(helper.pid, agent.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    words = [sys.executable, "-I", "-c", code, str(helper.socket), *helper.command()]
    daemon = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert daemon.stdout is not None and daemon.stdin is not None
    pid, agent = map(int, daemon.stdout.readline().split())
    try:
        daemon.kill()
        daemon.wait()
        wait_until(lambda: gone(agent), "the end of the agent")
        assert any("daemon-died" in line for line in helper.record)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: gone(pid), "the end of the helper")
        daemon.stdin.close()
        daemon.stdout.close()


def test_a_sandbox_that_cannot_be_had_is_a_refusal_where_it_is_required(tmp_path: Path) -> None:
    """A seccomp filter above ours takes Landlock away, as an old kernel would."""
    without = Helper(tmp_path, "--require-sandbox")
    code = (
        f"import sys; sys.path.insert(0, {PACKAGES!r})\n"
        "import ctypes, os, struct\n"
        "from pypcp.root import confine\n"
        "confine.no_new_privileges()\n"
        "program = b''.join(struct.pack('=HBBI', *i) for i in [(0x20, 0, 0, 0), (0x15, 0, 1, 444),"
        " (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)])\n"
        "code = ctypes.create_string_buffer(program, len(program))\n"
        "head = struct.pack('@HP', 4, ctypes.addressof(code))\n"
        "filter = ctypes.create_string_buffer(head, len(head))\n"
        "confine.prctl(22, 2, ctypes.addressof(filter))\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    words = [sys.executable, "-I", "-c", code, *without.command()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1, done.stderr
    assert "no Landlock" in done.stderr


def test_a_refusal_to_start_is_the_policys(helper: Helper) -> None:
    with helper.client() as client, pytest.raises(PermissionDenied):
        client.process_start("cat", "/bin/cat /etc/shadow")


def test_from_a_place_that_a_user_can_write_to_it_does_not_run_as_root(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "root")
    copy = tmp_path / "lib" / "pypcp"
    ignored = shutil.ignore_patterns("__pycache__", "pmcd", "pmapi", "agents", "tools")
    shutil.copytree(Path(PACKAGES) / "pypcp", copy, ignore=ignored)
    words = [
        sys.executable,
        "-I",
        "-S",
        "-B",
        str(copy / "root/__main__.py"),
        "-f",
        "-s",
        str(tmp_path / "s/root.socket"),
    ]
    for victim in ("resolver/main.py", "errors.py", "wire"):
        os.chown(copy / victim, pwd.getpwnam("nobody").pw_uid, -1)
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1
        assert f"{victim} belongs to uid" in done.stderr
        assert "sudo python3 -m venv" in done.stderr
        assert not (tmp_path / "s").exists()
        os.chown(copy / victim, 0, -1)
    (tmp_path / "lib").chmod(0o777)
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert "lib is writable by others" in done.stderr
