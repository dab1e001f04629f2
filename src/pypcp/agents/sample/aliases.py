"""dupnames: further names of other groups' metrics."""

from __future__ import annotations

from typing import Final

from pypcp.agents.sample.bench import Bench

ALIASES: Final = {
    "daemon_pid": "daemon_pid",
    "pid_daemon": "daemon_pid",
    "two.seconds": "seconds",
    "two.bin": "bin",
    "two.write_me": "write_me",
    "two.lights": "lights",
    "two.float.ten": "float.ten",
    "two.double.ten": "double.ten",
    "three.bin": "bin",
    "three.write_me": "write_me",
    "four.bin": "bin",
    "four.colour": "colour",
    "five.bin": "bin",
    "five.bucket": "bucket",
    "five.part_bin": "part_bin",
    "five.long_bin": "long.bin",
}


def declare(bench: Bench) -> None:
    """Declare them; the metrics are there already."""
    for alias, name in ALIASES.items():
        bench.agent.alias(f"sample.dupnames.{alias}", bench.agent.names.lookup(f"sample.{name}"))
