"""``pypcp up``: the collector, here and now, as whoever calls it. No configuration needed."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from operator import methodcaller
from pathlib import Path
from typing import Final

from pypcp import __version__
from pypcp.errors import PcpError
from pypcp.ipc.listeners import Listeners
from pypcp.ipc.paths import PMCD_SOCKET, Paths
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.options import LOOPBACK, PMCD_PORT, Options, Places
from pypcp.pmcd.running import LOOPS, run
from pypcp.pmda.finding import find_agent
from pypcp.pmda.interface import Client

AGENTS: Final = ("linux", "mmv")
"""What is collected without configuration: the host, and what applications publish."""


def main(argv: Sequence[str]) -> int:
    """Run in the foreground until Ctrl-C; the exit status."""
    given = _parser().parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=given.log_level.upper())
    try:
        _run(given)
    except (PcpError, OSError) as error:
        print(f"pypcp up: {error}", file=sys.stderr)
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
    listeners = Listeners.open(addresses=options.addresses, ports=options.ports, unix_path=options.socket)
    with listeners:
        agents = [find_agent(name, state=paths.state_dir / "instances") for name in AGENTS]
        daemon = Daemon(options, agents)
        run(daemon, listeners, given.loop, lambda: print(banner(daemon, listeners), flush=True))


def banner(daemon: Daemon, listeners: Listeners) -> str:
    """What runs, where, what is reduced, and what to try next."""
    socket_path = daemon.options.socket
    here = f"localhost:{listeners.ports[0]}" if listeners.ports else f"unix:{socket_path}"
    traverse = methodcaller("traverse", "")
    counts = {route.name: len(route.ask(Client(), traverse)) for route in daemon.router.routes.values()}
    lines = [
        f"pypcp {__version__}: collecting as {_user()}, process {os.getpid()}",
        f"  listening on  {', '.join(_where(daemon, listeners))}",
        *[f"  skipped       {skipped}" for skipped in listeners.skipped],
        f"  metrics       {sum(counts.values())} ({', '.join(f'{name} {count}' for name, count in counts.items())})",
        *_reduced(),
        f"  try           pminfo -h {here} -f kernel.all.load",
        f"                pmrep -h unix:{socket_path} -t 1 kernel.all.cpu.user mem.util.free",
        "  stop          Ctrl-C",
    ]
    return "\n".join(lines)


def _where(daemon: Daemon, listeners: Listeners) -> list[str]:
    tcp = [sock.getsockname() for sock in listeners.sockets if isinstance(sock.getsockname(), tuple)]
    places = [f"[{each[0]}]:{each[1]}" if ":" in each[0] else f"{each[0]}:{each[1]}" for each in tcp]
    return [*places, f"unix:{daemon.options.socket}"]


def _user() -> str:
    return "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"


def _reduced() -> list[str]:
    if os.geteuid() == 0:
        return []
    return ["  reduced       not root: values are stored by root and this account only"]
