"""Docker: ``config.v2.json`` of each container, and runc's state for the moment its process started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pypcp.resolver.container import Container
from pypcp.resolver.engines import kubernetes, runtime_state
from pypcp.resolver.engines.places import Note, place
from pypcp.resolver.untrusted_files import Folder, mapping, number, open_folder, text

DATA_ROOT, EXEC_ROOT = "/var/lib/docker", "/run/docker"
_CONFIGURATION = "/etc/docker"


class Docker:
    """One daemon's containers. ``PCP_DOCKER_DIR``, else docker's ``daemon.json``, says where they lie."""

    name = "docker"

    def __init__(self, data_root: str, exec_root: str) -> None:
        self._containers = os.path.join(data_root, "containers")
        self._runtimes = os.path.join(exec_root, "runtime-runc/moby")
        self._known: dict[str, tuple[tuple[int, int, int], Container]] = {}
        self._folders: set[str] = set()

    @classmethod
    def configured(cls, environment: Mapping[str, str], note: Note) -> Docker:
        """As this machine has it."""
        settings: dict[str, Any] = {}
        if folder := open_folder(_CONFIGURATION):
            with folder:
                settings = mapping(folder.read_json("daemon.json"))
        data_root = place(settings, "data-root", DATA_ROOT, note)
        exec_root = place(settings, "exec-root", EXEC_ROOT, note)
        return cls(place(environment, "PCP_DOCKER_DIR", data_root, note), exec_root)

    def roots(self) -> list[str]:
        """Containers and runtime state."""
        return [self._containers, self._runtimes]

    def folders(self) -> set[str]:
        """The list, and each container's own directory: its file is replaced at every change."""
        return self._folders

    def scan(self) -> list[Container]:
        """Every container; files that have not changed are not read again."""
        folder = open_folder(self._containers)
        if folder is None:
            self._folders = set()
            return []
        with folder:
            idents = folder.names()
            self._folders = {self._containers, self._runtimes, *(f"{self._containers}/{ident}" for ident in idents)}
            found = {ident: container for ident in idents if (container := self._container(folder, ident))}
        self._known = {ident: self._known[ident] for ident in found}
        return list(found.values())

    def _container(self, folder: Folder, ident: str) -> Container | None:
        stamp = folder.stamp(f"{ident}/config.v2.json")
        if stamp is None:
            return None
        known = self._known.get(ident)
        if known and known[0] == stamp:
            return known[1]
        settings = folder.read_json(f"{ident}/config.v2.json")
        if not isinstance(settings, dict) or settings.get("ID") != ident:
            return None
        container = self._described(ident, settings)
        self._known[ident] = stamp, container
        return container

    def _described(self, ident: str, settings: dict[str, Any]) -> Container:
        state = mapping(settings.get("State"))
        paused, restarting = state.get("Paused") is True, state.get("Restarting") is True
        running = state.get("Running") is True and not restarting
        runtime = runtime_state.read([self._runtimes], ident) if running else runtime_state.RuntimeState()
        pid = number(state.get("Pid")) if running else 0
        labels = mapping(mapping(settings.get("Config")).get("Labels"))
        return Container(
            self.name,
            ident,
            (name,) if (name := text(settings.get("Name")).removeprefix("/")) else (),
            running=running and not paused,
            paused=paused,
            restarting=restarting,
            pid=pid,
            start_time=runtime.start_time if runtime.pid == pid else 0,
            aliases=kubernetes.of_labels(labels),
        )
