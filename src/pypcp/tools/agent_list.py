"""``pypcp agent list``: the agents that are installed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pypcp.pmda.finding import installed_agents


def main(argv: Sequence[str]) -> int:
    """Print a line an agent: its name, and where it is from."""
    argparse.ArgumentParser(prog="pypcp agent list", description="List the agents that are installed.").parse_args(argv)
    for name, place in sorted(installed_agents().items()):
        print(f"{name:<16} {place}")
    return 0
