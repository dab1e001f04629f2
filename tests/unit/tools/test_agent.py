"""`pypcp agent`: new, run, check, names, list."""

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

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


@pytest.mark.parametrize("words", [["check"], ["names", "--root"]])
@pytest.mark.parametrize(
    ("text", "said"), [("x = 1\ndef half(\n", ":2: SyntaxError: "), ("x = 1\n\nx = y\n", ":3: NameError: name 'y'")]
)
def test_a_file_that_cannot_be_imported_is_one_line_with_its_place(here, words, text, said, capsys):
    (here / "acme.py").write_text(text)
    assert main(["agent", *words, "acme.py"]) != 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert f"acme.py{said}" in printed.err


def test_a_mistake_in_a_file_beside_is_told_with_its_place(here, capsys):
    (here / "beside_that_is_broken.py").write_text("\n1 / 0\n")
    (here / "acme.py").write_text("import beside_that_is_broken\n")
    assert main(["agent", "check", "acme.py"]) == 2
    assert "beside_that_is_broken.py:2: ZeroDivisionError" in capsys.readouterr().err


def test_what_is_printed_when_names_are_asked_for_is_no_name_space(here, capsys):
    (here / "acme.py").write_text(
        'from pypcp.pmda import Agent\nagent = Agent("acme", 300)\n'
        '@agent.source()\ndef there() -> dict[str, int]:\n    print("hello")\n    return {"a": 1}\n'
        'agent.subtree("acme.live", clusters=range(10, 11), source=there).metric("", type_=1)(lambda data: data)\n'
    )
    assert main(["agent", "names", "--root", "acme.py"]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("root {\n    acme\t300:*:*\n}\n", "hello\n")


LIMIT_S = 20.0
PROGRAM = [sys.executable, "-m", "pypcp.tools.main", "agent"]


@contextlib.contextmanager
def running(*words: str):
    process = subprocess.Popen(
        [*PROGRAM, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    too_late = threading.Timer(LIMIT_S, process.kill)
    too_late.start()
    with process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            too_late.cancel()
            too_late.join()


def test_run_shows_the_values_again_when_a_file_beside_is_saved(here):
    beside = here / "beside_acme.py"
    beside.write_text("VALUE = 1001\n")
    package = here / "acme_parts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("VALUE = 1\n")
    (here / "acme.py").write_text(
        "from acme_parts.part import VALUE as MORE\nfrom beside_acme import VALUE\nfrom pypcp.pmda import Agent\n"
        'agent = Agent("acme", 300)\nagent.metric("acme.value", type_=1)(lambda: VALUE + MORE)\n'
    )
    with running("run", "acme.py") as process:
        until_shown(process, "1002")
        beside.write_text("VALUE = 1002\n")
        until_shown(process, "1003")
        (package / "part.py").write_text("VALUE = 2\n")
        until_shown(process, "1004")


def until_shown(process: subprocess.Popen[str], text: str) -> None:
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text} was never shown")


def serve(*words: str) -> str:
    """What an agent logs that serves a daemon which goes at once."""
    run = subprocess.run(
        [*PROGRAM, "serve", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert run.returncode == 1
    return run.stderr


AT_IMPORT = """
import logging, os
from pypcp.pmda import Agent
agent = Agent("acme", 300)
print("I am", os.getuid(), os.getgid())
logging.debug("looking closely")
"""


def test_serve_takes_a_debug_specification_as_stocks_agents_do(here):
    (here / "acme.py").write_text(AT_IMPORT)
    assert "looking closely" in serve("-D", "all,desperate", "acme.py")
    assert "looking closely" not in serve("acme.py")


def test_serve_becomes_the_user_it_is_told():
    account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    with tempfile.TemporaryDirectory() as directory:  # where another user may go
        os.chmod(directory, 0o755)
        agent = Path(directory) / "acme.py"
        agent.write_text(AT_IMPORT)
        assert f"I am {account.pw_uid} {account.pw_gid}\n" in serve("-U", account.pw_name, str(agent))


def test_serve_says_that_there_is_no_such_user():
    assert "there is no account 'nosuchuser'" in serve("-U", "nosuchuser", "simple")


def test_what_is_saved_is_shown_once(here):
    (here / "acme.py").write_text(AT_IMPORT.replace("300)", '300)\nagent.metric("acme.value", type_=1)(lambda: 1)'))
    with running("run", "acme.py") as process:
        until_shown(process, "acme.value")
        (here / "acme.py").write_text("import sys\nsys.exit(4)\n")
        shown = [next(process.stdout) for _ in range(2)]
        assert shown[0].startswith("--- acme.py")
        assert "Traceback" in shown[1]
        until_shown(process, "SystemExit: 4")
        (here / "acme.py").write_text("def half(\n")
        assert next(process.stdout).startswith("--- acme.py")
        shown = [next(process.stdout) for _ in range(4)]
        assert "pypcp" not in "".join(shown)
        assert shown[-1] == "SyntaxError: '(' was never closed\n"


@pytest.mark.parametrize("command", ["check", "names", "run"])
def test_a_mistake_that_is_an_error_of_pcps_is_told_with_its_line(here, command, capsys):
    (here / "acme.py").write_text(
        'from pypcp.pmda import Agent\nagent = Agent("acme", 300)\n\n\n'
        '@agent.metric(units="bytes / sek")\ndef rate() -> int:\n    """A rate"""\n'
    )
    assert main(["agent", command, "acme.py", *(["--once"] if command == "run" else [])]) != 0
    assert f"{here}/acme.py:5: Illegal pmUnits specification" in capsys.readouterr().err


def test_a_mistake_in_what_python_brings_along_is_told_with_the_authors_line(here, capsys):
    (here / "acme.py").write_text('import json\n\njson.loads("{")\n')
    assert main(["agent", "check", "acme.py"]) == 2
    assert f"{here}/acme.py:3: JSONDecodeError" in capsys.readouterr().err


def test_a_domain_that_cannot_be_one_is_refused(here, capsys):
    assert main(["agent", "new", "-d", "700", "acme"]) == 2
    assert "700 is no domain; they go from 1 to 510" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_serve_says_which_port_somebody_else_has(here):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Address already in use: port {port} of 127.0.0.1" in serve("-i", str(port), "simple")
