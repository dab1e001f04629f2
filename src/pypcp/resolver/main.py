"""Where the resolver's process begins: called by the privileged side once its privileges are gone."""

from __future__ import annotations

import importlib
import mmap
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pypcp.resolver.engines import Engine
from pypcp.resolver.engines.containerd import Containerd
from pypcp.resolver.engines.docker import Docker
from pypcp.resolver.engines.engine_socket import EngineSocket, SocketGround
from pypcp.resolver.engines.lxc import Lxc
from pypcp.resolver.engines.nspawn import Nspawn
from pypcp.resolver.engines.places import Note, place
from pypcp.resolver.engines.podman import Podman
from pypcp.resolver.ground_watch import Ground
from pypcp.resolver.renewals import Renewals
from pypcp.resolver.resolver import NEW_GROUND, Resolver, leave
from pypcp.resolver.sealing import open_in_time

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
        *Containerd.configured(environment, note),
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
    seal: Callable[[list[str | int]], str],
    note: Note,
    renewals: memoryview,
    sockets: Sequence[tuple[str, str, int]] = (),
) -> None:
    """Serve until the starter goes away. ``seal`` closes the doors: only what it is given (paths, or descriptors of
    directories) can be read then. ``voice`` is the guard's, where a daemon has something to ask. ``sockets`` are those
    of engines that may be asked: engine, path, and whose group we have for that. ``memory``, ``doubts`` and the byte
    ``renewals`` outlive us.
    """
    cgroups = cgroup_root(os.environ, note)
    here = engines(os.environ, cgroups, note)
    if voice:
        importlib.import_module(AGENT)  # nothing can be loaded any more once the doors are closed
    opened = open_in_time([engine.roots() for engine in here])
    confined = seal(["/proc", cgroups, *opened.descriptors])
    for late in opened.late:
        note("engine-shut-out", engine=here[late].name, reason="its directories do not answer")
    for descriptor in opened.descriptors:
        os.close(descriptor)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    grounded: list[tuple[Engine, Ground]] = [
        (engine, Ground(engine.roots(), opened.identities, shut_out=number in opened.late))
        for number, engine in enumerate(here)
    ]
    for name, path, group in sockets:
        grounded.append((EngineSocket(name, path, cgroups), SocketGround(path, group)))
    resolver = Resolver(loop, link, reader, grounded, note, confined, Renewals(renewals), doubts)

    def serve() -> None:
        if voice:
            agent = importlib.import_module(AGENT)
            agent.serve(loop, memory, voice, domain, resolver, confined, cgroups, lambda: leave(NEW_GROUND))

    note("loaded", process="resolver", modules=frozenset(sys.modules))
    resolver.start(serve)
    loop.run()
