"""`pypcp agent`: new, run, check, names, list."""

import pytest

from pypcp.tools.main import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_agent_works_at_once_and_has_nothing_said_of_it(here, capsys):
    assert main(["agent", "new", "acme"]) == 0
    assert sorted(path.name for path in here.iterdir()) == ["acme.py", "test_acme.py"]
    capsys.readouterr()
    assert main(["agent", "run", "acme.py", "--once"]) == 0
    assert "acme.uptime" in capsys.readouterr().out
    assert main(["agent", "check", "acme.py"]) == 0
    assert capsys.readouterr().out == "acme.py: 0 mistakes, 0 pieces of advice\n"


def test_a_new_agent_overwrites_nothing(here, capsys):
    (here / "acme.py").write_text("mine")
    assert main(["agent", "new", "acme"]) == 1
    assert (here / "acme.py").read_text() == "mine"
    assert "acme.py" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Acme", "a-b", "../x", "1a", ""])
def test_a_name_that_cannot_be_one_is_refused(here, name, capsys):
    assert main(["agent", "new", name]) == 2
    assert list(here.iterdir()) == []


def test_run_shows_the_metrics_named_only(capsys):
    assert main(["agent", "run", "--once", "simple", "simple.color"]) == 0
    shown = capsys.readouterr().out
    assert shown.split() == ["simple.color", "red", "1", "green", "101", "blue", "201"]


def test_run_shows_what_is_wrong_with_a_file_that_is_being_written(here, capsys):
    (here / "acme.py").write_text("def half(")
    assert main(["agent", "run", "acme.py", "--once"]) == 1
    assert "SyntaxError" in capsys.readouterr().err


def test_check_says_what_is_wrong_and_fails(here, capsys):
    (here / "acme.py").write_text('from pypcp.pmda import Agent\nagent = Agent("acme", 300, help_="x")\n')
    assert main(["agent", "check", "acme.py"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "mistake  acme: it has no metrics",
        "acme.py: 1 mistakes, 0 pieces of advice",
    ]


def test_names_prints_a_name_space(capsys):
    assert main(["agent", "names", "--root", "simple", "-d", "300"]) == 0
    assert capsys.readouterr().out == "root {\n    simple\t300:*:*\n}\n"


def test_list_names_what_comes_along(capsys):
    assert main(["agent", "list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"jbd2", "linux", "mmv", "pmproxy", "sample", "simple", "trivial"} <= set(listed)


@pytest.mark.parametrize("words", [["run", "nosuch", "--once"], ["check", "nosuch"], ["names", "nosuch"]])
def test_an_agent_that_is_not_there_is_one_clear_word(words, capsys):
    assert main(["agent", *words]) != 0
    assert "no agent 'nosuch' is installed" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "status"), [([], 0), (["--help"], 0), (["nosuch"], 2)])
def test_without_a_command_they_are_listed(words, status, capsys):
    assert main(["agent", *words]) == status
    shown = capsys.readouterr()
    assert "serve" in shown.out + shown.err
