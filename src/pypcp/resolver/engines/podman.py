"""Podman and CRI-O: both lists of containers/storage, every storage driver, root's and users' own."""

from __future__ import annotations

import json
import os
import pwd
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from pypcp.resolver.container import Container
from pypcp.resolver.engines import kubernetes, runtime_state
from pypcp.resolver.engines.places import Note, place
from pypcp.resolver.untrusted_files import MAX_LIST_BYTES, Folder, entries, mapping, number, open_folder, text

GRAPH_ROOT, RUN_ROOT = "/var/lib/containers/storage", "/run/containers/storage"
_DRIVERS = ("overlay", "vfs", "btrfs", "zfs", "aufs", "devicemapper")
_LISTS = ("containers.json", "volatile-containers.json")
_CONFIGURATIONS = (("/etc/containers", "storage.conf"), ("/usr/share/containers", "storage.conf"))
_RUNTIMES = ("runc", "crun", "youki")


class Podman:
    """One storage: a graph root, a run root, and the directories of the runtimes used with it."""

    def __init__(self, graph_root: str, run_root: str, runtimes: list[str], owner: int = 0) -> None:
        self.name = "podman" if not owner else f"podman-{owner}"
        self.owner = owner
        self._runtimes = runtimes
        self._places = [(f"{graph_root}/{driver}-containers", f"{run_root}/{driver}-containers") for driver in _DRIVERS]
        self._graph_root, self._run_root = graph_root, run_root
        self._folders: set[str] = set()

    @classmethod
    def configured(cls, environment: Mapping[str, str], note: Note) -> list[Podman]:
        """Root's storage as this machine has it, then the storage of every user who may have containers."""
        settings = _storage_settings()
        graph_root = place(settings, "graphroot", GRAPH_ROOT, note)
        run_root = place(settings, "runroot", RUN_ROOT, note)
        root = cls(graph_root, run_root, [f"/run/{runtime}" for runtime in _RUNTIMES])
        if data := place(environment, "PCP_PODMAN_DATADIR", "", note):
            run = place(environment, "PCP_PODMAN_RUNDIR", f"{run_root}/overlay-containers", note)
            root._places.insert(0, (data, run))
        return [root, *(cls._of_user(user) for user in _users())]

    @classmethod
    def _of_user(cls, user: pwd.struct_passwd) -> Podman:
        runtime = f"/run/user/{user.pw_uid}"
        storage = f"{user.pw_dir}/.local/share/containers/storage"
        return cls(storage, f"{runtime}/containers", [f"{runtime}/{name}" for name in _RUNTIMES], user.pw_uid)

    def roots(self) -> list[str]:
        """Lists, process files and runtime states."""
        return [*(folder for place in self._places for folder in place), *self._runtimes]

    def folders(self) -> set[str]:
        """The lists, the places where drivers' lists would appear, and each container's own run directory."""
        return self._folders

    def scan(self) -> list[Container]:
        """Every container of every list; a container that two lists have is one."""
        found: dict[str, Container] = {}
        self._folders = {self._graph_root, self._run_root, *self._runtimes}
        for data, run in self._places:
            for listed in (data, run):  # a transient store keeps its lists under the run root
                folder = open_folder(listed, self.owner, follow=not self.owner)
                if folder is None:
                    continue
                self._folders.add(listed)
                with folder:
                    found.update(self._listed(folder, run))
        return list(found.values())

    def _listed(self, folder: Folder, run: str) -> Iterator[tuple[str, Container]]:
        for name in _LISTS:
            for entry in entries(folder.read_json(name, MAX_LIST_BYTES)):
                ident = text(entry.get("id"), 128)
                if ident and "/" not in ident and not ident.startswith("."):
                    yield ident, self._container(ident, entry, run)

    def _container(self, ident: str, entry: dict[str, Any], run: str) -> Container:
        names = entry.get("names")
        named = tuple(name for name in map(text, names[:64] if isinstance(names, list) else ()) if name)
        runtime = runtime_state.read(self._runtimes, ident, self.owner)
        pid = runtime.pid or self._pid_of_file(f"{run}/{ident}/userdata")
        aliases = tuple(form for name in named for form in kubernetes.of_name(name))
        engine = "cri-o" if aliases and "pod-id" in _metadata(entry) else "podman"
        return Container(
            engine,
            ident,
            named,
            running=bool(pid),
            pid=pid,
            start_time=runtime.start_time,
            owner=self.owner,
            aliases=aliases,
        )

    def _pid_of_file(self, path: str) -> int:
        """What conmon wrote, for a runtime whose state we do not know; the control group has to confirm it."""
        folder = open_folder(path, self.owner, follow=not self.owner)
        if folder is None:
            return 0
        self._folders.add(path)
        with folder:
            raw = folder.read("pidfile", 64)
        return number(int(raw)) if raw and raw.strip().isdigit() else 0


def _metadata(entry: dict[str, Any]) -> dict[str, Any]:
    """CRI-O and podman both keep a JSON text of their own in each entry."""
    try:
        return mapping(json.loads(text(entry.get("metadata"), 65536) or "{}"))
    except (ValueError, RecursionError):
        return {}


def _storage_settings() -> dict[str, Any]:
    """The ``[storage]`` table that root's containers use."""
    for path, name in _CONFIGURATIONS:
        folder = open_folder(path)
        if folder is None:
            continue
        with folder:
            raw = folder.read(name, 1 << 20)
        if raw is not None:
            try:
                return mapping(tomllib.loads(raw.decode()).get("storage"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):
                return {}
    return {}


def _users() -> list[pwd.struct_passwd]:
    """The accounts that root gave user ids for containers: no others can run any."""
    folder = open_folder("/etc")
    if folder is None:
        return []
    with folder:
        raw = folder.read("subuid", 1 << 20) or b""
    names = {line.split(":")[0] for line in raw.decode("utf-8", "replace").splitlines() if ":" in line}
    accounts = [account for account in pwd.getpwall() if account.pw_name in names or str(account.pw_uid) in names]
    return [account for account in accounts if account.pw_uid and os.path.isabs(account.pw_dir)]
