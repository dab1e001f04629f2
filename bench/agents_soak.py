"""Twenty agents, some of them killed, stopped and continued at random, and fifty clients that come and go.

Every value is checked to be of the metric that was asked for; what has none must have one of the errors that an agent's
trouble may cost. At the end nothing may be left behind. Exit status 1 where something is wrong. See README.md.
"""

import argparse
import asyncio
import collections
import contextlib
import os
import random
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from run import HERE  # isort: skip - makes the tests' peers importable

from interop.stock_agents import AGENTS, OurPmcd
from peers import StockAgent
from pypcp.errors import AgentNotReady, NoAgent, PcpError, ProtocolError, RequestTimeout, TryAgain, UnknownPmid
from pypcp.model.ids import Pmid
from pypcp.pmapi.context import Context

FAKE_AGENT = HERE.parent / "tests/fakes/agent.py"
STOCK = ("sample", "simple", "trivial")
ECHOES = range(100, 112)
LATE = range(120, 125)
COMES_AND_GOES = 111
"""It is taken out of the configuration and put back in while all goes on."""

SAMPLE_VALUES = {Pmid.build(29, 0, 11): 10, Pmid.build(29, 0, 12): 100, Pmid.build(29, 0, 10): 1}
NUMAGENTS, AGENT_PID, AGENT_STATUS = (Pmid.build(2, *rest) for rest in ((0, 2), (4, 4), (4, 1)))
ALLOWED = (NoAgent, TryAgain, RequestTimeout, ProtocolError, AgentNotReady)
"""What an agent's trouble may cost its own metrics."""
NO_LONGER_THERE = UnknownPmid
"""What a descriptor is refused with when the agent has been taken out of the configuration."""

ECHO = 0x5A5A5A5A
SETTLE_S = 150.0
GROWTH_KIB = 6144


@dataclass
class Tally:
    """What happened."""

    replies: int = 0
    values: int = 0
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    deeds: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)
    longest_s: float = 0.0


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    descriptors: int
    threads: int
    pss_kib: int
    children: int

    @classmethod
    def by(cls, pid: int) -> "Held":
        process = Path(f"/proc/{pid}")
        rollup = (process / "smaps_rollup").read_text()
        tasks = list((process / "task").iterdir())
        children = sum(len((task / "children").read_text().split()) for task in tasks)
        pss = re.search(r"^Pss: +(\d+)", rollup, re.MULTILINE)
        assert pss is not None
        return cls(len(list((process / "fd").iterdir())), len(tasks), int(pss[1]), children)


class Clients:
    """Fifty clients; each asks for a random mixture, thinks, and now and then leaves, sometimes amid a request."""

    def __init__(self, where: str, tally: Tally, stop: asyncio.Event, pause_s: float) -> None:
        self.where, self.tally, self.stop, self.pause_s = where, tally, stop, pause_s

    async def run(self, number: int) -> None:
        chance = random.Random(number)
        while not self.stop.is_set():
            async with Context(self.where) as context:
                for _ in range(chance.randrange(1, 200)):
                    if self.stop.is_set():
                        return
                    if chance.random() < 0.002:
                        await self._leave_amid(context, chance)
                        break
                    await self._ask(context, chance)
                    await asyncio.sleep(chance.random() * 2 * self.pause_s)

    async def _leave_amid(self, context: Context, chance: random.Random) -> None:
        leaving = asyncio.create_task(context.fetch(chance.choice(MIXTURES)))
        await asyncio.sleep(chance.random() * 0.01)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError, PcpError):
            await leaving
        self.tally.deeds["left amid a request"] += 1

    async def _ask(self, context: Context, chance: random.Random) -> None:
        began = time.monotonic()
        try:
            if chance.random() < 0.05:
                await self._ask_for_name(context, chance)
            else:
                await self._fetch(context, chance.choice(MIXTURES))
        except (*ALLOWED, NO_LONGER_THERE) as error:
            self.tally.errors[type(error).__name__] += 1
        except (PcpError, OSError) as error:
            self.tally.wrong.append(f"a request failed: {error!r}")
        self.tally.longest_s = max(self.tally.longest_s, time.monotonic() - began)
        self.tally.replies += 1

    async def _ask_for_name(self, context: Context, chance: random.Random) -> None:
        domain = chance.choice(ECHOES)
        desc = await context.lookup_desc(Pmid.build(domain, 0, 5))
        if desc.pmid != Pmid.build(domain, 0, 5):
            self.tally.wrong.append(f"the descriptor of {desc.pmid} for that of {domain}.0.5")
        names = await context.traverse(f"fake{domain}.more")
        if names != [f"fake{domain}.more.one"]:
            self.tally.wrong.append(f"names of {domain}: {names}")

    async def _fetch(self, context: Context, pmids: Sequence[int]) -> None:
        result = await context.fetch(pmids)
        if [each.pmid for each in result.value_sets] != list(pmids):
            self.tally.wrong.append(f"other metrics than those asked for: {result.value_sets}")
        for each in result.value_sets:
            self._judge(each.pmid, each.error, each.value if each.error is None else None)

    def _judge(self, pmid: int, error: PcpError | None, value: object) -> None:
        if error is not None:
            self.tally.errors[type(error).__name__] += 1
            if not isinstance(error, ALLOWED):
                self.tally.wrong.append(f"{Pmid(pmid)}: {error!r}")
            return
        self.tally.values += 1
        expected = right_value(pmid)
        if expected is not None and value != expected:
            self.tally.wrong.append(f"{Pmid(pmid)}: {value!r} instead of {expected!r}")


def mixture(chance: random.Random) -> list[int]:
    domains = chance.sample([*ECHOES, *LATE], chance.randrange(0, 5))
    pmids: list[int] = [Pmid.build(domain, 0, chance.randrange(1000)) for domain in domains for _ in range(2)]
    pmids += chance.sample(list(SAMPLE_VALUES), chance.randrange(0, 3))
    if chance.random() < 0.3 or not pmids:
        pmids.append(NUMAGENTS)
    chance.shuffle(pmids)
    return pmids


MIXTURES = [mixture(random.Random(number)) for number in range(400)]
"""What is fetched. There is an end to it, so that there is one to what the daemon remembers of it."""


def right_value(pmid: int) -> int | None:
    """What the metric must be, None where it may be anything."""
    if pmid in SAMPLE_VALUES:
        return SAMPLE_VALUES[Pmid(pmid)]
    return pmid ^ ECHO if pmid >> 22 in (*ECHOES, *LATE) else None


class Trouble:
    """What befalls the agents, and the configuration."""

    def __init__(self, daemon: OurPmcd, tally: Tally, stop: asyncio.Event, every_s: float) -> None:
        self.daemon, self.tally, self.stop, self.every_s = daemon, tally, stop, every_s
        self._chance = random.Random(1)
        self._configuration = daemon.directory / "pmcd.conf"
        self._whole = self._configuration.read_text()
        self._stopped: list[int] = []

    async def run(self) -> None:
        async with Context(self.daemon.unix) as context:
            while not self.stop.is_set():
                await asyncio.sleep(self._chance.random() * 2 * self.every_s)
                await self._befall(context)
        for pid in self._stopped:
            send(pid, signal.SIGCONT)
        self._configure(self._whole)

    async def _befall(self, context: Context) -> None:
        deed = self._chance.choice(["kill", "kill", "end", "stop", "stop", "reload"])
        self.tally.deeds[deed] += 1
        if deed == "reload":
            gone = re.sub(rf"^fake{COMES_AND_GOES} .*\n", "", self._whole, flags=re.MULTILINE)
            self._configure(self._whole if self._configuration.read_text() == gone else gone)
            return
        pids = list((await agent_pids(context)).values())
        if not pids:
            return
        pid = self._chance.choice(pids)
        if deed == "stop":
            send(pid, signal.SIGSTOP)
            self._stopped.append(pid)
            asyncio.get_running_loop().call_later(self._chance.choice([0.1, 0.5, 2.0, 7.0]), self._continue, pid)
        else:
            send(pid, signal.SIGKILL if deed == "kill" else signal.SIGTERM)

    def _continue(self, pid: int) -> None:
        self._stopped.remove(pid)
        send(pid, signal.SIGCONT)

    def _configure(self, text: str) -> None:
        self._configuration.write_text(text)
        os.kill(self.daemon.pid, signal.SIGHUP)


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def agent_pids(context: Context) -> dict[int, int]:
    """The processes of the agents there are now, by domain."""
    pid_metric = await context.lookup_name("pmcd.agent.pid")
    values = (await context.fetch([pid_metric])).value_sets[0]
    return {each: pid for each, pid in zip(values.instances, values.values, strict=True) if int(pid) > 0}


def lines() -> str:
    line = "fake{domain} {domain} pipe binary {python} {program} {domain} echo {seconds}\n"
    agents = [(domain, 0) for domain in ECHOES] + [(domain, 0.05 * (domain - LATE[0] + 1)) for domain in LATE]
    return "".join(
        line.format(domain=domain, python=sys.executable, program=FAKE_AGENT, seconds=seconds)
        for domain, seconds in agents
    )


def names(into: Path) -> str:
    domains = [*ECHOES, *LATE]
    roots = "".join(f"    fake{domain}\n" for domain in domains)
    blocks = "".join(f"fake{domain} {{\n    value {domain}:0:0\n    more {domain}:*:*\n}}\n" for domain in domains)
    into.parent.mkdir(exist_ok=True)
    into.write_text(f"root {{\n{roots}}}\n{blocks}")
    return str(into)


async def all_well(where: str, agents: int) -> bool:
    async with Context(where) as context:
        counted = (await context.fetch([NUMAGENTS])).value_sets[0].value
        return counted == agents


async def settle(where: str, agents: int) -> bool:
    """Wait until every agent is back in service: who died often is started again after a minute at the latest."""
    deadline = time.monotonic() + SETTLE_S
    while not await all_well(where, agents):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.5)
    return True


async def soak(daemon: OurPmcd, chosen: argparse.Namespace, tally: Tally) -> None:
    stop = asyncio.Event()
    agents = len(ECHOES) + len(LATE) + len(STOCK) + 1
    clients = Clients(daemon.unix, tally, stop, chosen.pause)
    await settle(daemon.unix, agents)
    before = await quiet(daemon)
    print(f"at first {before}", flush=True)
    tasks = [asyncio.create_task(clients.run(number)) for number in range(chosen.clients)]
    tasks.append(asyncio.create_task(Trouble(daemon, tally, stop, chosen.every).run()))
    warm = await watch(daemon, chosen.minutes, tally)
    stop.set()
    await asyncio.gather(*tasks)
    if not await settle(daemon.unix, agents):
        tally.wrong.append("not every agent came back")
    after = await quiet(daemon)
    print(f"at last {after}")
    judge_end(before, warm, after, tally)


async def watch(daemon: OurPmcd, minutes: float, tally: Tally) -> Held:
    """Say how it goes; what the daemon held once it had been under load for a fifth of the time."""
    warm = None
    for part in range(1, 21):
        await asyncio.sleep(minutes * 60 / 20)
        held = Held.by(daemon.pid)
        warm = held if part == 4 else warm
        print(
            f"{part * 5:3} %: {tally.replies} replies, {tally.values} values, {sum(tally.errors.values())} errors,"
            f" {len(tally.wrong)} wrong, longest {tally.longest_s:.2f} s, {held}",
            flush=True,
        )
    assert warm is not None
    return warm


async def quiet(daemon: OurPmcd) -> Held:
    """What the daemon holds once nothing changes any more."""
    held = Held.by(daemon.pid)
    for _ in range(20):
        await asyncio.sleep(0.5)
        last, held = held, Held.by(daemon.pid)
        if (last.descriptors, last.children) == (held.descriptors, held.children):
            break
    return held


def judge_end(before: Held, warm: Held, after: Held, tally: Tally) -> None:
    for name in ("descriptors", "threads", "children"):
        if getattr(after, name) != getattr(before, name):
            tally.wrong.append(f"{name}: {getattr(before, name)} at first, {getattr(after, name)} at last")
    if after.pss_kib > warm.pss_kib + GROWTH_KIB:
        tally.wrong.append(f"memory grew from {warm.pss_kib} to {after.pss_kib} KiB")


def strays(daemon: OurPmcd) -> list[str]:
    """Agents that outlived the daemon."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if str(daemon.directory).encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


def report(tally: Tally, seconds: float) -> None:
    print(f"{tally.replies} replies in {seconds:.0f} s, {tally.values} right values; errors {dict(tally.errors)}")
    print(f"deeds {dict(tally.deeds)}; the longest answer took {tally.longest_s:.2f} s")
    for each in tally.wrong[:20]:
        print(f"WRONG: {each}")
    print(f"{len(tally.wrong)} wrong")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--clients", type=int, default=50, help="how many clients (default 50)")
    parser.add_argument(
        "--pause", type=float, default=0.1, help="mean time between a client's requests (default 0.1 s)"
    )
    parser.add_argument("--every", type=float, default=4.0, help="mean time between two troubles (default 4 s)")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop", help="the daemon's event loop")
    return parser.parse_args()


def main() -> None:
    chosen = options()
    tally = Tally()
    began = time.monotonic()
    AGENTS["fakes"] = StockAgent("", names(HERE / "out" / "soak_names"))
    with OurPmcd(["pmcd", *STOCK, "fakes"], more=lines(), loop=chosen.loop) as daemon:
        asyncio.run(soak(daemon, chosen, tally))
        print(daemon.log[-3000:] if tally.wrong else "", end="")
    if left := strays(daemon):
        tally.wrong.append(f"processes that outlived the daemon: {left}")
    report(tally, time.monotonic() - began)
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
