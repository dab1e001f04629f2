"""The file of accounts: what is kept of a password, and who may read it."""

import os
from pathlib import Path

import pytest

from pypcp.ipc.configuration import ConfigurationError
from pypcp.pmcd.accounts import Accounts, AccountsFile, Verifier, change, checked_name, read

ROUNDS = 4096

RFC_7677 = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
"""What RFC 7677's example user "user" with the password "pencil" has."""


def add(path: Path, name: str, password: str) -> None:
    verifier = Verifier.of(password, rounds=ROUNDS)
    change(path, lambda verifiers: verifiers.update({name: verifier}))


def test_a_verifier_knows_its_password_and_no_other() -> None:
    verifier = Verifier.of("s3cret", rounds=ROUNDS)
    assert verifier.matches("s3cret")
    assert not verifier.matches("s3cret ")
    assert Verifier.parse(RFC_7677).matches("pencil")


def test_a_verifier_is_written_and_read_alike_and_never_shown() -> None:
    assert str(Verifier.parse(RFC_7677)) == RFC_7677
    assert repr(Verifier.parse(RFC_7677)) == "Verifier(rounds=4096)"


def test_the_same_password_twice_makes_different_verifiers() -> None:
    assert str(Verifier.of("x", rounds=1)) != str(Verifier.of("x", rounds=1))


def test_a_password_is_the_same_however_its_characters_are_composed() -> None:
    assert Verifier.of("caf\u00e9", rounds=1).matches("cafe\u0301")


@pytest.mark.parametrize(
    "text",
    [
        "",
        RFC_7677.replace("4096", "0"),
        RFC_7677.replace("4096", "9999999"),
        RFC_7677.replace("SHA-256", "SHA-1"),
        RFC_7677.replace("W22Z", "W22"),
        RFC_7677.replace("WG5d8oPm", ""),
        RFC_7677 + "x",
    ],
)
def test_what_is_no_verifier_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="verifier"):
        Verifier.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "!a", "#a", "a#", "a\n", "x" * 300])
def test_some_names_cannot_be_kept(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        checked_name(name)


def test_accounts_are_added_changed_and_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "new" / "users"
    add(path, "anna", "1")
    add(path, "ben", "2")
    add(path, "anna", "3")
    accounts = read(path)
    assert sorted(accounts.verifiers) == ["anna", "ben"]
    assert accounts.verifier("anna").matches("3")
    change(path, lambda verifiers: verifiers.clear())
    assert not read(path)


def test_the_file_is_its_owners_alone_and_keeps_the_mode_that_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add(path, "anna", "1")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    add(path, "ben", "2")
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["users"]


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add(path, "anna", "1")
    before = path.read_bytes()

    def fail(verifiers: dict[str, Verifier]) -> None:
        verifiers.clear()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        change(path, fail)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["users"]


def test_a_file_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add(path, "anna", "1")
    path.chmod(0o604)
    with pytest.raises(ConfigurationError, match=r"users: is open to others \(mode 0604\); chmod it to 0600"):
        read(path)


def test_bad_lines_are_reported_by_number(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Accounts.parse(f"# ok\nuser {RFC_7677}\nx y\n!secret ?\na:b {RFC_7677}\n", "users")
    assert [problem.line for problem in caught.value.problems] == [3, 4, 5]


def test_an_unknown_name_looks_like_a_known_one_each_time(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add(path, "anna", "1")
    first, second = read(path).verifier("nobody"), read(path).verifier("nobody")
    assert first.salt == second.salt != read(path).verifier("somebody").salt
    assert len(first.salt) == len(read(path).verifier("anna").salt)
    assert not first.matches("1")


def test_a_changed_file_is_read_again_and_a_bad_one_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "users"
    file = AccountsFile(path)
    assert not file.current()
    add(path, "anna", "1")
    assert file.current().verifier("anna").matches("1")
    path.chmod(0o666)
    assert file.current().verifier("anna").matches("1")
    assert file.current().verifier("anna").matches("1")
    assert len(caplog.records) == 1
    path.unlink()
    assert not file.current()


def test_without_a_file_there_are_no_accounts() -> None:
    assert not AccountsFile(None).current()
