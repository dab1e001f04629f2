"""Our agents where stock's programs start them: under dbpmda, and as lines of a stock pmcd's configuration."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers import PMDAS as PMDAS
from peers import STOCK_AGENTS, Daemon, OurDaemon, StockAgent, StockPmcd, stock

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
def pmcd_with(
    kind: str,
    name: str,
    domain: int,
    agent: object,
    names: Path | str,
    *options: str,
    state: Path,
    notready: bool = False,
    python_path: Path | None = None,
) -> Iterator[Daemon]:
    """A pmcd, "stock" or "ours", that starts one of our agents as a process of its own."""
    start = SERVE if python_path is None else ["/usr/bin/env", f"PYTHONPATH={python_path}", *SERVE]
    words = [*start, str(agent), "--state", str(state), "-l", str(state / "agent.log"), *options]
    line = f"{domain} pipe binary {'notready ' if notready else ''}{' '.join(words)}"
    with (_stock if kind == "stock" else _ours)(name, line, names, state) as daemon:
        yield daemon


@contextmanager
def stock_pmcd_with(*arguments: object, state: Path) -> Iterator[Daemon]:
    """:func:`pmcd_with` for stock's."""
    with pmcd_with("stock", *arguments, state=state) as daemon:  # type: ignore[arg-type]
        yield daemon


@contextmanager
def _stock(name: str, line: str, names: Path | str, state: Path) -> Iterator[Daemon]:
    key = f"our_{name}"
    STOCK_AGENTS[key] = StockAgent(line, str(names))
    try:
        with StockPmcd(["pmcd", key]) as daemon:
            yield daemon
    finally:
        del STOCK_AGENTS[key]


@contextmanager
def _ours(name: str, line: str, names: Path | str, state: Path) -> Iterator[Daemon]:
    configuration = state / "pmcd.conf"
    configuration.write_text(f"{name} {line}\n")
    merged = state / "merged_names"
    stock("pmnsmerge", "-a", names, merged)
    with OurDaemon("-c", configuration, "-n", merged, tool="pmcd") as daemon:
        yield daemon


def dynamic_names(agent: object, into: Path) -> Path:
    """A name space file in which the agent itself is asked for all its names."""
    main = [sys.executable, "-m", "pypcp.tools.main", "agent", "names", "--root", str(agent)]
    into.write_text(subprocess.run(main, check=True, capture_output=True, text=True, env=os.environ).stdout)
    return into
