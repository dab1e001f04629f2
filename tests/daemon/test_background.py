"""`pypcp pmcd` without -f: a daemon that says whether it serves, and is found by its files."""

import os
import pwd
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from background import PCP_USER, Background, program_for_all
from peers import OurDaemon, free_port, require
from pypcp import BlockingContext
from waiting import wait_until

pytestmark = pytest.mark.slow

CHALLENGE_BYTES = 20


@pytest.fixture
def place() -> Iterator[Background]:
    with Background() as made:
        yield made


def greeted(port: int) -> bool:
    """One try: is there somebody, and is it pmcd?"""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return len(connection.recv(CHALLENGE_BYTES, socket.MSG_WAITALL)) == CHALLENGE_BYTES


def fields(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_clients_can_come_when_the_command_has_ended(place: Background) -> None:
    started = place.start()
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    assert greeted(place.port)
    assert place.socket.is_socket()


def test_the_environment_names_its_socket_where_no_option_does(place: Background) -> None:
    told = place.directory / "told.socket"
    place.environment["PMCD_SOCKET"] = str(told)
    assert place.start().returncode == 0
    assert told.is_socket()
    assert [path.name for path in place.run.iterdir()] == ["pmcd.pid"]


def test_it_is_in_a_session_of_its_own_with_its_output_in_the_log(place: Background) -> None:
    assert place.start().returncode == 0
    pid = place.pid
    assert os.getsid(pid) == os.getpgid(pid) == pid
    inputs = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
    assert inputs == ["/dev/null", str(place.log_file), str(place.log_file)]
    assert place.log.startswith("Log for pmcd on ")
    assert f"pmcd: PID = {pid}" in place.log


def test_its_highest_descriptor_is_told(place: Background) -> None:
    assert place.start().returncode == 0
    with BlockingContext(f"localhost:{place.port}") as client:
        told = client.fetch([client.lookup_name("pmcd.openfds")]).value_sets[0].value
        assert told == max(map(int, os.listdir(f"/proc/{place.pid}/fd")))


def test_its_files_are_there_while_it_is(place: Background) -> None:
    assert place.start().returncode == 0
    assert place.pid_file.read_bytes() == str(place.pid).encode()
    assert stat.S_IMODE(place.pid_file.stat().st_mode) == 0o444
    place.stop()
    assert not place.pid_file.exists()
    assert not place.socket.exists()
    assert "Log finished" in place.log


def test_a_log_is_begun_anew_where_it_is_told_to_be(place: Background) -> None:
    log = place.directory / "elsewhere.log"
    log.write_text("of yesterday\n")
    assert place.start("-l", log).returncode == 0
    assert log.read_text().startswith("Log for pmcd on ")
    assert not place.log_file.exists()


def test_stocks_scripts_find_it_by_the_name_of_stocks_program(place: Background) -> None:
    assert place.start("-A").returncode == 0
    words = Path(f"/proc/{place.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert words[0].endswith(b"/pmcd")
    assert words[-1] == b"-A"
    assert fields(place.pid)["Name"] == "pmcd"


# A start that fails


def failed(place: Background, *options: object) -> str:
    """Start in vain; what was said of it."""
    started = place.start(*options)
    assert started.returncode == 1, started
    assert not place.pid_file.exists()
    return started.stderr


def test_a_port_in_use_fails_the_command_and_names_its_holder(place: Background) -> None:
    with socket.create_server(("127.0.0.1", place.port)):
        said = failed(place)
    assert f"TCP port {place.port} on 127.0.0.1 is served by process {os.getpid()}" in said
    assert not place.socket.exists()


def test_a_second_start_leaves_the_first_daemon_its_log_and_its_pid_file(place: Background) -> None:
    assert place.start().returncode == 0
    log, pid, reasons = place.log, place.pid, place.directory / "reasons"
    assert place.start("-x", reasons).returncode == 1
    assert (place.log, place.pid) == (log, pid)
    assert "is served by" in reasons.read_text()
    assert log not in reasons.read_text()


def test_a_bad_configuration_fails_the_command_and_names_its_line(place: Background) -> None:
    place.configuration.write_text("\nbroken x pipe binary /bin/false\n")
    assert f"{place.configuration}:2" in failed(place)


@pytest.mark.parametrize("option", ["-c", "-n"])
def test_a_file_that_is_not_there_is_named_in_words(place: Background, option: str) -> None:
    said = failed(place, option, place.directory / "gone")
    assert said.endswith(f"{place.directory}/gone: No such file or directory\n")
    assert "Errno" not in said


def test_why_it_did_not_start_is_written_where_it_is_wanted_with_the_log(place: Background) -> None:
    reasons = place.directory / "reasons"
    place.configuration.write_text("broken x pipe binary /bin/false\n")
    said = failed(place, "-x", reasons)
    written = reasons.read_text()
    assert written.startswith("NOTE: pmcd not started due to errors!\n")
    assert said.removeprefix("pmcd: ").strip() in written
    assert place.log in written


def test_nothing_is_written_where_failures_would_be_when_it_starts(place: Background) -> None:
    assert place.start("-x", place.directory / "reasons").returncode == 0
    assert not (place.directory / "reasons").exists()


def test_a_log_that_cannot_be_written_fails_the_command(place: Background) -> None:
    (place.directory / "file").write_text("")
    assert str(place.directory / "file") in failed(place, "-l", place.directory / "file" / "pmcd.log")


def test_a_daemon_that_is_killed_before_it_serves_fails_the_command(place: Background) -> None:
    killer = f'"{sys.executable}" -c "import os; os.kill(os.getppid(), 9)"'
    place.configuration.write_text(f"killer 100 pipe binary {killer}\n")
    assert "it ended before it served (signal 9)" in failed(place)


# Options


def test_managed_it_stays_in_the_foreground_with_a_pid_file(place: Background) -> None:
    stays = ["-U", "root"] if os.geteuid() == 0 else []
    output = place.directory / "output"
    with output.open("wb") as written:
        process = subprocess.Popen(
            place.command("-F", *stays), cwd=place.directory, env=place.environment, stdout=written, stderr=written
        )
    try:
        pid = place.pid_file
        wait_until(lambda: process.poll() is not None or (pid.exists() and pid.read_text()), output.read_text)
        assert process.poll() is None, output.read_text()
        assert place.pid == process.pid
        place.stop()
    finally:
        process.kill()
        process.wait()
    assert not place.pid_file.exists()
    assert "Log for pmcd on " in output.read_text()


def test_debug_flags_have_their_part_of_the_daemon_say_more(place: Background) -> None:
    assert place.start("-D", "appl3,af").returncode == 0
    assert greeted(place.port)
    place.stop()
    assert re.search(r"Debug: \+ 127\.0\.0\.1:\d+ is client \d", place.log)
    assert "of no effect here, as debug flags: af\n" in place.log


def test_an_unknown_debug_flag_is_an_error_in_use(place: Background) -> None:
    started = place.start("-D", "appl0,nonsense")
    assert started.returncode == 2
    assert "unrecognized debug options specification (appl0,nonsense)" in started.stderr


def test_what_is_traced_from_the_start_is_logged_at_once(place: Background) -> None:
    assert place.start("-T", 1 + 2 + 256).returncode == 0
    assert greeted(place.port)
    place.stop()
    assert "New client: [" in place.log
    assert "Xmit: ERROR PDU" in place.log


def test_an_account_that_is_not_there_fails_the_command(place: Background) -> None:
    assert "there is no account 'nobody-at-all'" in failed(place, "-U", "nobody-at-all")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can be anybody")
def test_only_root_can_have_it_run_as_another(place: Background) -> None:
    assert "only root can run it as root" in failed(place, "-U", "root")


# As root


@pytest.fixture
def roots_place(tmp_path: Path) -> Iterator[Background]:
    require(os.geteuid() == 0, "root, to become another account")
    with Background() as made:
        made.python, source = program_for_all(made.directory)
        made.environment["PYTHONPATH"] = str(source)
        yield made


def test_roots_daemon_is_another_account_for_good_when_clients_can_come(roots_place: Background) -> None:
    assert roots_place.run_to_end().returncode == 0, roots_place.log
    assert greeted(roots_place.port)
    uid, gid = _ids(PCP_USER)
    now = fields(roots_place.pid)
    assert now["Uid"].split() == [str(uid)] * 4
    assert now["Gid"].split() == [str(gid)] * 4
    assert {int(number) for number in now["Groups"].split()} == set(os.getgrouplist(PCP_USER, gid))
    assert int(now["CapPrm"], 16) == int(now["CapEff"], 16) == 0


def test_the_files_of_roots_daemon_are_its_accounts_and_go_with_it(roots_place: Background) -> None:
    instances = roots_place.directory / "var" / "pypcp" / "instances"
    instances.mkdir(parents=True)
    (instances / "60.0").write_text("")
    assert roots_place.run_to_end().returncode == 0, roots_place.log
    uid, _ = _ids(PCP_USER)
    owned = (roots_place.run, roots_place.log_file, roots_place.pid_file, instances, instances / "60.0")
    assert {path.stat().st_uid for path in owned} == {uid}
    roots_place.stop()
    assert list(roots_place.run.iterdir()) == []


def test_agents_of_the_configuration_are_started_while_it_is_root(roots_place: Background) -> None:
    told = roots_place.directory / "told"
    roots_place.configuration.write_text(f'who 100 pipe binary /bin/sh -c "id -u >{told}"\n')
    assert roots_place.run_to_end().returncode == 0, roots_place.log
    assert told.read_text() == "0\n"


def test_a_link_in_the_accounts_directory_does_not_lead_roots_pen(roots_place: Background) -> None:
    uid, gid = _ids(PCP_USER)
    precious = roots_place.directory / "precious"
    precious.write_text("root's\n")
    roots_place.log_file.parent.mkdir(parents=True)
    os.chown(roots_place.log_file.parent, uid, gid)
    roots_place.log_file.symlink_to(precious)
    assert roots_place.run_to_end().returncode == 0
    assert precious.read_text() == "root's\n"
    assert roots_place.log.startswith("Log for pmcd on ")


def test_an_account_that_cannot_read_the_program_fails_the_command(roots_place: Background) -> None:
    Path(roots_place.environment["PYTHONPATH"]).chmod(0o700)
    started = roots_place.run_to_end()
    assert started.returncode == 1
    assert f"{PCP_USER} cannot read " in started.stderr


def test_in_the_foreground_proper_it_stays_root(roots_place: Background) -> None:
    process = subprocess.Popen(
        roots_place.command("-f", "-U", PCP_USER, "-l", roots_place.log_file),
        cwd=roots_place.directory,
        env=roots_place.environment,
    )
    try:
        wait_until(lambda: process.poll() is not None or "PID = " in roots_place.log, lambda: roots_place.log)
        assert process.poll() is None
        assert fields(process.pid)["Uid"].split() == ["0"] * 4
        assert not roots_place.pid_file.exists()
        assert "-U has no effect with -f" in roots_place.log
    finally:
        process.terminate()
        process.wait(10)


def _ids(name: str) -> tuple[int, int]:
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


class Unconfigured(OurDaemon):
    """`pypcp pmcd` where there is no configuration and no stock PCP; a further port is told by the environment."""

    def __init__(self) -> None:
        super().__init__(tool="pmcd")
        self.other_port = free_port()

    def environment(self) -> dict[str, str]:
        settings = self.directory / "pcp.conf"
        settings.write_text(f"PCP_SYSCONF_DIR={self.directory}\n")
        return super().environment() | {"PCP_CONF": str(settings), "PMCD_PORT": str(self.other_port)}


def test_without_configuration_the_host_is_collected_on_all_ports_that_are_told() -> None:
    with Unconfigured() as daemon:
        for port in (daemon.port, daemon.other_port):
            with BlockingContext(f"localhost:{port}") as client:
                assert client.fetch([client.lookup_name("hinv.ncpu")]).value_sets[0].value
