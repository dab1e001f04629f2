"""Our daemon beside stock's: the same fetches, in turn, pinned alike, in one run. README.md says how to read it."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
sys.path.insert(0, str(HERE.parent / "tests"))

import pytest  # noqa: E402

from peers import Daemon, OurDaemon, StockPmcd, stock  # noqa: E402

LINUX = ("hinv", "kernel", "mem", "swap", "disk", "network")
LOAD = ("kernel.all.load",)
DASHBOARD = (
    "kernel.all.load",
    "kernel.all.cpu.user",
    "kernel.all.cpu.sys",
    "kernel.all.cpu.idle",
    "kernel.all.cpu.wait.total",
    "kernel.all.intr",
    "kernel.all.pswitch",
    "kernel.all.nprocs",
    "mem.util.used",
    "mem.util.free",
    "mem.util.cached",
    "mem.util.available",
    "swap.used",
    "swap.pagesin",
    "disk.all.read",
    "disk.all.write",
    "disk.all.read_bytes",
    "disk.all.write_bytes",
    "network.interface.in.bytes",
    "network.interface.out.bytes",
)
LOAD_FILES = ("/proc/loadavg",)
DASHBOARD_FILES = (
    "/proc/loadavg",
    "/proc/stat",
    "/proc/meminfo",
    "/proc/vmstat",
    "/proc/diskstats",
    "/proc/net/dev",
)
LINUX_FILES = (
    *DASHBOARD_FILES,
    "/proc/interrupts",
    "/proc/softirqs",
    "/proc/zoneinfo",
    "/proc/buddyinfo",
    "/proc/uptime",
)
PLACEMENTS = {"same": (0, 0), "crossed": (0, 1)}  # core of the server, core of the clients


@dataclass(frozen=True)
class Scenario:
    """What is fetched, by how many clients, and the files that the kernel has to be asked for in any case."""

    name: str
    metrics: Sequence[str]
    clients: int
    files: Sequence[str] = ()
    accept_errors: bool = False


@dataclass(frozen=True)
class Sample:
    """One side, once: microseconds, and fetches a second over all clients."""

    fetches: float
    rate: float
    p50_us: float
    p99_us: float
    max_us: float
    client_cpu_us: float
    errors: float
    server_cpu_us: float


@dataclass(frozen=True)
class Row:
    """One scenario in one placement, over all pairs; a ratio is ours over stock's, the median over the pairs."""

    scenario: str
    metrics: int
    clients: int
    placement: str
    p50_ratio: float
    p50_ratio_range: tuple[float, float]
    rate_ratio: float
    cpu_ratio: float
    stock: Sample
    ours: Sample
    floor_us: float | None


class Bench:
    """Two daemons that are up, and the client that measures them."""

    def __init__(self, stock_side: Daemon, our_side: Daemon, options: argparse.Namespace) -> None:
        self.sides = {"stock": stock_side, "ours": our_side}
        self.options = options
        self.client = compile_client()

    def rows(self, scenarios: Iterable[Scenario]) -> Iterator[Row]:
        for scenario in scenarios:
            for placement in self.options.placement:
                yield self._row(scenario, placement)

    def _row(self, scenario: Scenario, placement: str) -> Row:
        samples: dict[str, list[Sample]] = {"stock": [], "ours": []}
        for pair in range(self.options.pairs):
            for side in ("stock", "ours") if pair % 2 == 0 else ("ours", "stock"):
                samples[side].append(self._sample(self.sides[side], scenario, placement))
        pairs = list(zip(samples["ours"], samples["stock"], strict=True))
        p50 = [ours.p50_us / theirs.p50_us for ours, theirs in pairs]
        return Row(
            scenario.name,
            len(scenario.metrics),
            scenario.clients,
            placement,
            p50_ratio=statistics.median(p50),
            p50_ratio_range=(min(p50), max(p50)),
            rate_ratio=statistics.median(ours.rate / theirs.rate for ours, theirs in pairs),
            cpu_ratio=statistics.median(ours.server_cpu_us / theirs.server_cpu_us for ours, theirs in pairs),
            stock=typical(samples["stock"]),
            ours=typical(samples["ours"]),
            floor_us=self._floor(scenario, placement),
        )

    def _sample(self, daemon: Daemon, scenario: Scenario, placement: str) -> Sample:
        server, client = PLACEMENTS[placement]
        pin(daemon, server)
        address = daemon.unix if self.options.unix else daemon.tcp
        errors = ["-e"] if scenario.accept_errors else []
        warmup = max(1, self.options.warmup // scenario.clients)
        command = ["-h", address, "-c", str(scenario.clients), "-w", str(warmup), *errors]
        before = cpu_us(daemon)
        measured = self._run(client, [*command, *scenario.metrics])
        fetches = measured["fetches"] + scenario.clients * (warmup + 1)
        return Sample(**measured, server_cpu_us=(cpu_us(daemon) - before) / fetches)

    def _floor(self, scenario: Scenario, placement: str) -> float | None:
        if not scenario.files:
            return None
        return float(self._run(PLACEMENTS[placement][0], ["-r", *scenario.files])["p50_us"])

    def _run(self, core: int, arguments: Sequence[str]) -> dict[str, float]:
        command = ["taskset", "-c", str(core), str(self.client), "-s", str(self.options.seconds), *arguments]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=60 + self.options.seconds)
        if finished.returncode != 0:
            sys.exit(finished.stderr.strip())
        return dict(json.loads(finished.stdout))


def compile_client() -> Path:
    OUT.mkdir(exist_ok=True)
    program = OUT / "fetch_client"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", program, HERE / "fetch_client.c", "-lpcp"], check=True)
    return program


def typical(samples: Sequence[Sample]) -> Sample:
    """The median of every figure on its own; of the maxima, the greatest."""
    fields = {name: statistics.median(getattr(s, name) for s in samples) for name in Sample.__dataclass_fields__}
    return Sample(**fields | {"max_us": max(sample.max_us for sample in samples)})


def processes(daemon: Daemon) -> list[Path]:
    """The daemon and all that it has started: the processes of its session."""
    return [Path(f"/proc/{name}") for name in os.listdir("/proc") if name.isdigit() and _session(name) == daemon.pid]


def _session(pid: str) -> int:
    try:
        return os.getsid(int(pid))
    except ProcessLookupError:
        return 0


def pin(daemon: Daemon, core: int) -> None:
    for process in processes(daemon):
        for thread in (process / "task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


def cpu_us(daemon: Daemon) -> float:
    """CPU time that the daemon and its agents have used so far, by the scheduler's nanosecond count."""
    counts = (path.read_text().split()[0] for p in processes(daemon) for path in p.glob("task/*/schedstat"))
    return sum(map(int, counts)) / 1000


def pss_kib(daemon: Daemon) -> int:
    """Memory of the daemon and its agents, shared pages counted once between those that share them."""
    rollups = ((process / "smaps_rollup").read_text() for process in processes(daemon))
    return sum(int(line.split()[1]) for text in rollups for line in text.splitlines() if line.startswith("Pss:"))


def scenarios(ours: Daemon, theirs: Daemon, only: str) -> list[Scenario]:
    everything = sorted(leaves(ours) & leaves(theirs))
    planned = [
        *(Scenario("numagents", ("pmcd.numagents",), clients) for clients in (1, 8, 64)),
        *(Scenario("load", LOAD, clients, LOAD_FILES) for clients in (1, 8, 64)),
        *(Scenario("dashboard", DASHBOARD, clients, DASHBOARD_FILES) for clients in (1, 8, 64)),
        Scenario("linux", everything, 1, LINUX_FILES, accept_errors=True),
    ]
    return [scenario for scenario in planned if only in f"{scenario.name}-{scenario.clients}"]


def leaves(daemon: Daemon) -> set[str]:
    """The names of the Linux metrics that the daemon serves."""
    return set(stock("pminfo", "-h", daemon.unix, *LINUX).stdout.split())


HEADINGS = (
    "scenario   metrics clients placement |  p50 stock   ours  ratio (range)        |  p99 stock    ours |"
    " rate ratio |  CPU stock   ours  ratio | floor"
)


def line(row: Row) -> str:
    low, high = row.p50_ratio_range
    floor = "-" if row.floor_us is None else f"{row.floor_us:.1f}"
    return (
        f"{row.scenario:10} {row.metrics:7} {row.clients:7} {row.placement:9} |"
        f" {row.stock.p50_us:10.1f} {row.ours.p50_us:6.1f} {row.p50_ratio:6.2f} ({low:5.2f} - {high:5.2f}) |"
        f" {row.stock.p99_us:10.1f} {row.ours.p99_us:7.1f} | {row.rate_ratio:10.2f} |"
        f" {row.stock.server_cpu_us:10.1f} {row.ours.server_cpu_us:6.1f} {row.cpu_ratio:6.2f} | {floor:>6}"
    )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10, help="pairs of samples for each line (default 10)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one sample (default 0.5)")
    parser.add_argument("--warmup", type=int, default=50, help="fetches before a sample begins (default 50)")
    parser.add_argument("--quick", action="store_true", help="3 pairs of 0.2 s: a first look")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="scenarios with TEXT in their name, as in dashboard-8"
    )
    parser.add_argument("--placement", action="append", choices=PLACEMENTS, help="one placement only (default both)")
    parser.add_argument("--unix", action="store_true", help="by the UNIX socket instead of TCP")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop", help="our event loop")
    parser.add_argument("--control", action="store_true", help="stock against stock: what a ratio is worth here")
    chosen = parser.parse_args()
    chosen.placement = chosen.placement or list(PLACEMENTS)
    if chosen.quick:
        chosen.pairs, chosen.seconds = 3, 0.2
    return chosen


def measure(chosen: argparse.Namespace) -> dict[str, object]:
    our_side: Daemon = StockPmcd() if chosen.control else OurDaemon(loop=chosen.loop)
    with StockPmcd() as stock_side, our_side:
        bench = Bench(stock_side, our_side, chosen)
        print(HEADINGS, flush=True)
        rows = []
        for row in bench.rows(scenarios(our_side, stock_side, chosen.only)):
            rows.append(row)
            print(line(row), flush=True)
        memory = {name: pss_kib(side) for name, side in bench.sides.items()}
        print(f"PSS with the agents, KiB: stock {memory['stock']}, ours {memory['ours']}")
    return {"options": vars(chosen), "pss_kib": memory, "rows": [asdict(row) for row in rows]}


def main() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("The placements need two cores; this process may use one only.")
    chosen = options()
    try:
        result = measure(chosen)
    except (pytest.fail.Exception, pytest.skip.Exception) as error:
        sys.exit(str(error))
    path = OUT / time.strftime("%Y%m%dT%H%M%S.json")
    path.write_text(json.dumps(result, indent=1))
    print(
        f"Microseconds; {chosen.pairs} pairs of {chosen.seconds} s a line. All figures: {path.relative_to(HERE.parent)}"
    )


if __name__ == "__main__":
    main()
