"""The record when there is no room for it, or nobody who takes it."""

import contextlib
import io
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypcp.root import audit
from pypcp.root.audit import AuditLog


@contextlib.contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """A disk that is full, as far as this process is concerned."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def close(log: AuditLog) -> None:
    log._syslog.close()
    if log._file is not None:
        os.close(log._file)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_a_full_disk_costs_lines_of_the_record_and_nothing_else(tmp_path: Path, stream: io.StringIO) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(stream, str(path))
    log.record("first")
    size = path.stat().st_size
    with files_of_at_most(size + 20):
        log.record("torn", why="there is room for twenty bytes of this")
        log.record("lost")
    log.record("last")
    close(log)
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].endswith(": first")
    assert len(lines[1]) == 20
    assert lines[2].endswith(": last")
    assert stream.getvalue().count("\n") == 4


def test_a_log_daemon_that_is_gone_is_found_again_once_it_is_back(
    tmp_path: Path, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_SYSLOG", str(tmp_path / "log"))
    log = AuditLog(stream)
    log.record("nobody is there")
    for life in ("one", "two"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(str(tmp_path / "log"))
            daemon.settimeout(5)
            log.record(life)
            assert daemon.recv(1000).decode().endswith(f": {life}")
        (tmp_path / "log").unlink()
        log.record("between the lives")
    assert stream.getvalue().count("\n") == 5
    close(log)
