"""`make soak`: honest, heavy and hostile clients together on our daemon, for as long as one likes to wait.

    python tests/soak/run.py [--minutes 30] [--loop asyncio]

A tenth of the time before and after belongs to the honest ones alone. The status is 1 where an honest client was not
answered, the daemon ended or complained, or it has more memory or descriptors at the end than it should.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from peers import OurDaemon  # noqa: E402
from soak import workers  # noqa: E402

DASHBOARD = 20
LOOK_EVERY_S = 10.0
GROWTH_MB = 8
SPARE_DESCRIPTORS = 5


@dataclass(frozen=True)
class Look:
    """What the daemon had at a moment."""

    when: float
    rss_mb: float
    pss_mb: float
    descriptors: int
    processor_s: float


class Soak:
    """One run: its phases and what was seen of them."""

    def __init__(self, daemon: OurDaemon, seconds: float, directory: Path) -> None:
        self.daemon = daemon
        self.begins = time.time()
        self.attacked_from = self.begins + seconds / 10
        self.attacked_until = self.begins + seconds * 9 / 10
        self.ends = self.begins + seconds
        self.report = directory / "honest"
        self.looks: list[Look] = []
        self.failures: list[str] = []

    def run(self) -> None:
        """Start everybody when it is their time, and look at the daemon meanwhile."""
        pmids = asyncio.run(workers.everything(self.daemon.socket))
        dashboard = pmids[-DASHBOARD:]
        honest = _start(workers.honest, self.daemon.socket, dashboard, self.ends, self.report)
        self._watch(honest, self.attacked_from)
        others = [
            _start(workers.heavy, self.daemon.socket, pmids, self.attacked_until),
            _start(workers.hostile, self.daemon.socket, self.daemon.port, pmids, self.attacked_until),
        ]
        self._watch(honest, self.attacked_until)
        self._end(others)
        self._watch(honest, self.ends)
        self._end([honest])

    def _watch(self, honest: BaseProcess, until: float) -> None:
        while (now := time.time()) < until and honest.is_alive():
            time.sleep(min(LOOK_EVERY_S, until - now))
            self.looks.append(look(self.daemon.pid))
            seen = self.looks[-1]
            print(
                f"{seen.when - self.begins:7.0f} s  {self._phase(seen.when):6}  RSS {seen.rss_mb:6.1f} MB"
                f"  PSS {seen.pss_mb:6.1f} MB  {seen.descriptors:5} descriptors  CPU {seen.processor_s:7.1f} s",
                flush=True,
            )

    def _end(self, processes: Iterable[BaseProcess]) -> None:
        for process in processes:
            process.join(30)
            if process.exitcode != 0:
                self.failures.append(f"{process.name} ended with {process.exitcode}")
                process.kill()
                process.join()

    def _phase(self, when: float) -> str:
        return "before" if when < self.attacked_from else "during" if when < self.attacked_until else "after"

    def summary(self) -> None:
        """Print the latencies of the honest clients by phase, and find fault with the rest."""
        seen: dict[str, list[float]] = {"before": [], "during": [], "after": []}
        for line in self.report.read_text().splitlines():
            when, seconds = map(float, line.split())
            seen[self._phase(when)].append(seconds)
        print("honest clients: milliseconds of a fetch of 20 metrics")
        for phase, seconds_ in seen.items():
            print(f"  {phase:6}  {_percentiles(seconds_)}")
        self._judge()

    def _judge(self) -> None:
        during = [each for each in self.looks if self._phase(each.when) == "during"]
        after = self.looks[-1]
        early, late = during[len(during) // 4], during[-1]
        print(f"memory during: {early.rss_mb:.1f} MB after a quarter, {late.rss_mb:.1f} MB at the end")
        if late.rss_mb > early.rss_mb + max(GROWTH_MB, early.rss_mb / 4):
            self.failures.append(f"memory grew from {early.rss_mb:.1f} to {late.rss_mb:.1f} MB")
        if after.descriptors > self.looks[0].descriptors + SPARE_DESCRIPTORS:
            self.failures.append(
                f"{after.descriptors} descriptors are open after it, {self.looks[0].descriptors} before"
            )
        if "Traceback" in self.daemon.log:
            self.failures.append(f"the daemon complains:\n{self.daemon.log}")


def _start(target: object, *arguments: object) -> BaseProcess:
    assert callable(target)
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments, name=target.__name__)
    process.start()
    return process


def look(pid: int) -> Look:
    """Read what the kernel says of a process."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    rss, pss = (int(fields[name].split()[0]) / 1024 for name in ("Rss", "Pss"))
    processor_s = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    return Look(time.time(), rss, pss, len(os.listdir(f"/proc/{pid}/fd")), processor_s)


def _percentiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "no fetch"
    inorder = sorted(seconds)
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
    figures = [f"{name} {1e3 * inorder[int(len(inorder) * place)]:.2f}" for name, place in places.items()]
    return f"{len(inorder):7} fetches  {'  '.join(figures)}  max {1e3 * inorder[-1]:.2f}"


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pypcp-soak-") as directory, OurDaemon(loop=given.loop) as daemon:
        soak = Soak(daemon, given.minutes * 60, Path(directory))
        soak.run()
        soak.summary()
    for failure in soak.failures:
        print(f"FAILED: {failure}")
    return 1 if soak.failures else 0


if __name__ == "__main__":
    sys.exit(main())
