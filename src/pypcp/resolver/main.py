"""Where the resolver's process begins: called by the privileged side once its privileges are gone."""

from __future__ import annotations

import importlib
import mmap
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pypcp.resolver.engines import Engine
from pypcp.resolver.engines.containerd import STATE_ROOT, Containerd
from pypcp.resolver.engines.docker import Docker
from pypcp.resolver.engines.lxc import Lxc
from pypcp.resolver.engines.nspawn import Nspawn
from pypcp.resolver.engines.places import Note, place
from pypcp.resolver.engines.podman import Podman
from pypcp.resolver.ground_watch import Ground
from pypcp.resolver.resolver import NEW_GROUND, Resolver, leave

SWITCH_INTERVAL_S = 0.0005
"""How long a scanning thread may keep the interpreter from the thread that answers."""


AGENT = "pypcp.resolver.containers_agent"
"""Loaded only where a daemon asks for metrics: it brings the whole PDU codec."""


def cgroup_root(environment: Mapping[str, str], note: Note) -> str:
    """Where control groups are mounted."""
    return place(environment, "PCP_CGROUP_DIR", "/sys/fs/cgroup", note)


def engines(environment: Mapping[str, str], cgroups: str, note: Note) -> list[Engine]:
    """Every engine we know, whether it is here or not: one that is installed later is found then."""
    return [
        Docker.configured(environment, note),
        *Podman.configured(environment, note),
        *Lxc.configured(environment, cgroups, note),
        Containerd(place(environment, "PCP_CONTAINERD_DIR", STATE_ROOT, note)),
        Nspawn(),
    ]


def run(
    loop: Any,
    link: socket.socket,
    reader: socket.socket,
    *,
    voice: socket.socket | None,
    memory: mmap.mmap,
    doubts: mmap.mmap,
    domain: int,
    seal: Callable[[list[str]], str],
    note: Note,
) -> None:
    """Serve until the starter goes away. ``seal`` closes the doors: only what it is given can be read then.

    ``voice`` is the guard's, where a daemon has something to ask; ``memory`` and ``doubts`` outlive us.
    """
    cgroups = cgroup_root(os.environ, note)
    here = engines(os.environ, cgroups, note)
    ground = Ground(root for engine in here for root in engine.roots())
    if voice:
        importlib.import_module(AGENT)  # nothing can be loaded any more once the doors are closed
    confined = seal(["/proc", cgroups, *ground.readable()])
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    resolver = Resolver(loop, link, reader, here, ground, note, confined, doubts)

    def serve() -> None:
        if voice:
            agent = importlib.import_module(AGENT)
            agent.serve(loop, memory, voice, domain, resolver, confined, cgroups, lambda: leave(NEW_GROUND))

    note("loaded", process="resolver", modules=frozenset(sys.modules))
    resolver.start(serve)
    loop.run()
