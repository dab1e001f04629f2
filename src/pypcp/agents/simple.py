"""An agent with a bit of everything: counters, instances that never change and such that do, values one can store.

Domain 253; names, pmids and behaviour are those of stock's agent of this name, so that the two can be told apart by
nothing but their speed.
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from pypcp.ipc.paths import Paths
from pypcp.pmda import I32, U32, Agent, Counter

NOW_PARTS = {"sec": 5, "min": 4, "hour": 3}
"""What simple.conf may name, and where it is in the time of day."""

CONFIGURATION = Path(Paths.find().settings.get("PCP_PMDAS_DIR", "/var/lib/pcp/pmdas"), "simple", "simple.conf")

agent = Agent("simple", 253, help_="Metrics to try things with", labels={"role": "testing"})

colors = agent.indom(
    0,
    help_="Three colors\nAlways the same three: red (0), green (1) and blue (2).",
    fixed={0: "red", 1: "green", 2: "blue"},
    labels={"indom_name": "color", "model": "RGB"},
    label_instance=lambda name: {},
)
parts_of_now = agent.indom(
    1,
    help_="Parts of the time of day\nThose that the configuration file names; see simple.now.",
    members=list,
    persistent=True,
    labels={"indom_name": "time", "unitsystem": "SI"},
    label_instance=lambda name: {"units": name},
)


@dataclass
class Counts:
    """What is counted, and may be stored."""

    fetches: int = 0
    color: list[int] = field(default_factory=lambda: [0, 100, 200])


counts = Counts()


@agent.before_fetch
def count_fetch() -> None:
    """One more."""
    counts.fetches += 1


@agent.metric("simple.numfetch", item=0)
def fetches() -> U32:
    """Fetches that this agent has answered

    Every request for values counts, whichever values. A number that is stored is counted on from."""
    return counts.fetches


@fetches.on_store
def set_fetches(value: int) -> None:
    """Count on from there."""
    counts.fetches = value


@agent.metric("simple.color", item=1, indom=colors)
def color() -> list[I32]:
    """Three numbers that grow by one with each fetch

    They run from 0 to 255 and then start again; red starts at 0, green at 100, blue at 200. A number from 0 to 255 may
    be stored."""
    counts.color = [(value + 1) % 256 for value in counts.color]
    return counts.color


@color.on_store
def set_color(value: int, instance: str) -> None:
    """Only what a color can be."""
    if not 0 <= value <= 255:
        raise ValueError(f"{value} is no color, must be 0 to 255")
    counts.color[colors.names.index(instance)] = value


@agent.source(cluster=1)
def times() -> os.times_result:
    """What this process has used."""
    return os.times()


@times.metric("simple.time.user", item=2, units="sec")
def user(now: os.times_result) -> Counter[float]:
    """CPU time of this agent in its own code"""
    return now.user


@times.metric("simple.time.sys", item=3, units="sec")
def system(now: os.times_result) -> Counter[float]:
    """CPU time of this agent in the system's code"""
    return now.system


def configured_parts() -> list[str]:
    """The parts of the time of day that simple.conf asks for; all of them without such a file."""
    try:
        words = CONFIGURATION.read_text().replace("\n", ",").split(",")
    except OSError:
        return list(NOW_PARTS)
    return [word.strip() for word in words if word.strip() in NOW_PARTS]


@agent.source(cluster=2)
def time_of_day() -> dict[str, int]:
    """The parts asked for, of the local time."""
    now = time.localtime()
    return {part: now[NOW_PARTS[part]] for part in configured_parts()}


@time_of_day.metric("simple.now", item=4, indom=parts_of_now)
def now_parts(now: dict[str, int]) -> dict[str, U32]:
    """The time of day, in parts that can be configured

    The file simple.conf in the agent's directory (PCP_PMDAS_DIR/simple) names the parts, with commas between them: sec,
    min, hour. It is read anew for each fetch, and the instances are those parts."""
    return now
