"""What root configured and what follows: pmcd.conf read as pmcd does, the policy file, the command that explains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from containers.served import MAIN
from pypcp.root.configured import AgentLine, BadConfiguration, parse
from pypcp.root.ground import UntrustedGround, check
from pypcp.root.launch import environment, locate
from pypcp.root.policy import Policy, load

OWNER = os.geteuid()


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("x 1 pipe binary /bin/a -d 1", ("/bin/a", "-d", "1")),
        ("x 1 PIPE Binary notready notready /bin/a", ("/bin/a",)),
        ("x 1 pipe binary /bin/a # -x", ("/bin/a",)),
        ("x 1 pipe binary /bin/a#-x", ("/bin/a",)),
        ('x 1 pipe binary /bin/a "two words" \\#3', ("/bin/a", "two words", "#3")),
        ('x 1 pipe binary /bin/a "q\\"q"', ("/bin/a", 'q"q')),
        ("x 1 pipe binary \\\n  /bin/a \\\n b", ("/bin/a", "b")),
        ("x 1 socket unix /run/s /bin/a b", ("/bin/a", "b")),
    ],
)
def test_command_lines_are_read_as_pmcd_reads_them(line: str, argv: tuple[str, ...]) -> None:
    [agent] = parse(line, "f")
    assert agent.argv == argv


@pytest.mark.parametrize(
    "line", ["x 1 dso init /lib/x.so", "# x 1 pipe binary /bin/a", "x 1 pipe binary", "", "x 1 socket inet 5"]
)
def test_lines_that_start_nothing_give_no_agent(line: str) -> None:
    assert parse(line, "f") == []


def test_the_access_section_ends_the_agents() -> None:
    assert parse("[ access ]\nx 1 pipe binary /bin/a\n", "f") == []


def test_a_quote_that_is_not_closed_is_named_with_its_line() -> None:
    with pytest.raises(BadConfiguration, match="f:2: a quote"):
        parse('x 1 pipe binary /bin/a\ny 2 pipe binary /bin/b "c\n', "f")


def test_a_configuration_of_endless_size_is_refused() -> None:
    with pytest.raises(BadConfiguration):
        parse("x" * (1 << 21), "f")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("agent-files = 7", "agent-files must be a list"),
        ("agent-files = [7]", "must be a list of texts"),
        ("starts-per-minute = true", "must be a int"),
        ("typo = 1", "unknown setting 'typo'"),
        ("[agents.x]\ncomand = 'y'", "unknown setting 'comand'"),
        ("agents = {x = 1}", "agents.x must be a table"),
        ("= broken", "policy.toml"),
    ],
)
def test_a_mistake_in_the_policy_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(BadConfiguration, match=fault):
        load(str(path), OWNER)


def test_a_line_of_an_untrusted_file_starts_nothing_of_any_file(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("a 1 pipe binary /bin/true\n")
    bad.write_text("b 2 pipe binary /bin/true\n")
    policy = Policy(agent_files=(str(good), str(bad)), owner=OWNER)
    assert policy.decide("a", "/bin/true", True).permitted
    bad.chmod(0o666)
    refusal = policy.decide("a", "/bin/true", True)
    assert not refusal.permitted
    assert "writable by others" in refusal.reason


def test_each_step_to_a_file_must_be_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    file = folder / "file"
    file.write_text("")
    link = tmp_path / "link"
    link.symlink_to("a/b/../b/file")
    assert check(str(link), OWNER) == str(file)
    for place, mode in ((folder, 0o777), (tmp_path / "a", 0o757), (file, 0o602)):
        before = place.stat().st_mode
        place.chmod(mode)
        with pytest.raises(UntrustedGround):
            check(str(link), OWNER)
        place.chmod(before)
    (tmp_path / "a").chmod(0o1777)
    assert check(str(link), OWNER) == str(file)


def test_endless_links_missing_files_and_relative_paths_are_untrusted(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for path in (str(tmp_path / "one"), str(tmp_path / "missing"), "relative/path"):
        with pytest.raises(UntrustedGround):
            check(path, OWNER)


def test_a_script_given_to_an_interpreter_must_be_the_owners_alone(tmp_path: Path) -> None:
    script = tmp_path / "agent.py"
    script.write_text("")
    script.chmod(0o777)
    with pytest.raises(UntrustedGround, match=r"agent\.py"):
        locate(AgentLine("x", True, ("/bin/sh", "-e", str(script)), "f"), OWNER)


@pytest.mark.parametrize("label", ["../x", "a/b", "", ".x", "a b", "a\nb"])
def test_a_label_that_is_no_file_name_is_refused(label: str) -> None:
    with pytest.raises(UntrustedGround, match="no file name"):
        locate(AgentLine(label, True, ("/bin/true",), "f"), OWNER)


def test_the_callers_path_loader_and_interpreter_settings_stay_behind() -> None:
    given = {
        "PATH": "/tmp/evil",
        "LD_PRELOAD": "x",
        "PYTHONPATH": "x",
        "PERL5LIB": "x",
        "IFS": "x",
        "PCP_X": "1",
        "LANG": "C",
    }
    seen = environment(given)
    assert set(seen) == {"PATH", "HOME", "SHELL", "PCP_X", "LANG"}
    assert "/tmp" not in seen["PATH"]


def explain(tmp_path: Path, *words: str) -> tuple[int, str]:
    configuration = tmp_path / "pmcd.conf"
    configuration.write_text("cat 150 pipe binary /bin/cat -u\nmissing 151 pipe binary /no/such\n")
    policy = tmp_path / "policy.toml"
    policy.write_text(f'agent-files = ["{configuration}"]\n')
    command = [sys.executable, "-I", "-S", "-B", str(MAIN), "policy", words[0], "--policy", str(policy), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


def test_the_policy_command_says_what_would_happen_and_why(tmp_path: Path) -> None:
    assert explain(tmp_path, "explain", "cat", "/bin/cat -u")[0] == 0
    status, said = explain(tmp_path, "explain", "cat", "/bin/cat /etc/shadow")
    assert status == 1
    assert "refused: the command line is not the one configured at" in said
    status, said = explain(tmp_path, "check")
    assert status == 1
    assert "permitted cat: /bin/cat -u" in said
    assert "refused   missing" in said
    assert "starts-per-minute = 20" in explain(tmp_path, "show")[1]
    assert explain(tmp_path, "explain")[0] == 2
