"""pypcp user, as somebody at a shell has it."""

import io
from pathlib import Path

import pytest

from pypcp.ipc.paths import Paths
from pypcp.pmcd.accounts import read
from pypcp.tools.user import accounts_file, main


def run(path: Path, *words: str, password: str = "", monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(password))
    return main(["--file", str(path), *words])


def test_a_user_is_added_listed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "users"
    assert run(path, "add", "anna", password="s3 cret\n", monkeypatch=monkeypatch) == 0
    assert read(path).verifier("anna").matches("s3 cret")
    assert run(path, "list", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "anna\n"
    assert run(path, "remove", "anna", monkeypatch=monkeypatch) == 0
    assert not read(path)


@pytest.mark.parametrize(
    ("words", "password", "expected"),
    [
        (["add", "a b"], "x\n", "'a b' is no name"),
        (["add", "anna"], "\n", "a password has at least one character"),
        (["remove", "anna"], "", "there is no user 'anna'"),
    ],
)
def test_a_mistake_is_said_and_changes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    password: str,
    expected: str,
) -> None:
    assert run(tmp_path / "users", *words, password=password, monkeypatch=monkeypatch) == 1
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "users").exists()


def test_a_list_without_a_file_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "none", "list", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == ""


def test_the_accounts_are_in_the_configuration_directory(tmp_path: Path) -> None:
    paths = Paths.find({"PCP_SYSCONF_DIR": str(tmp_path)})
    assert accounts_file(paths) == tmp_path / "pmcd" / "users"
