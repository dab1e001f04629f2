"""Agents on our SDK beside stock's: the same requests straight into their pipes, in turn, pinned alike, in one run.

    .venv/bin/python bench/agent_side_by_side.py [--quick] [--only TEXT]

Each line is one kind of request and one agent: microseconds of a request (median, 99th percentile), processor time
of the agent for each, and the median ratio of the medians to ours, over the rounds. README.md says more.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pypcp.model.ids import InDom, Pmid
from pypcp.model.profile import EVERYTHING, InDomProfile, Profile
from pypcp.model.values import ValueSet, ValueType
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.framing import FrameReader
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.instance import InstanceRequest
from pypcp.wire.pdu import Pdu, decode, encode
from pypcp.wire.pmns import PmnsIds, PmnsNames
from pypcp.wire.result import Result

HERE = Path(__file__).resolve().parent
DOMAIN = 400
ONE, COLUMN, GROW = (Pmid.build(DOMAIN, 0, item) for item in range(3))
INDOM = InDom.build(DOMAIN, 0)
SINGLE_INSTANCE = Profile(indoms={INDOM: InDomProfile(False, frozenset({5000}))})
MANY_NAMES = 20_000
STOCK_PATH = "/usr/bin:/usr/lib/pcp/bin:/bin"


class Running:
    """An agent at the other end of its pipe."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], core: int) -> None:
        self.name = name
        started = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            env={"PATH": STOCK_PATH, "HOME": "/tmp", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._frames = FrameReader()
        self._requests, self._replies = self.process.stdin.fileno(), self.process.stdout.fileno()
        self._read()
        os.write(self._requests, encode(Creds()))
        self.ask(Fetch(0, (ONE,)))
        self.started_s = time.perf_counter() - started

    def ask(self, pdu: Pdu) -> Pdu:
        self.exchange(encode(pdu))
        return decode(self.reply)

    def tell(self, pdu: Pdu) -> None:
        os.write(self._requests, encode(pdu))

    def exchange(self, frame: bytes) -> None:
        os.write(self._requests, frame)
        self._read()

    def _read(self) -> None:
        while not (frames := self._frames.feed(os.read(self._replies, 1 << 20))):
            pass
        (self.reply,) = frames

    @property
    def cpu_ns(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])

    @property
    def rss_kbytes(self) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@dataclass(frozen=True)
class Work:
    """One kind of request."""

    name: str
    request: Pdu
    profile: Profile = EVERYTHING
    seconds: float = 0.4


WORKS = (
    Work("single value", Fetch(0, (ONE,))),
    Work("10,000 doubles", Fetch(0, (COLUMN,))),
    Work("one instance of 10,000", Fetch(0, (COLUMN,)), SINGLE_INSTANCE),
    Work("list 10,000 instances", InstanceRequest(INDOM)),
)


@dataclass(frozen=True)
class Sample:
    p50_us: float
    p99_us: float
    cpu_us: float


def sample(agent: Running, work: Work, seconds: float) -> Sample:
    """Ask for so many seconds."""
    agent.tell(ProfilePdu(0, work.profile))
    frame, exchange, clock = encode(work.request), agent.exchange, time.perf_counter
    exchange(frame)
    took = []
    cpu, end = agent.cpu_ns, clock() + seconds
    while (begun := clock()) < end:
        exchange(frame)
        took.append(clock() - begun)
    spent = (agent.cpu_ns - cpu) / len(took) / 1000
    took.sort()
    return Sample(took[len(took) // 2] * 1e6, took[len(took) * 99 // 100] * 1e6, spent)


@contextmanager
def agents(core: int, **environment: str) -> Iterator[list[Running]]:
    """All variants at once."""
    with ExitStack() as stack:
        build = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        commands: dict[str, tuple[list[str], dict[str, str]]] = {
            "ours": ([sys.executable, "-m", "pypcp.tools.main", "agent", "serve", str(HERE / "agents" / "ours.py")], {})
        }
        if not environment.get("BENCH_NAMES"):
            program = build / "pmdabench"
            source = str(HERE / "agents" / "agent.c")
            subprocess.run(["gcc", "-O2", "-o", str(program), source, "-lpcp_pmda", "-lpcp"], check=True)
            commands["stock C"] = ([str(program)], {})
        script = str(HERE / "agents" / "stock_python.py")
        for style in ("list",) if environment.get("BENCH_NAMES") else ("list", "dict", "lookup"):
            commands[f"stock Python, {style}"] = (["/usr/bin/python3", script], {"BENCH_STYLE": style})
        running = []
        for name, (command, more) in commands.items():
            state = {"PCP_VAR_DIR": str(build / name.replace(" ", "_")), "XDG_STATE_HOME": str(build)}
            (Path(state["PCP_VAR_DIR"]) / "config" / "pmda").mkdir(parents=True)
            agent = Running(name, command, {**state, **more, **environment}, core)
            stack.callback(agent.end)
            running.append(agent)
        yield running


def compare(works: Sequence[Work], rounds: int, seconds: float, core: int) -> None:
    """The table."""
    print(f"{'request':<24} {'agent':<22} {'p50 us':>9} {'p99 us':>9} {'CPU us':>9} {'p50/ours':>9} {'CPU/ours':>9}")
    with agents(core) as running:
        for work in works:
            samples: dict[str, list[Sample]] = {agent.name: [] for agent in running}
            for turn in range(rounds):
                for agent in running if turn % 2 else reversed(running):
                    samples[agent.name].append(sample(agent, work, seconds))
            for name, all_of in samples.items():
                print_line(work.name, name, all_of, samples["ours"])
        for agent in running:
            print(
                f"start to first answer: {agent.name:<22} {agent.started_s * 1000:6.0f} ms, RSS {agent.rss_kbytes} kB"
            )


def print_line(work: str, name: str, samples: Sequence[Sample], ours: Sequence[Sample]) -> None:
    def median(pick: Callable[[Sample], float]) -> float:
        return statistics.median(pick(each) for each in samples)

    def ratio(pick: Callable[[Sample], float]) -> float:
        return statistics.median(pick(each) / pick(own) for each, own in zip(samples, ours, strict=True))

    figures = [median(lambda each: each.p50_us), median(lambda each: each.p99_us), median(lambda each: each.cpu_us)]
    ratios = [ratio(lambda each: each.p50_us), ratio(lambda each: each.cpu_us)]
    print(
        f"{work:<24} {name:<22} "
        + " ".join(f"{figure:9.1f}" for figure in figures)
        + "".join(f" {each:9.2f}" for each in ratios)
    )


def grow(rounds: int, core: int) -> None:
    """Among 20,000 names: how long the first look-up takes after one more name has come."""
    with agents(core, BENCH_NAMES=str(MANY_NAMES), BENCH_SIZE="1") as running:
        for agent in running:
            known = "bench.tree.m7"
            agent.ask(PmnsNames([known]))
            took = []
            for _ in range(rounds):
                begun = time.perf_counter()
                stored = agent.ask(Result(0, [ValueSet.singular(GROW, 1, ValueType.U32)]))
                found = agent.ask(PmnsNames([known]))
                took.append(time.perf_counter() - begun)
                assert stored == Error(0), stored
                assert isinstance(found, PmnsIds), found
            print(f"one name more among {MANY_NAMES}: {agent.name:<22} {statistics.median(took) * 1000:9.3f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.2 s instead of 10 of 0.4 s")
    parser.add_argument("--only", default="", metavar="TEXT", help="requests with TEXT in their name")
    parser.add_argument("--core", type=int, default=0, help="core of the agents (default: %(default)s)")
    given = parser.parse_args()
    os.sched_setaffinity(0, {given.core ^ 1})
    rounds, seconds = (3, 0.2) if given.quick else (10, 0.4)
    works = [work for work in WORKS if given.only in work.name]
    if works:
        compare(works, rounds, seconds, given.core)
    if given.only in "one name more":
        grow(rounds, given.core)


if __name__ == "__main__":
    main()
