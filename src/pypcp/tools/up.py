"""``pypcp up``: the collector, here and now, as whoever calls it. No configuration needed."""

from __future__ import annotations

import argparse
import logging
import os
import pwd
import sys
from collections.abc import Sequence
from operator import methodcaller
from pathlib import Path

from pypcp import __version__
from pypcp.errors import PcpError, in_words
from pypcp.ipc.listeners import Listeners
from pypcp.ipc.paths import PMCD_SOCKET, Paths
from pypcp.pmcd.agents import HELPER_DOMAIN
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.options import LOOPBACK, PMCD_PORT, Options, Places
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.router import LocalRoute
from pypcp.pmcd.running import LOOPS, run
from pypcp.pmcd.sources import Sources
from pypcp.pmda.finding import USUAL_AGENTS, find_agent
from pypcp.pmda.interface import Client
from pypcp.pmns.tree import Tree
from pypcp.root import confine
from pypcp.tools.split import split


def main(argv: Sequence[str]) -> int:
    """Run in the foreground until Ctrl-C; the exit status."""
    given = _parser().parse_args(argv)
    if os.geteuid() == 0 and not given.reduced:
        given.reduced = split(given, argv)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=given.log_level.upper())
    try:
        if given.helper or (given.reduced and os.geteuid()):
            confine.verify_unprivileged()
        _run(given)
    except (PcpError, OSError, confine.NotConfined) as error:
        print(f"pypcp up: {in_words(error)}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pypcp up", description="Run the collector in the foreground.")
    parser.add_argument("--port", type=int, action="append", help=f"TCP port, may be repeated (default {PMCD_PORT})")
    parser.add_argument(
        "--socket", type=Path, help="path of the UNIX socket (default: pmcd.socket in the run directory)"
    )
    parser.add_argument(
        "--listen",
        action="append",
        metavar="ADDR",
        help="address to listen on, may be repeated (default: loopback only)",
    )
    parser.add_argument("--loop", choices=LOOPS, default="auto", help="event loop (default: uvloop where installed)")
    parser.add_argument("--state", type=Path, help="directory of instance numbers (default: the state directory)")
    parser.add_argument(
        "--account", default="", metavar="NAME", help="as root: who collects (default: pcp or nobody; root: root does)"
    )
    parser.add_argument(
        "--trust-environment",
        action="store_true",
        help="as root, for development: start the privileged helper although others could change this program",
    )
    parser.add_argument("--helper", type=Path, help=argparse.SUPPRESS)  # split() to us: the helper's socket
    parser.add_argument("--reduced", default="", help=argparse.SUPPRESS)  # split() to us: what is missing, and why
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="warning")
    return parser


def _run(given: argparse.Namespace) -> None:
    paths = Paths.find()
    options = Options(
        ports=tuple(given.port or (PMCD_PORT,)),
        addresses=tuple(given.listen or LOOPBACK),
        socket=given.socket or paths.make(paths.run_dir) / PMCD_SOCKET,
        places=Places.of(paths),
    )
    state = given.state or paths.state_dir
    sources = Sources(names=container_names()) if given.helper else Sources()
    helper = Helper(given.helper) if given.helper else None
    listeners = Listeners.open(addresses=options.addresses, ports=options.ports, unix_path=options.socket)
    with listeners:
        agents = [find_agent(name, state=state / "instances") for name in USUAL_AGENTS]
        daemon = Daemon(options, agents, sources, helper=helper)
        notes = (
            [f"  helper        {given.helper}: containers.*; root cannot be had back from here"]
            if helper
            else _reduced(given.reduced)
        )
        run(daemon, listeners, given.loop, lambda: print(banner(daemon, listeners, notes), flush=True))


def container_names() -> Tree:
    """The names of the helper's metrics, which is an agent of another process."""
    from pypcp.resolver.containers_agent import build  # only where there is a helper

    agent, names = build(HELPER_DOMAIN, list, (), "", ""), Tree()
    for name in agent.traverse(""):
        names.insert(name, agent.lookup_name(name))
    return names


def banner(daemon: Daemon, listeners: Listeners, notes: Sequence[str] = ()) -> str:
    """What runs, where, what is reduced, and what to try next."""
    socket_path = daemon.options.socket
    address = f"localhost:{listeners.ports[0]}" if listeners.ports else f"unix:{socket_path}"
    here = [route for route in daemon.router.routes.values() if isinstance(route, LocalRoute)]
    traverse = methodcaller("traverse", "")
    counts = {route.name: len(route.ask(Client(), traverse)) for route in here}
    lines = [
        f"pypcp {__version__}: collecting as {_user()}, process {os.getpid()}",
        f"  listening on  {', '.join(_where(daemon, listeners))}",
        *[f"  skipped       {skipped}" for skipped in listeners.skipped],
        f"  metrics       {sum(counts.values())} ({', '.join(f'{name} {count}' for name, count in counts.items())})",
        *notes,
        f"  try           pminfo -h {address} -f kernel.all.load",
        f"                pmrep -h unix:{socket_path} -t 1 kernel.all.cpu.user mem.util.free",
        "  stop          Ctrl-C",
    ]
    return "\n".join(lines)


def _where(daemon: Daemon, listeners: Listeners) -> list[str]:
    tcp = [sock.getsockname() for sock in listeners.sockets if isinstance(sock.getsockname(), tuple)]
    places = [f"[{each[0]}]:{each[1]}" if ":" in each[0] else f"{each[0]}:{each[1]}" for each in tcp]
    return [*places, f"unix:{daemon.options.socket}"]


def _user() -> str:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
    return "root" if uid == 0 else f"{name} (uid {uid})"


def _helped(path: Path) -> list[str]:
    return [f"  helper        {path}: containers.*; root cannot be had back from here"]


def _reduced(missing: str) -> list[str]:
    if missing:
        return [f"  reduced       {missing}"]
    return ["  reduced       not root: values are stored by root and this account only"]
