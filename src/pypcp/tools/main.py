"""``pypcp``: one command, a word for each program."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Final

from pypcp import __version__

COMMANDS: Final = {
    "up": ("pypcp.tools.up", "run the collector here and now, no configuration needed"),
    "pmcd": ("pypcp.tools.pmcd", "run the collector with stock's options and files"),
    "pmdaroot": ("pypcp.tools.pmdaroot", "run the privileged helper"),
    "root": ("pypcp.tools.root_policy", "say what the privileged helper would allow, and why"),
    "user": ("pypcp.tools.user", "say who can log in to the collector"),
    "info": ("pypcp.tools.info", "tell about metrics, as pminfo does"),
    "probe": ("pypcp.tools.probe", "tell whether metrics have values, as pmprobe does"),
    "val": ("pypcp.tools.val", "watch a metric, as pmval does"),
    "store": ("pypcp.tools.store", "change the value of a metric, as pmstore does"),
    "errors": ("pypcp.tools.errors", "say what a PCP error code means, as pmerr does"),
    "agent": ("pypcp.tools.agent", "write an agent, look at it, run it for a daemon"),
}
"""Each command's module (it has a ``main(argv)``) and what it is for. Only the one that is called is imported."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named first; its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"pypcp {__version__}")
        return 0
    command = COMMANDS.get(words[0])
    if command is None:
        print(f"pypcp: there is no command {words[0]!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    status: int = importlib.import_module(command[0]).main(words[1:])
    return status


def _usage() -> str:
    lines = [f"  {name:<10} {purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(["usage: pypcp COMMAND [options]", "", *lines, "", "pypcp COMMAND --help tells more of each."])


if __name__ == "__main__":
    sys.exit(main())
