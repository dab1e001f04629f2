"""The metrics ``containers.*``: what ``pmcd`` asks its root agent. Names, pmids and types are stock's.

Beyond stock's there are ``containers.helper.*``: what confines the helper, and which engine's files seem to hang.
"""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.dispatch import Dispatcher
from pypcp.pmda.metrics import Cluster, Read
from pypcp.resolver.container import Container
from pypcp.resolver.engine_task import EngineTask
from pypcp.resolver.pipe import Journal, Pipe
from pypcp.resolver.processes import LiveProcess

Found = Sequence[tuple[Container, LiveProcess | None]]


class Knowing(Protocol):
    """Whoever knows the containers: the resolver."""

    tasks: list[EngineTask]

    def containers(self) -> Found:
        """Every container, and the process held for it if it lives."""


def serve(
    loop: Any,
    memory: mmap.mmap,
    voice: socket.socket,
    domain: int,
    resolver: Knowing,
    confined: str,
    cgroups: str,
    leave: Callable[[], NoReturn],
) -> None:
    """Answer the daemon from now on, beside everything else that the loop does."""
    agent = build(domain, resolver.containers, resolver.tasks, confined, cgroups)
    Pipe(loop, Journal(memory), voice, Dispatcher(agent).answer, leave).start()


class Shown(NamedTuple):
    """One container as it is at this moment."""

    engine: str
    name: str
    pid: int | None
    running: int
    paused: int
    restarting: int
    cgroup: str | None


def build(
    domain: int, containers: Callable[[], Found], tasks: Sequence[EngineTask], confined: str, cgroup_root: str
) -> Agent:
    """The agent. ``containers`` gives every container and the process that is held for it, if it has one."""
    agent = Agent("root", domain, help_="Containers, as the engines on this machine have them")
    found = agent.indom(
        0,
        help_="Containers\nEvery container that any engine on this machine knows, running or not: by its full id, or "
        "by its name where the engine has no ids.",
        members=lambda snapshot: snapshot,
    )
    cluster = agent.cluster(0, lambda: shown(containers(), cgroup_root))
    for item, (name, type_, semantics, text) in enumerate(_METRICS):
        read = _reader(name.rpartition(".")[2])
        cluster.metric(f"containers.{name}", item, type_, read, indom=found, sem=semantics, help_=text)
    _add_helper(agent, tasks, confined)
    return agent


_TEXT, _FLAG = ValueType.STRING, ValueType.U32
_METRICS = (
    ("engine", _TEXT, Semantics.DISCRETE, "Which engine the container belongs to\nFor instance docker, podman or lxc."),
    ("name", _TEXT, Semantics.INSTANT, "What people call the container\nIts first name; a question mark without any."),
    ("pid", _FLAG, Semantics.INSTANT, "First process of the container\nNo value while it does not run."),
    ("state.running", _FLAG, Semantics.INSTANT, "Whether the container runs\n1 while its processes run, else 0."),
    (
        "state.paused",
        _FLAG,
        Semantics.INSTANT,
        "Whether the container is frozen\n1 while it is held, else 0.",
    ),
    ("state.restarting", _FLAG, Semantics.INSTANT, "Whether its engine is starting it again\n1 in between, else 0."),
    (
        "cgroup",
        _TEXT,
        Semantics.DISCRETE,
        "Control group of the container\nAs the kernel has it; no value while it does not run, or has none of its own.",
    ),
)


def _reader(field: str) -> Read:
    return lambda snapshot: {name: getattr(shown, field) for name, shown in snapshot.items()}


def shown(containers: Found, cgroup_root: str) -> dict[str, Shown]:
    """Every container under a name of its own: where two have the same id, the later one's says whose."""
    found: dict[str, Shown] = {}
    for container, process in containers:
        name = next((name for name in _instance_names(container) if name not in found), "")
        if name:
            found[name] = _now(container, process, cgroup_root)
    return found


def _instance_names(container: Container) -> Iterator[str]:
    """The id, with as much before it as tells it from others'."""
    yield container.ident
    yield f"{container.engine}/{container.ident}"
    whose = str(container.owner) if container.owner else container.space.strip("/")
    yield f"{container.engine}/{whose}/{container.ident}"


def _now(container: Container, process: LiveProcess | None, cgroup_root: str) -> Shown:
    name = container.names[0] if container.names else "?"
    own = (process.own_cgroup() or None) if process else None
    paused = bool(process) and (container.paused or (own is not None and frozen(cgroup_root, own)))
    running = bool(process) and not paused
    pid = process.pid if process else None
    return Shown(container.engine, name, pid, int(running), int(paused), int(container.restarting), own)


def frozen(root: str, cgroup: str) -> bool:
    """Whether the kernel holds every process of a control group, by whichever freezer this machine has."""
    for path, held in (
        (f"{root}{cgroup}/cgroup.events", b"frozen 1"),
        (f"{root}/freezer{cgroup}/freezer.state", b"FROZEN"),
        (f"{root}/unified{cgroup}/cgroup.events", b"frozen 1"),
    ):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if held in os.read(fd, 256):
                return True
        except OSError:
            continue
        finally:
            os.close(fd)
    return False


def _add_helper(agent: Agent, tasks: Sequence[EngineTask], confined: str) -> None:
    engines = agent.indom(1, help_="Engines\nEvery engine that is looked for.", members=lambda snapshot: snapshot)
    late: Cluster = agent.cluster(1, lambda: {name: int(task.late()) for name, task in _named(tasks).items()})
    late.metric(
        "containers.helper.late",
        0,
        ValueType.U32,
        lambda snapshot: snapshot,
        indom=engines,
        help_="Whether an engine's files seem to hang\n1 when reading them takes longer than a second. What is known "
        "of its containers is then what was read last.",
    )
    state: Cluster = agent.cluster(2, lambda: confined)
    state.metric(
        "containers.helper.confined",
        0,
        ValueType.STRING,
        lambda snapshot: snapshot,
        sem=Semantics.DISCRETE,
        help_="What confines the part of the helper that reads engines' files\nWhat is missing here this kernel does "
        "not have, and the helper's log says why.",
    )


def _named(tasks: Sequence[EngineTask]) -> dict[str, Any]:
    """The tasks by their engine's name; of those with one name the first that is late, else the first."""
    named: dict[str, EngineTask] = {}
    for task in tasks:
        if task.engine.name not in named or task.late():
            named[task.engine.name] = task
    return named
