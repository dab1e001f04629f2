"""Docker and Podman by their sockets, where root's policy names one: for what their files do not tell.

Both answer Docker's requests. What is said about processes is a claim like any other: believed when the control group
bears the container's id. An engine that does not answer, or not in order, is known by what it said last.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from pypcp.resolver.container import Container
from pypcp.resolver.engines import kubernetes
from pypcp.resolver.engines.lxc import cgroup_parents
from pypcp.resolver.ground_watch import Ground, nearest_existing
from pypcp.resolver.http_get import NoAnswer, get
from pypcp.resolver.processes import start_time
from pypcp.resolver.roots import Root
from pypcp.resolver.untrusted_files import entries, mapping, number, parse_json, text

EXCHANGE_LIMIT_S = 2.0
LIST_BYTES, INSPECT_BYTES = 4 << 20, 1 << 20
MAX_CONTAINERS = 4096
AGAIN_S = 5.0
_IDENT = re.compile("[0-9a-f]{64}")
_PARENTS = ("docker", "libpod_parent", "system.slice", "machine.slice")


class EngineSocket:
    """One daemon; asked again when a container's control group appears, and every few seconds."""

    owner = 0
    again_s = AGAIN_S

    def __init__(self, engine: str, path: str, cgroup_root: str) -> None:
        self.name = f"{engine}-socket"
        self._engine = engine
        self._path = path
        self._cgroup_root = cgroup_root
        self._containers: list[Container] = []
        self._processes: dict[str, tuple[int, int]] = {}
        """Each container's process and when it started, as long as that is the same."""

    def roots(self) -> list[Root]:
        """None: nothing is read but the socket."""
        return []

    def folders(self) -> set[str]:
        """Where the control groups of containers appear."""
        parents = cgroup_parents(self._cgroup_root)
        return {*parents, *(f"{parent}/{name}" for parent in parents for name in _PARENTS)}

    def scan(self) -> list[Container]:
        """Every container, as the engine has them now, or had them when it answered last."""
        try:
            listed = entries(self._ask("/containers/json?all=1", LIST_BYTES))
            described = {ident: entry for entry in listed if _IDENT.fullmatch(ident := text(entry.get("Id")))}
            idents = list(described)[:MAX_CONTAINERS]
            self._containers = [self._container(ident, described[ident]) for ident in idents]
        except NoAnswer:
            return self._containers
        self._processes = {ident: self._processes[ident] for ident in idents if ident in self._processes}
        return self._containers

    def _container(self, ident: str, entry: Mapping[str, Any]) -> Container:
        state = text(entry.get("State"))
        names = entry.get("Names")
        named = [text(name).removeprefix("/") for name in (names[:64] if isinstance(names, list) else ())]
        pid = self._process(ident) if state in ("running", "paused") else 0
        return Container(
            self._engine,
            ident,
            tuple(name for name in named if name),
            running=bool(pid) and state == "running",
            paused=bool(pid) and state == "paused",
            restarting=state == "restarting",
            pid=pid,
            aliases=kubernetes.of_labels(mapping(entry.get("Labels"))),
        )

    def _process(self, ident: str) -> int:
        """Asked of the engine only when the process of last time is gone."""
        pid, started = self._processes.get(ident, (0, 0))
        if pid and _started(pid) == started:
            return pid
        details = mapping(self._ask(f"/containers/{ident}/json", INSPECT_BYTES))
        pid = number(mapping(details.get("State")).get("Pid")) if details.get("Id") == ident else 0
        self._processes[ident] = pid, _started(pid)
        return pid

    def _ask(self, target: str, limit_bytes: int) -> Any:
        body = get(self._path, target, EXCHANGE_LIMIT_S, limit_bytes)
        return None if body is None else parse_json(body, limit_bytes)


def _started(pid: int) -> int:
    try:
        return start_time(pid) if 1 < pid < 1 << 31 else 0
    except (OSError, ValueError, IndexError):
        return 0


class SocketGround(Ground):
    """A socket that we may connect to only as one of its group: which group that is was decided at our start."""

    def __init__(self, path: str, group: int) -> None:
        super().__init__([], {})
        self._path = path
        self._group = group

    def watched(self) -> set[str]:
        """Where the socket would appear."""
        return {nearest_existing(os.path.dirname(self._path))}

    def outgrown(self) -> bool:
        """Whether its group is another now."""
        return group_of(self._path) not in (-1, self._group)


def group_of(path: str) -> int:
    """The group that may connect there, -1 where nothing is."""
    try:
        return os.stat(path).st_gid
    except OSError:
        return -1
