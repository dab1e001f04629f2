"""``pypcp agent names``: what a name space file has to say so that a daemon asks the agent for names. See: PMNS(5)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

from pypcp.pmda.finding import find_agent
from pypcp.pmda.mistakes import mistake_in
from pypcp.pmda.names import name_space_entry
from pypcp.tools.agent import agent_parser


def main(argv: Sequence[str]) -> int:
    """Print it; the exit status."""
    parser = agent_parser(
        "names", "Print an agent's part of a name space file: the agent itself is asked for its names."
    )
    parser.add_argument("-d", "--domain", type=int, metavar="N", help="use this domain instead of the agent's own")
    parser.add_argument("--root", action="store_true", help="a whole name space, with nothing else in it")
    given = parser.parse_args(argv)
    try:
        agent = find_agent(given.agent, domain=given.domain)
        with redirect_stdout(sys.stderr):  # what the author's code prints is no name space
            names = [name for name, _ in agent.children("")]
    except Exception as error:  # noqa: BLE001 - the author's code
        print(f"pypcp agent names: {mistake_in(error)}", file=sys.stderr)
        return 1
    print(name_space_entry(agent.domain, names, whole=given.root))
    return 0
