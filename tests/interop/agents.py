"""Our agents where stock's programs start them: under dbpmda, and as lines of a stock pmcd's configuration."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers import PMDAS as PMDAS
from peers import STOCK_AGENTS, StockAgent, StockPmcd, stock

SERVE = [sys.executable, "-W", "error", "-m", "pypcp.tools.main", "agent", "serve"]
STOCK_SAMPLE = "/usr/lib/pcp/pmdas/sample/pmdasample"


def dbpmda(opening: str, *commands: str, names: Path | str | None = None) -> str:
    """What dbpmda prints when it opens an agent and gives it these commands, each command above its answer."""
    options = ["-f", "-e", *(["-n", str(names)] if names is not None else [])]
    lines = "\n".join([opening, *commands, "quit", ""])
    run = stock("dbpmda", *options, stdin=lines)
    assert "Error: " not in run.stdout, run.stdout
    return run.stdout.partition("\n" + commands[0])[2] if commands else run.stdout


def open_ours(agent: object, state: Path, *options: str) -> str:
    """The command with which dbpmda starts one of our agents on a pipe."""
    words = [*SERVE, str(agent), "--state", str(state), "-l", str(state / "agent.log"), *options]
    return "open pipe " + " ".join(words)


@contextmanager
def stock_pmcd_with(
    name: str, domain: int, agent: object, names: Path | str, *options: str, state: Path, notready: bool = False
) -> Iterator[StockPmcd]:
    """A stock pmcd that starts one of our agents, and its own."""
    words = [*SERVE, str(agent), "--state", str(state), "-l", str(state / "agent.log"), *options]
    key = f"our_{name}"
    line = f"{domain} pipe binary {'notready ' if notready else ''}{' '.join(words)}"
    STOCK_AGENTS[key] = StockAgent(line, str(names))
    try:
        with StockPmcd(["pmcd", key]) as daemon:
            yield daemon
    finally:
        del STOCK_AGENTS[key]


def dynamic_names(agent: object, into: Path) -> Path:
    """A name space file in which the agent itself is asked for all its names."""
    main = [sys.executable, "-m", "pypcp.tools.main", "agent", "names", "--root", str(agent)]
    into.write_text(subprocess.run(main, check=True, capture_output=True, text=True, env=os.environ).stdout)
    return into
