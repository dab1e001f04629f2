"""Files that are read again and again."""

import os
from pathlib import Path

import pytest

from pypcp.agents.linux.files import FIRST_SIZE, Files, Source, number
from pypcp.agents.linux.table import Table, words32


def test_each_read_gives_the_file_as_it_is_then(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    source = Files(tmp_path).open("file")
    assert source.read() == b"one"
    path.write_bytes(b"three")
    assert source.read() == b"three"


@pytest.mark.parametrize("path", ["proc/vmstat", "proc/stat"])
@pytest.mark.parametrize("size", [0, 1, FIRST_SIZE - 1, FIRST_SIZE, FIRST_SIZE + 1, 5 * FIRST_SIZE + 7])
def test_a_file_of_any_size_is_read_whole_however_often(tmp_path: Path, path: str, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "proc").mkdir()
    (tmp_path / path).write_bytes(content)
    source = Files(tmp_path).open(path)
    assert [source.read() for _ in range(3)] == [content] * 3


def test_a_file_that_is_not_there_reads_as_empty_until_it_is(tmp_path: Path) -> None:
    source = Files(tmp_path).open("late")
    assert source.read() == b""
    (tmp_path / "late").write_bytes(b"now")
    assert source.read() == b"now"


def test_a_source_keeps_one_descriptor_and_gives_it_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd"))
    source = Files(tmp_path).open("file")
    for _ in range(5):
        source.read()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del source
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_descriptor_that_went_bad_is_replaced_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    source = Source(str(tmp_path / "file"))
    source.read()
    directory = os.open(tmp_path, os.O_RDONLY)
    os.dup2(directory, source._descriptor)  # reading a directory fails, as reading of a device that is gone does
    os.close(directory)
    assert source.read() == b"x"


def test_a_file_that_cannot_be_read_is_an_error_and_not_an_empty_file(tmp_path: Path) -> None:
    source = Files(tmp_path).open(".")
    with pytest.raises(IsADirectoryError):
        source.read()


def test_what_is_no_file_of_the_kernel_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pypcp.agents.linux.files.LARGEST", 3 * FIRST_SIZE)
    (tmp_path / "huge").write_bytes(bytes(6 * FIRST_SIZE))
    with pytest.raises(ValueError, match="no file of the kernel"):
        Files(tmp_path).open("huge").read()


def test_a_text_is_parsed_again_when_it_is_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1 2\n")
    read = Files(tmp_path).parsed("file", bytes.split)
    first = read()
    assert read() is first == [b"1", b"2"]
    (tmp_path / "file").write_bytes(b"1 3\n")
    assert read() == [b"1", b"3"]
    (tmp_path / "file").write_bytes(b"1 3")
    with pytest.raises(ValueError, match="breaks off"):
        read()


@pytest.mark.parametrize(
    "path",
    ["loadavg", "meminfo", "pressure/cpu", "softirqs", "stat", "sys/kernel/hostname", "sys/kernel/pid_max", "uptime"],
)
def test_the_kernel_hands_out_at_once_what_is_read_so(path: str) -> None:
    """A read that asks for more than there is gets all: behind it there is nothing more."""
    try:
        with open(f"/proc/{path}", "rb", buffering=0) as file:
            assert not os.pread(file.fileno(), 1 << 20, len(os.pread(file.fileno(), 1 << 20, 0)))
    except FileNotFoundError:
        pytest.skip("not on this kernel")


def test_small_files_are_read_without_their_white_space_and_missing_ones_are_empty(tmp_path: Path) -> None:
    (tmp_path / "mtu").write_bytes(b" 1500\n")
    files = Files(tmp_path)
    assert files.read_once("mtu") == b"1500"
    assert files.read_once("speed") == b""
    assert files.read_once(".") == b""
    assert files.list_directory(".") == ["mtu"]
    assert files.list_directory("none") == []
    assert files.exists("mtu")
    assert not files.exists("speed")


def test_a_number_is_one_or_none() -> None:
    assert number(b"17\n") == 17
    assert number(b"") is None
    with pytest.raises(ValueError, match="invalid literal"):
        number(b"seventeen")


def test_a_table_gives_columns_sums_of_columns_and_zeros_for_those_it_has_not() -> None:
    table = Table([[b"1", b"20"], [b"3", b"40"]])
    assert table.column(1) == [20, 40]
    assert table.added(0, 1) == [21, 43]
    assert table.added(1) == [20, 40]
    assert table.column(2) == [0, 0]
    assert Table([]).column(0) == []


def test_a_torn_row_is_an_error_and_not_a_counter_at_zero() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        Table([[b"1", b"2"], [b"3"]])


def test_32_bit_counters_start_again_at_zero() -> None:
    assert words32([0xFFFFFFFF, 0x100000000, 0x1_0000_0007]) == [0xFFFFFFFF, 0, 7]


def test_where_the_kernel_has_no_answer_now_a_file_reads_as_empty_and_stays_open() -> None:
    source = Source("/sys/class/net/lo/speed")  # the loopback has no speed: EINVAL
    descriptors = len(os.listdir("/proc/self/fd"))
    assert [source.read(), source.read()] == [b"", b""]
    assert len(os.listdir("/proc/self/fd")) == descriptors + 1
