"""pmcd.conf is read twice, by the daemon and by the helper that starts its agents: as the same words."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pypcp.ipc.configuration import ConfigurationError
from pypcp.pmcd import config
from pypcp.root import configured

FRAGMENTS = [
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "\\\n",
    "\\\r\n",
    "\\",
    "\\\\",
    '"',
    '\\"',
    "#",
    "\\#",
    "a",
    "b c",
    "-d",
]
FRAGMENTS += [
    '""',
    '"x y"',
    "notready",
    "NotReady",
    "[",
    "[access]",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\xa0",
    "\u2028",
    "/",
]
STARTS = [
    "x 1 pipe binary /bin/a",
    "y 2 socket unix /run/y /bin/b",
    "z 3 socket inet 5 /bin/c",
    '"x y" 4 PIPE Binary /bin/d',
]
STARTS += ["x 1 pipe binary", "w 5 dso init /lib/w.so", "", "#", "[access]\n", " [ Access ] "]
lines = st.tuples(st.sampled_from(STARTS), st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join)).map("".join)
texts = st.lists(lines, min_size=1, max_size=4).map("\n".join)

Command = tuple[str, bool, tuple[str, ...]]


def as_the_daemon_reads(text: str) -> list[Command]:
    agents = config.parse(text, "pmcd.conf").agents
    programs = [agent for agent in agents if not isinstance(agent, config.DsoAgent) and agent.command]
    return [(agent.label, isinstance(agent, config.PipeAgent), agent.command) for agent in programs]


def as_the_helper_reads(text: str) -> list[Command]:
    return [(line.label, line.pipe, line.argv) for line in configured.parse(text, "pmcd.conf")]


@settings(max_examples=1000, deadline=None)
@given(texts)
@example("x 1 pipe binary /bin/a\\ b")
@example("x 1 pipe binary /bin/a\\\\\nb")
@example('x 1 pipe binary /bin/a"b c"')
@example("x 1 pipe binary /bin/a\x0by 2 pipe binary /bin/b")
def test_whatever_the_daemon_accepts_the_helper_reads_as_the_same_words(text: str) -> None:
    try:
        agents = as_the_daemon_reads(text)
    except ConfigurationError:
        return  # the daemon does not ask for any of it
    assert as_the_helper_reads(text) == agents
