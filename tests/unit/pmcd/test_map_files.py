"""The files of pmlogger and pmie: what is told of, and what is passed over."""

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypcp.pmcd.map_files import FILES_LIMIT, LoggerInstance, PmieInstance, pmies, pmloggers

LOGGER = b"4330\nvm\n/var/log/pcp/arch\na note\n"


def pmie_file(version: int = 1) -> bytes:
    return struct.pack("=4097s4097s65sxf7I", b"/etc/pmie", b"/var/log/pmie", b"vm", 2.0, 1, 5, 4, 3, 2, 10, version)


@pytest.fixture
def pid() -> int:
    return os.getpid()


@pytest.fixture
def dead_pid() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
        return process.pid


@pytest.fixture
def files(tmp_path: Path, pid: int) -> Iterator[Path]:
    (tmp_path / str(pid)).write_bytes(LOGGER)
    yield tmp_path


def test_a_logger_is_told_of_with_everything_in_its_file(files: Path, pid: int) -> None:
    assert pmloggers(files) == [LoggerInstance(pid, str(pid), 4330, "vm", "/var/log/pcp/arch", "a note")]


def test_the_primary_logger_is_there_twice_as_in_stock(files: Path, pid: int) -> None:
    (files / "primary").symlink_to(files / str(pid))
    assert [(found.instance, found.name) for found in pmloggers(files)] == [(0, "primary"), (pid, str(pid))]


def test_a_logger_without_a_note_has_none(files: Path, pid: int) -> None:
    (files / str(pid)).write_bytes(b"4330\nvm\n/arch\n")
    assert pmloggers(files)[0].note == ""


def test_a_pmie_is_told_of_with_its_counters(tmp_path: Path, pid: int) -> None:
    (tmp_path / str(pid)).write_bytes(pmie_file())
    assert pmies(tmp_path) == [PmieInstance(pid, "/etc/pmie", "/var/log/pmie", "vm", 2.0, 1, 5, 4, 3, 2, 10)]


def test_a_process_that_is_dead_is_passed_over(files: Path, pid: int, dead_pid: int) -> None:
    (files / str(dead_pid)).write_bytes(LOGGER)
    (files / "primary").symlink_to(files / str(dead_pid))
    assert [found.instance for found in pmloggers(files)] == [pid]


@pytest.mark.parametrize("name", ["README", "-1", "0", "١", "9" * 30, "1 "])
def test_a_name_that_is_no_pid_is_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(LOGGER)
    assert pmloggers(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b"-1\nvm\n", b"123456\nvm\n", b"x" * 20000])
def test_a_file_that_is_not_a_loggers_or_not_whole_is_passed_over(tmp_path: Path, pid: int, content: bytes) -> None:
    (tmp_path / str(pid)).write_bytes(content)
    assert pmloggers(tmp_path) == []


@pytest.mark.parametrize("content", [b"", pmie_file()[:-1], pmie_file() + b"x", pmie_file(version=2)])
def test_a_file_that_is_not_a_pmies_is_passed_over(tmp_path: Path, pid: int, content: bytes) -> None:
    (tmp_path / str(pid)).write_bytes(content)
    assert pmies(tmp_path) == []


def test_links_pipes_and_folders_are_passed_over(tmp_path: Path, pid: int) -> None:
    (tmp_path / "secret").write_bytes(LOGGER)
    names = [str(pid), str(os.getppid()), "1"]
    (tmp_path / names[0]).symlink_to("secret")
    os.mkfifo(tmp_path / names[1])
    (tmp_path / names[2]).mkdir(exist_ok=True)
    (tmp_path / "primary").symlink_to(tmp_path / "secret")
    assert pmloggers(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_a_file_of_somebody_who_does_not_own_the_directory_is_passed_over(files: Path, pid: int) -> None:
    os.chown(files / str(pid), 12345, -1)
    assert pmloggers(files) == []
    os.chown(files, 12345, -1)
    assert [found.instance for found in pmloggers(files)] == [pid]


def test_a_directory_with_very_many_files_does_not_take_for_ever(tmp_path: Path) -> None:
    for number in range(FILES_LIMIT + 50):
        (tmp_path / f"x{number}").touch()
    assert pmloggers(tmp_path) == []


def test_without_the_directory_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert pmloggers(tmp_path / "none") == []
    assert pmies(tmp_path / "none") == []
