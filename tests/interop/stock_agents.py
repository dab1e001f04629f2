"""Stock's agents under two daemons, ours and stock's, with the same configuration; and what clients see of both."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peers import PMDAS, PMNS, STOCK_AGENTS, STOCK_PMCD, Daemon, OurDaemon, StockAgent, StockPmcd, compiled_agent, stock

PYTHON = "/usr/bin/python3"

MORE_AGENTS = {
    "root": StockAgent(
        f"1 pipe binary {PMDAS}/root/pmdaroot -s {{var}}/root.socket -l pmdaroot.log", f"{PMNS}/root_root"
    ),
    "proc": StockAgent(f"3 pipe binary {PMDAS}/proc/pmdaproc -d 3", f"{PMNS}/root_proc"),
    "xfs": StockAgent(f"11 pipe binary {PMDAS}/xfs/pmdaxfs -d 11", f"{PMNS}/root_xfs"),
    "kvm": StockAgent(f"95 pipe binary {PMDAS}/kvm/pmdakvm -d 95", f"{PMNS}/root_kvm"),
    "jbd2": StockAgent(f"122 pipe binary {PMDAS}/jbd2/pmdajbd2 -d 122", f"{PMNS}/root_jbd2"),
    "mmv": StockAgent(f"70 pipe binary {PMDAS}/mmv/pmdammv -d 70 -U root", f"{PMNS}/root_mmv"),
    "trivial.python": StockAgent(
        f"250 pipe binary {PYTHON} {PMDAS}/trivial/pmdatrivial.python", f"{PMDAS}/trivial/root"
    ),
    "names of simple": StockAgent("", f"{PMDAS}/simple/root"),
    "simple.python": StockAgent(f"253 pipe binary {PYTHON} {PMDAS}/simple/pmdasimple.python", f"{PMDAS}/simple/root"),
}
AGENTS = STOCK_AGENTS | MORE_AGENTS


def line(name: str, directory: Path) -> str:
    """The agent's line of pmcd.conf; what it keeps for itself is in the daemon's own directory."""
    if not AGENTS[name].line:
        return ""
    text = AGENTS[name].line.replace("{var}", str(directory / "var"))
    return f"{name} {text.format(compiled=compiled_agent(name)) if 'compiled' in text else text}\n"


def write_files(daemon: Daemon, agents: Sequence[str], more: str) -> tuple[Path, Path]:
    """The configuration and the name space of a daemon with these agents."""
    configuration, names = daemon.directory / "pmcd.conf", daemon.directory / "names"
    configuration.write_text("".join(line(name, daemon.directory) for name in agents) + more)
    (daemon.directory / "tmp/mmv").mkdir(parents=True, exist_ok=True)
    sources = dict.fromkeys(AGENTS[name].names for name in agents)
    merged = stock("pmnsmerge", "-a", *sources, names)
    assert merged.returncode == 0, merged.stderr
    return configuration, names


class OurPmcd(OurDaemon):
    """`pypcp pmcd` with stock's agents."""

    def __init__(self, agents: Sequence[str], *options: object, more: str = "", loop: str = "uvloop") -> None:
        super().__init__(*options, tool="pmcd", loop=loop)
        self.agents, self.more = agents, more

    def command(self) -> Sequence[str]:
        configuration, names = write_files(self, self.agents, self.more)
        log = ["-l", str(self.directory / "pmcd.log")]
        return [*super().command(), "-c", str(configuration), "-n", str(names), *log]


class TheirPmcd(StockPmcd):
    """Stock's pmcd with the same."""

    def __init__(self, agents: Sequence[str], *options: object, more: str = "") -> None:
        super().__init__((), *options)
        self.names, self.more = agents, more

    def command(self) -> Sequence[str]:
        configuration, names = write_files(self, self.names, self.more)
        where = ["-p", str(self.port), "-s", str(self.socket), "-l", str(self.directory / "pmcd.log")]
        return [STOCK_PMCD, "-f", "-A", *where, "-c", str(configuration), "-n", str(names), *self.options]


@dataclass(frozen=True)
class Pair:
    """Both daemons, up, with the same agents."""

    ours: OurPmcd
    theirs: TheirPmcd

    @property
    def both(self) -> tuple[Daemon, Daemon]:
        return self.ours, self.theirs


@contextmanager
def pair(agents: Sequence[str], *options: object, more: str = "") -> Iterator[Pair]:
    """Both daemons with these agents (keys of AGENTS) and further lines of configuration."""
    with OurPmcd(agents, *options, more=more) as ours, TheirPmcd(agents, *options, more=more) as theirs:
        yield Pair(ours, theirs)


def said(daemon: Daemon, tool: str, *arguments: object, by: str = "tcp") -> str:
    """What a tool of stock's prints, on its output and after it on its error output."""
    run = stock(tool, "-h", getattr(daemon, by), *arguments)
    return (run.stdout + run.stderr).replace(str(daemon.directory), "DIRECTORY").replace(str(daemon.port), "PORT")
