import contextlib
import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from peers import free_port
from pypcp.errors import BadArgument, OsError
from pypcp.ipc import listeners
from pypcp.ipc.listeners import Listeners, listen_tcp, listen_unix

LOOPBACK = ("127.0.0.1", "::1")


def connects(*address: object, family: int = socket.AF_INET) -> bool:
    with socket.socket(family) as client:
        return client.connect_ex(address if family != socket.AF_UNIX else address[0]) == 0


def refusal(function, *arguments: object) -> OsError:
    with pytest.raises(OsError) as caught:
        function(*arguments)
    return caught.value


def test_every_port_is_served_on_every_address_and_the_socket_too(tmp_path):
    ports = [free_port(), free_port()]
    with Listeners.open(addresses=LOOPBACK, ports=ports, unix_path=tmp_path / "s", environ={}) as opened:
        assert opened.ports == ports
        assert len(opened.sockets) == 5
        for port in ports:
            assert connects("127.0.0.1", port)
            assert connects("::1", port, family=socket.AF_INET6)
        assert connects(str(tmp_path / "s"), family=socket.AF_UNIX)
        assert not any(sock.getblocking() or sock.get_inheritable() for sock in opened.sockets)


def test_port_0_is_one_port_for_all_addresses():
    with Listeners.open(addresses=LOOPBACK, ports=[0], environ={}) as opened:
        assert opened.ports != [0]
        assert len(opened.ports) == 1
        assert len(opened.sockets) == 2


def test_an_ipv6_socket_leaves_ipv4_to_others():
    with listen_tcp("::", 0) as six, listen_tcp("0.0.0.0", six.getsockname()[1]) as four:
        assert four.getsockname()[1] == six.getsockname()[1]


def test_an_address_that_this_machine_lacks_is_skipped_while_another_works():
    with Listeners.open(addresses=("192.0.2.1", "127.0.0.1"), ports=[0], environ={}) as opened:
        assert len(opened.sockets) == 1
        assert "192.0.2.1" in opened.skipped[0]


def test_without_any_address_of_this_machine_there_is_an_error():
    error = refusal(lambda: Listeners.open(addresses=["192.0.2.1"], ports=[0], environ={}))
    assert error.code == -errno.EADDRNOTAVAIL


@pytest.mark.parametrize(("address", "port"), [("localhost", 1), ("::g", 1), ("127.0.0.1", 65536)])
def test_what_is_no_address_or_port_is_refused(address, port):
    with pytest.raises(BadArgument):
        listen_tcp(address, port)


@pytest.mark.parametrize(("held", "wanted"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::")])
def test_a_port_in_use_is_refused_with_who_has_it(held, wanted):
    with listen_tcp(held, 0) as holder:
        port = holder.getsockname()[1]
        error = refusal(listen_tcp, wanted, port)
    assert error.code == -errno.EADDRINUSE
    assert f"TCP port {port} on {wanted} is served by process {os.getpid()} (" in error.detail
    assert error.detail.endswith("): stop that, or use another port")


def test_a_failure_closes_what_was_opened_before_it(tmp_path):
    first = free_port()
    with listen_tcp("127.0.0.1", 0) as holder:
        ports = [first, holder.getsockname()[1]]
        refusal(lambda: Listeners.open(addresses=["127.0.0.1"], ports=ports, environ={}))
    assert not connects("127.0.0.1", first)


@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_the_socket_has_its_mode_whatever_the_umask(tmp_path, mode):
    before = os.umask(0o077)
    try:
        with listen_unix(tmp_path / "s", mode):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)


def test_a_stale_socket_is_replaced(tmp_path):
    listen_unix(tmp_path / "s").close()
    with listen_unix(tmp_path / "s"):
        assert connects(str(tmp_path / "s"), family=socket.AF_UNIX)


def test_a_live_socket_is_refused_with_who_serves_it_and_stays(tmp_path):
    path = tmp_path / "s"
    program = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(); input()"
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        server.stdout.readline()
        error = refusal(listen_unix, path)
        assert connects(str(path), family=socket.AF_UNIX)
        server.communicate(b"\n")
    assert error.code == -errno.EADDRINUSE
    assert f"the socket {path} is served by process {server.pid} ({sys.executable} -c" in error.detail
    assert error.detail.endswith("): stop that, or use another path")


def test_a_live_socket_with_a_full_queue_is_refused_at_once(tmp_path):
    path = str(tmp_path / "s")
    with contextlib.ExitStack() as stack:
        stack.enter_context(listen_unix(path, backlog=0))
        for _ in range(4):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(path)
        assert refusal(listen_unix, path).code == -errno.EADDRINUSE


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    assert refusal(listen_unix, path).code == -errno.EEXIST
    assert path.read_text() == "precious"


def test_a_link_to_a_stale_socket_is_left_alone(tmp_path):
    listen_unix(tmp_path / "stale").close()
    (tmp_path / "s").symlink_to(tmp_path / "stale")
    assert refusal(listen_unix, tmp_path / "s").code == -errno.EEXIST
    assert (tmp_path / "stale").exists()


def test_a_missing_directory_is_named(tmp_path):
    error = refusal(listen_unix, tmp_path / "nosuch" / "s")
    assert (error.code, str(tmp_path / "nosuch/s") in error.detail) == (-errno.ENOENT, True)


def test_a_path_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(BadArgument, match="more than 107 bytes"):
        listen_unix(tmp_path / ("a" * 107))


def test_while_another_daemon_is_starting_there_nothing_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(listeners, "_LOCK_LIMIT_S", 0.05)
    listen_unix(tmp_path / "s").close()
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        assert "another daemon is starting" in refusal(listen_unix, tmp_path / "s").detail
    finally:
        os.close(directory)
    assert (tmp_path / "s").exists()


def test_of_daemons_that_start_at_once_one_serves_and_the_others_are_refused(tmp_path):
    listen_unix(tmp_path / "s").close()
    outcomes: list[socket.socket | OsError] = []
    ready = threading.Barrier(8)

    def start() -> None:
        ready.wait()
        try:
            outcomes.append(listen_unix(tmp_path / "s"))
        except OsError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    serving = [outcome for outcome in outcomes if isinstance(outcome, socket.socket)]
    assert connects(str(tmp_path / "s"), family=socket.AF_UNIX)
    for sock in serving:
        sock.close()
    assert (len(serving), len(outcomes)) == (1, 8)


def test_closing_removes_our_socket_file_but_not_that_of_a_successor(tmp_path):
    first, second = (Listeners.open(unix_path=tmp_path / name, environ={}) for name in ("one", "two"))
    first.close()
    assert not (tmp_path / "one").exists()
    (tmp_path / "two").unlink()
    with Listeners.open(unix_path=tmp_path / "two", environ={}):
        second.close()
        assert (tmp_path / "two").exists()


# Sockets from systemd: a process of its own, since they are descriptors 3 and up.

ACTIVATED = """
import os, sys
from pypcp.errors import BadArgument
from pypcp.ipc.listeners import Listeners
os.dup2(int(sys.argv[3]), 3)  # where systemd leaves it, and inherited as from there
os.environ["LISTEN_PID"] = str(os.getpid()) if sys.argv[1] == "ours" else "1"
try:
    with Listeners.open(addresses=["127.0.0.1"], ports=[0], unix_path=sys.argv[2]) as opened:
        print([(sock.fileno(), sock.getblocking(), sock.get_inheritable()) for sock in opened.sockets])
except BadArgument as error:
    print(error.detail)
"""


def activated(passed: socket.socket | int, whose: str, path: Path, count: str = "1") -> str:
    fd = passed if isinstance(passed, int) else passed.fileno()
    environ = os.environ | {"LISTEN_FDS": count, "LISTEN_FDNAMES": "pmcd"}
    command = [sys.executable, "-c", ACTIVATED, whose, str(path), str(fd)]
    run = subprocess.run(command, env=environ, pass_fds=[fd], capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_sockets_that_systemd_passes_are_used_instead(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert activated(server, "ours", tmp_path / "s") == "[(3, False, False)]"
    assert not (tmp_path / "s").exists()


def test_sockets_passed_to_another_process_are_not_ours(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert activated(server, "another's", tmp_path / "s").count("(") == 2


def test_what_is_passed_must_be_listening_sockets(tmp_path):
    with socket.socket() as idle:
        assert "descriptor 3 (pmcd) of LISTEN_FDS is no listening" in activated(idle, "ours", tmp_path / "s")
    with open(os.devnull) as file:
        assert "descriptor 3 (pmcd) of LISTEN_FDS is no socket" in activated(file.fileno(), "ours", tmp_path / "s")


def test_a_count_that_is_no_number_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert activated(server, "ours", tmp_path / "s", "-1") == "LISTEN_FDS is '-1' and not a number"
