"""pmcd.conf: what stock reads, read alike; and every mistake by file and line."""

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peers import require
from pypcp.ipc.configuration import ConfigurationError
from pypcp.pmcd.config import Configuration, DsoAgent, PipeAgent, SocketAgent, load, parse


def agents(text: str) -> tuple[object, ...]:
    return parse(text, "pmcd.conf").agents


def problems(text: str, access: str | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "pmcd.conf", access, "pmcd.conf.access")
    return str(caught.value).splitlines()


def test_the_three_kinds_of_agents_are_read() -> None:
    text = """
    # comment
    pmcd  2   dso  pmcd_init /var/lib/pmda_pmcd.so # after
    a     30  SOCKET inet 5678
    b     31  socket unix /run/b.socket /usr/bin/b -d 31
    proc  3   Pipe Binary NotReady /usr/bin/proc -d 3
    """
    assert agents(text) == (
        DsoAgent("pmcd", 2, "pmcd_init", "/var/lib/pmda_pmcd.so"),
        SocketAgent("a", 30, "inet", 5678),
        SocketAgent("b", 31, "unix", "/run/b.socket", ("/usr/bin/b", "-d", "31")),
        PipeAgent("proc", 3, ("/usr/bin/proc", "-d", "3")),
    )


def test_an_agent_knows_its_line_its_label_and_whether_it_is_not_ready() -> None:
    (agent,) = parse("\n\nx 3 pipe binary notready notready /bin/x\n", "f").agents
    assert isinstance(agent, PipeAgent)
    assert (agent.line, agent.label, agent.not_ready, agent.command) == (3, "x", True, ("/bin/x",))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x 3 pipe binary version1 /bin/x", PipeAgent("x", 3, ("/bin/x",), version=1)),
        ("x 3 pipe binary Version1 notready version1 /bin/x", PipeAgent("x", 3, ("/bin/x",), True, version=1)),
        ("x 3 pipe binary notready version1 /bin/x", PipeAgent("x", 3, ("/bin/x",), True, version=1)),
        ("x 3 pipe binary /bin/x version1", PipeAgent("x", 3, ("/bin/x", "version1"), version=2)),
        ("x 3 socket inet 5678 version1", SocketAgent("x", 3, "inet", 5678, version=1)),
        ("x 3 socket unix /s version1 /bin/x -u /s", SocketAgent("x", 3, "unix", "/s", ("/bin/x", "-u", "/s"), 1)),
        ("x 3 socket unix /s notready", SocketAgent("x", 3, "unix", "/s", ("notready",), 2)),
    ],
)
def test_an_agent_is_of_version_1_where_its_line_says_so(line: str, expected: PipeAgent | SocketAgent) -> None:
    (agent,) = agents(line)
    assert agent == expected
    assert getattr(agent, "not_ready", False) == getattr(expected, "not_ready", False)


def test_an_agent_of_another_version_is_another_agent_for_a_reload() -> None:
    assert agents("x 3 pipe binary /bin/x") != agents("x 3 pipe binary version1 /bin/x")
    assert agents("x 3 socket inet 5678") != agents("x 3 socket inet 5678 version1")


def test_agents_are_the_same_for_a_reload_when_only_label_line_and_readiness_differ() -> None:
    assert agents("x 3 pipe binary /bin/x a") == agents("\ny 3 pipe binary notready /bin/x a")
    assert agents("x 3 pipe binary /bin/x a") != agents("x 3 pipe binary /bin/x b")


def test_words_are_quoted_escaped_commented_and_continued_as_in_stock() -> None:
    line = r""""a b" 250 PIPE binary /bin/cat "x y"z \"q\" a\#b c"d e" "f\"g" "h\\i" j\k "#" "" c#comment"""
    (agent,) = parse(line, "f").agents
    assert agent.label == "a b"
    assert agent.command == ("/bin/cat", "x y", "z", '"q"', "a#b", 'c"d', 'e"', 'f"g', r"h\\i", r"j\k", "#", "", "c")


def test_a_backslash_at_the_end_continues_a_line_and_a_comment_with_it() -> None:
    text = "l 251 pipe binary /bin/cat a\\\nb # comment \\\n  c\nm 252 dso init /m.so\r\n"
    first, second = parse(text, "f").agents
    assert first == PipeAgent("l", 251, ("/bin/cat", "a", "b"))
    assert (second, second.line) == (DsoAgent("m", 252, "init", "/m.so"), 4)


def test_bytes_that_are_not_utf_8_stay_what_they_are_in_a_command(tmp_path: Path) -> None:
    (tmp_path / "pmcd.conf").write_bytes(b"x 3 pipe binary /bin/\xff\n")
    (agent,) = load(tmp_path / "pmcd.conf").agents
    assert isinstance(agent, PipeAgent)
    assert agent.command[0].encode(errors="surrogateescape") == b"/bin/\xff"


def test_an_empty_file_has_no_agents_and_no_access_control() -> None:
    assert parse("", "f") == Configuration()


def test_the_second_file_adds_statements(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("[access]\nallow 1.2.3.4 : all;")
    (tmp_path / "c.access").write_text("\ndisallow * : store;")
    first, second = load(tmp_path / "c").statements
    assert (first.names, first.file, first.line) == (("1.2.3.4",), str(tmp_path / "c"), 2)
    assert (second.names, second.file, second.line) == (("*",), str(tmp_path / "c.access"), 2)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x", "ends where the domain of 'x' should be"),
        ("x 511 dso a /b", "'511' is no domain for 'x'; write a number from 0 to 510"),
        ("x -1 dso a /b", "'-1' is no domain"),
        ("x 0x3 dso a /b", "'0x3' is no domain"),
        ("x ٣ dso a /b", "'٣' is no domain"),
        (f"x {'9' * 50} dso a /b", "is no domain"),
        ("x 3", "ends where the kind of agent: dso, socket or pipe should be"),
        ("x 3 exec y", "'exec' is no kind of agent"),
        ("x 3 dso a", "ends where the DSO's path should be"),
        ("x 3 dso a b", "path 'b' is not absolute"),
        ("x 3 dso a /b c d", "nothing may follow the path of a DSO; take 'c d' away"),
        ("x 3 socket tcp 1", "'tcp' is no family of sockets"),
        ("x 3 socket inet", "ends where the port should be"),
        ("x 3 socket inet 0", "0 is no port"),
        ("x 3 socket inet 70000", "70000 is no port"),
        ("x 3 socket inet nosuchservice", "no service is called 'nosuchservice'"),
        ("x 3 socket unix", "ends where the socket's path should be"),
        ("x 3 pipe text /b", "'text' stands where binary must"),
        ("x 3 pipe binary notready", "the command that starts 'x' is missing"),
        ("x 3 pipe binary version1", "the command that starts 'x' is missing"),
        ('x 3 dso a "/b', "a quote that is not closed"),
        (r'x 3 dso a "/b\"', "a quote that is not closed"),
        ("x 3 pipe binary " + "y" * 5000, "a line of 5016 characters; the limit is 4096"),
    ],
)
def test_a_mistake_in_an_agents_line_is_named(line: str, expected: str) -> None:
    (problem,) = problems(f"# first\n{line}\n")
    assert problem.startswith("pmcd.conf:2: ")
    assert expected in problem


def test_a_domain_belongs_to_one_agent_only() -> None:
    assert problems("a 3 dso a /b\nb 3 dso a /b") == [
        "pmcd.conf:2: domain 3 belongs to 'a' of line 1; take another",
    ]


def test_all_mistakes_are_reported_not_only_the_first() -> None:
    found = problems(
        "a 3 pipe text /b\nok 4 dso a /b\nc\n[access]\npermit * : all;\nallow * : all, fetch;\nallow * : store;\n",
        "allow : fetch;\n",
    )
    assert [line.split(": ")[0] for line in found] == [
        "pmcd.conf:1",
        "pmcd.conf:3",
        "pmcd.conf:5",
        "pmcd.conf:6",
        "pmcd.conf.access:1",
    ]


def test_a_file_that_is_no_text_or_far_too_large_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "nul").write_bytes(b"a 3 dso\n\0")
    (tmp_path / "large").write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigurationError, match=r"nul:2: has a NUL byte"):
        load(tmp_path / "nul")
    with pytest.raises(ConfigurationError, match=r"large: is larger than 1048576 bytes"):
        load(tmp_path / "large")


def test_stocks_own_file_is_read_whole() -> None:
    path = Path("/etc/pcp/pmcd/pmcd.conf")
    require(path.exists(), "stock's pmcd.conf")
    found = load(path)
    assert {agent.label for agent in found.agents} >= {"pmcd", "proc", "linux", "mmv"}
    assert [statement.names for statement in found.statements] == [(".*",), (":*",), ("local:*",)]


WORDS = ["x", "3", "dso", "socket", "pipe", "binary", "inet", "/b", "[", "]", "[access]", "access", "allow", "disallow"]
WORDS += [
    "*",
    "user",
    "host",
    ":",
    ",",
    ";",
    "all",
    "except",
    "fetch",
    "maximum",
    "connections",
    '"',
    '\\"',
    "#",
    "\\\n",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*WORDS, " ", "\n"]) | st.text(max_size=4), max_size=40).map(" ".join))
def test_any_text_is_a_configuration_or_an_error_by_file_and_line(text: str) -> None:
    try:
        parse(text, "f")
    except ConfigurationError as error:
        lines = text.count("\n") + 1
        assert all(problem.file == "f" and 0 < problem.line <= lines for problem in error.problems)


def test_a_hostile_line_takes_no_time() -> None:
    before = time.thread_time()
    for line in ('\\"' * 2000 + "\n", '"' * 4000, '"' + '\\"' * 2000, " " * 4000 + '"', "\\\n" * 100_000):
        with contextlib.suppress(ConfigurationError):
            parse(line, "f")
    assert time.thread_time() - before < 1.0
