"""What a client feels of somebody else's trouble, ours beside stock's in one run. README.md says how to read it.

One agent misbehaves, or one client asks for everything in a loop; other clients fetch other things at fixed times, and
the time of each fetch is counted from the moment at which it was due.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from run import HERE, LINUX, OUT, compile_client  # isort: skip - makes the tests' peers importable

import pytest

from interop.stock_agents import AGENTS, OurPmcd, TheirPmcd
from peers import Daemon, OurDaemon, StockAgent, StockPmcd, stock

FAKE_AGENT = HERE.parent / "tests/fakes/agent.py"
GOOD, BAD = 100, 101
SERVER_CORE, CLIENT_CORE = 0, 1
PRIORITY = 10
BEFORE_S = 0.1
"""How long the victims fetch before the trouble begins: who has to connect first does not notice that he waits."""
PERIOD_MS = 5
TROUBLE_PERIOD_MS = 50

TROUBLES = {
    "takes 1.2 s": "late 1.2",
    "takes 3 s": "late 3",
    "hangs": "hang",
    "garbage": "garbage",
    "half a PDU": "half",
    "dies at start": "die_at_start",
    "dies idle": "die_idle 1",
    "dies asked": "die",
    "dies at profile": "die_at_profile",
    "dies half way": "die_half",
}
"""What the bad agent does, and how tests/fakes/agent.py is told so."""

UNDISTURBED = "undisturbed"
SIDES = ("stock", "ours")

PACED = ("-p", str(PERIOD_MS))
VICTIMS = {"pmcd": (*PACED, "pmcd.numagents"), "agent": (*PACED, "fake100.value")}
"""Arguments of the clients that are measured, all at the same time."""

MIXED = {"mixed": ("-z", str(PERIOD_MS), "pmcd.numagents", "fake100.value", "fake101.value")}
"""A mixed fetch has to wait for the bad agent too; each begins when the one before has ended, and is counted alone."""

GREEDY_VICTIMS = {"pmcd": (*PACED, "pmcd.numagents"), "load": (*PACED, "kernel.all.load")}


@dataclass(frozen=True)
class Felt:
    """What one victim felt: milliseconds, and the metrics that it got no value of, a fetch."""

    p50: float
    p99: float
    longest: float
    errors: float


class Stall:
    """The victims and the client that makes trouble."""

    def __init__(self, seconds: float, *, realtime: bool) -> None:
        self.seconds = seconds
        self._urgent = ["chrt", "-r", str(PRIORITY)] if realtime else []
        self._program = compile_client()

    def sample(self, daemon: Daemon, victims: Mapping[str, Sequence[str]], trouble: Sequence[str]) -> dict[str, Felt]:
        """Every victim's figures, all at the same time, while ``trouble`` (a client's arguments) goes on."""
        with ExitStack() as stack:
            running = {
                name: stack.enter_context(self._client(daemon, ["-s", self.seconds, *victim]))
                for name, victim in victims.items()
            }
            time.sleep(BEFORE_S)
            if trouble:
                stack.enter_context(self._troubled(daemon, trouble))
            return {name: felt(process) for name, process in running.items()}

    def hasten(self, daemon: Daemon) -> None:
        """Give the daemon real-time priority, and not the agents that it starts, if that is wanted."""
        if self._urgent:
            policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(daemon.pid, policy, os.sched_param(PRIORITY))

    def _client(self, daemon: Daemon, arguments: Sequence[object]) -> subprocess.Popen[str]:
        command = [self._program, "-h", daemon.unix, "-w", 0, "-e", *arguments]
        return subprocess.Popen(
            [*self._urgent, "taskset", "-c", str(CLIENT_CORE), *map(str, command)], stdout=subprocess.PIPE, text=True
        )

    @contextmanager
    def _troubled(self, daemon: Daemon, arguments: Sequence[str]) -> Iterator[None]:
        client = self._client(daemon, ["-s", self.seconds + 60, *arguments])
        try:
            yield
        finally:
            for pid in (*children(client.pid), client.pid):
                os.kill(pid, signal.SIGKILL)
            client.communicate()


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as listed:
        return [int(each) for each in listed.read().split()]


def felt(process: subprocess.Popen[str]) -> Felt:
    out, _ = process.communicate(timeout=120)
    if process.returncode != 0:
        sys.exit("a client could not fetch")
    measured = json.loads(out)
    milliseconds = (measured[name] / 1000 for name in ("p50_us", "p99_us", "max_us"))
    return Felt(*milliseconds, errors=measured["errors"] / measured["fetches"])


def typical(samples: Sequence[Felt]) -> Felt:
    """The median of each figure on its own; of the longest, the longest."""
    fields = {name: statistics.median(getattr(s, name) for s in samples) for name in Felt.__dataclass_fields__}
    return Felt(**fields | {"longest": max(sample.longest for sample in samples)})


@contextmanager
def pinned() -> Iterator[None]:
    """What is started here runs, with all that it starts, on the server's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def with_agents(behaviour: str) -> Iterator[dict[str, Daemon]]:
    """Both daemons, each with an agent in good order and one that behaves as told."""
    with ExitStack() as stack:
        names = HERE / "out" / "fake_names"
        lines = "".join(_fake_line(domain, each) for domain, each in ((GOOD, "well"), (BAD, behaviour)))
        names.write_text(_fake_names())
        AGENTS["names of fakes"] = StockAgent("", str(names))
        kinds = {"stock": TheirPmcd, "ours": OurPmcd}
        with pinned():
            yield {
                side: stack.enter_context(kind(["pmcd", "names of fakes"], more=lines)) for side, kind in kinds.items()
            }


def _fake_line(domain: int, behaviour: str) -> str:
    return f"fake{domain} {domain} pipe binary {sys.executable} {FAKE_AGENT} {domain} {behaviour}\n"


def _fake_names() -> str:
    blocks = "".join(f"fake{domain} {{\n    value {domain}:0:0\n}}\n" for domain in (GOOD, BAD))
    return f"root {{\n    fake{GOOD}\n    fake{BAD}\n}}\n{blocks}"


@contextmanager
def with_linux() -> Iterator[dict[str, Daemon]]:
    """Both daemons as they come, for the client that asks for everything."""
    with pinned(), StockPmcd() as theirs, OurDaemon(loop="uvloop") as ours:
        yield {"stock": theirs, "ours": ours}


HEADINGS = (
    "milliseconds               |  stock: p50      p99  longest errors |   ours: p50      p99  longest errors |"
    " p99 ratio: stock ours"
)


@dataclass(frozen=True)
class Case:
    """Both daemons, by side, and the arguments of the client that troubles them."""

    daemons: Mapping[str, Daemon]
    trouble: Sequence[str]


Figures = dict[str, dict[str, dict[str, Felt]]]
"""Typical figures: of each case, of each victim, of each side."""


def measure(stall: Stall, pairs: int, victims: Mapping[str, Sequence[str]], cases: Mapping[str, Case]) -> Figures:
    """Cases and sides take turns, so that all have the same share of what else goes on."""
    taken = [(case, side) for case in cases for side in SIDES]
    samples: dict[tuple[str, str], list[dict[str, Felt]]] = {key: [] for key in taken}
    for pair in range(pairs):
        for case, side in taken if pair % 2 == 0 else reversed(taken):
            stall.hasten(cases[case].daemons[side])
            samples[case, side].append(stall.sample(cases[case].daemons[side], victims, cases[case].trouble))
    return {
        case: {
            victim: {side: typical([sample[victim] for sample in samples[case, side]]) for side in SIDES}
            for victim in victims
        }
        for case in cases
    }


class Report:
    """Prints a line for each victim of each case, beside what it felt undisturbed in the same minutes."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        print(HEADINGS)

    def add(self, figures: Figures) -> None:
        for case, by_victim in figures.items():
            for victim, by_side in by_victim.items():
                calm = figures.get(UNDISTURBED, {}).get(victim)
                print(line(case, victim, by_side, calm), flush=True)
                self.rows.append({"case": case, "victim": victim, **{side: asdict(by_side[side]) for side in SIDES}})


def line(case: str, victim: str, by_side: Mapping[str, Felt], calm: Mapping[str, Felt] | None) -> str:
    both = [by_side[side] for side in SIDES]
    figures = " | ".join(f"{f.p50:11.3f} {f.p99:8.3f} {f.longest:8.2f} {f.errors:6.2f}" for f in both)
    ratios = "" if calm is None else " ".join(f"{by_side[side].p99 / calm[side].p99:10.2f}" for side in SIDES)
    return f"{case:17} {victim:8} | {figures} | {ratios:>21}"


def agents(stall: Stall, chosen: argparse.Namespace) -> Report:
    """A bad agent, beside one in good order that is asked the same."""
    print("A client asks the bad agent 20 times a second; mixed fetches ask it too, and the others.")
    report = Report()
    trouble = ["-p", str(TROUBLE_PERIOD_MS), "fake101.value"]
    for name, behaviour in TROUBLES.items():
        if chosen.only in name:
            with with_agents("well") as calm, with_agents(behaviour) as troubled:
                cases = {UNDISTURBED: Case(calm, trouble), name: Case(troubled, trouble)}
                report.add(measure(stall, chosen.pairs, VICTIMS, cases))
                report.add(measure(stall, chosen.pairs, MIXED, {name: cases[name]}))
    return report


def greedy(stall: Stall, chosen: argparse.Namespace) -> Report:
    """A client that asks for everything there is, as fast as it is answered."""
    print("One client asks for every metric of linux in a loop.")
    report = Report()
    with with_linux() as daemons:
        named = (set(stock("pminfo", "-h", each.unix, *LINUX).stdout.split()) for each in daemons.values())
        everything = sorted(set.intersection(*named))
        cases = {UNDISTURBED: Case(daemons, []), f"{len(everything)} metrics": Case(daemons, everything)}
        report.add(measure(stall, chosen.pairs, GREEDY_VICTIMS, cases))
    return report


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2, help="samples of each side for each line (default 2)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one sample (default 4)")
    parser.add_argument("--only", default="", metavar="TEXT", help="troubles with TEXT in their name, as in dies")
    parser.add_argument(
        "--realtime", action="store_true", help="daemons and clients, not agents, with real-time priority (as root)"
    )
    parser.add_argument("--part", choices=("agents", "greedy"), help="one part only (default both)")
    return parser.parse_args()


def main() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("Server and clients need a core each; this process may use one only.")
    chosen = options()
    stall = Stall(chosen.seconds, realtime=chosen.realtime)
    parts = {"agents": agents, "greedy": greedy}
    try:
        rows = {name: part(stall, chosen).rows for name, part in parts.items() if chosen.part in (None, name)}
    except (pytest.fail.Exception, pytest.skip.Exception) as error:
        sys.exit(str(error))
    path = OUT / time.strftime("stall-%Y%m%dT%H%M%S.json")
    path.write_text(json.dumps({"options": vars(chosen), **rows}, indent=1))
    print(f"Medians of {chosen.pairs} pairs of {chosen.seconds:g} s; all figures: {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
