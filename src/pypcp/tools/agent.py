"""``pypcp agent``: write agents, look at them, run them for a daemon."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

_COMMANDS: Final = {
    "new": ("pypcp.tools.agent_new", "write a new agent that works, and its test"),
    "run": ("pypcp.tools.agent_run", "show an agent's values, and again whenever its file is saved"),
    "check": ("pypcp.tools.agent_check", "say what a reviewer would say of an agent"),
    "serve": ("pypcp.tools.agent_serve", "run an agent for a daemon: its line in pmcd.conf"),
    "names": ("pypcp.tools.agent_names", "print an agent's part of a name space file"),
    "list": ("pypcp.tools.agent_list", "list the agents that are installed"),
}
"""Each command's module (it has a ``main(argv)``) and what it is for. Only the one that is called is imported."""


def main(argv: Sequence[str]) -> int:
    """Run the command named first; its exit status."""
    command = _COMMANDS.get(argv[0]) if argv else None
    if command is not None:
        status: int = importlib.import_module(command[0]).main(argv[1:])
        return status
    if argv and argv[0] not in ("-h", "--help", "help"):
        print(f"pypcp agent: there is no command {argv[0]!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    print(_usage())
    return 0


def _usage() -> str:
    lines = [f"  {name:<10} {purpose}" for name, (_, purpose) in _COMMANDS.items()]
    return "\n".join(["usage: pypcp agent COMMAND [options]", "", *lines])


def agent_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser for a command about one agent."""
    parser = argparse.ArgumentParser(prog=f"pypcp agent {command}", description=description)
    parser.add_argument("agent", metavar="NAME-or-FILE", help="an installed agent, or the file that declares one")
    return parser
