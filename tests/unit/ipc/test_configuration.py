"""Files of settings."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypcp.ipc.configuration import ConfigurationError, Setting, parse_settings, read_text


def test_settings_have_their_section_value_and_line() -> None:
    text = "a = 1\n# no\n ; no\n[ one ]\nb=2 # why\n\n[two]\n b-c.d =  x = #y\nb =\n"
    assert parse_settings(text, "f") == {
        "": {"a": Setting("1", 1)},
        "one": {"b": Setting("2", 5)},
        "two": {"b-c.d": Setting("x =", 8), "b": Setting("", 9)},
    }


def test_every_line_that_is_no_setting_is_reported() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings("a\nb = 1\n= 2\nc d = 3\n", "f")
    assert str(caught.value).splitlines() == [
        "f:1: 'a' is no setting; write: name = value",
        "f:3: '= 2' is no setting; write: name = value",
        "f:4: 'c d = 3' is no setting; write: name = value",
    ]


def test_a_problem_without_a_line_names_the_file_only(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * (1 << 21))
    with pytest.raises(ConfigurationError) as caught:
        read_text(tmp_path / "f")
    assert str(caught.value) == f"{tmp_path}/f: is larger than 1048576 bytes; make it smaller"


@pytest.mark.parametrize(
    "line", ["a = x" + " " * 500_000 + "y", "[" + " " * 500_000 + "x", "a" * 500_000, "=" * 500_000]
)
def test_a_very_long_line_takes_no_time(line: str) -> None:
    before = time.thread_time()
    try:
        parse_settings(line, "f")
    except ConfigurationError as error:
        assert len(str(error)) < 200
    assert time.thread_time() - before < 0.5


@given(st.text())
def test_any_text_is_settings_or_a_configuration_error(text: str) -> None:
    try:
        sections = parse_settings(text, "f")
    except ConfigurationError as error:
        assert all(problem.line > 0 for problem in error.problems)
    else:
        assert "" in sections
