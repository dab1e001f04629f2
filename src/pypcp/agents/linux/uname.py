"""What the system is and runs: uname(2), by way of /proc/sys/kernel, and the distribution by way of /etc."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent

FROM_KERNEL: Final = (
    ("release", 0, "osrelease", "The kernel's release"),
    ("version", 1, "version", "The kernel's build: its number, options and date"),
    ("sysname", 2, "ostype", "The kernel's name"),
)
"""Name, item, file, help: what stays as it is until the next boot."""

RELEASE_FILES: Final = (
    ("debian_version", "Debian "),
    ("oracle-release", ""),
    ("fedora-release", ""),
    ("redhat-release", ""),
    ("slackware-version", ""),
    ("SuSE-release", ""),
    ("lsb-release", ""),
)
"""Stock's order; the first file there is counts, its first line is the answer, after a prefix."""

NODE_HELP: Final = """The host's name
As the kernel knows it, which may or may not be fully qualified."""

WHOLE_HELP: Final = """The system in a line: what uname(2) tells
The kernel's name, the host's name, the kernel's release and build, the hardware."""


def distribution(files: Files) -> str:
    """One line that names the distribution and its version; ``?`` if /etc has nothing to say."""
    for name, prefix in RELEASE_FILES:
        text = files.read_once(f"etc/{name}").decode("utf-8", "replace")
        if text:
            return prefix + text.splitlines()[0].removeprefix("DISTRIB_ID=").strip('"')
    for line in files.read_once("etc/os-release").decode("utf-8", "replace").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.removeprefix("PRETTY_NAME=").strip("\"'")
    return "?"


def declare(agent: Agent, files: Files) -> None:
    """kernel.uname and pmda.uname."""
    constant = partial(agent.cluster(12).metric, type_=ValueType.STRING, sem=Semantics.DISCRETE)
    for name, item, file, help_ in FROM_KERNEL:
        constant(f"kernel.uname.{name}", item, read=_read_once(files, file), help_=help_)
    machine = "The kind of hardware, as the kernel calls it"
    constant("kernel.uname.machine", 3, read=lambda _: os.uname().machine, help_=machine)
    hostname = files.parsed("proc/sys/kernel/hostname", lambda text: text.decode("utf-8", "surrogateescape").strip())
    node = agent.cluster(12, hostname)
    node.metric(
        "kernel.uname.nodename", 4, ValueType.STRING, lambda name: name or None, sem=Semantics.DISCRETE, help_=NODE_HELP
    )
    node.metric("pmda.uname", 5, ValueType.STRING, _whole_of(files), sem=Semantics.DISCRETE, help_=WHOLE_HELP)
    distro = cache(partial(distribution, files))
    constant("kernel.uname.distro", 7, read=lambda _: distro(), help_="The distribution and its version")


def _whole_of(files: Files) -> Callable[[str], str | None]:
    release, version, sysname = (_read_once(files, file) for _, _, file, _ in FROM_KERNEL)

    def read(node: str) -> str | None:
        words = [sysname(None), node, release(None), version(None), os.uname().machine]
        known = [word for word in words if word]
        return " ".join(known) if len(known) == len(words) else None

    return read


def _read_once(files: Files, file: str) -> Callable[[object], str | None]:
    text = cache(lambda: files.read_once(f"proc/sys/kernel/{file}").decode("utf-8", "surrogateescape"))
    return lambda _: text() or None
