"""The files by which others know a daemon's process."""

import os
from pathlib import Path

from pypcp.pmcd.process_files import PidFile, open_fresh


def test_a_file_is_made_anew_and_who_has_the_old_one_open_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old")
    with path.open() as old:
        os.close(open_fresh(path))
        assert path.read_text() == ""
        assert old.read() == "old"


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = open_fresh(fifo)
    os.write(writer, b"x")
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    os.close(writer)


def test_the_pid_file_of_another_daemon_stays(tmp_path: Path) -> None:
    path = tmp_path / "pmcd.pid"
    ours = PidFile(path, None)
    ours.write()
    path.unlink()
    path.write_text("1")
    ours.remove()
    assert path.read_text() == "1"


def test_a_pid_file_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    PidFile(tmp_path / "pmcd.pid", None).remove()
