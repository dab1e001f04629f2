"""Podman and CRI-O: both lists of containers/storage, every storage driver, root's and users' own."""

from __future__ import annotations

import json
import os
import pwd
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pypcp.resolver.container import Container
from pypcp.resolver.engines import AGAIN_S, kubernetes, runtime_state
from pypcp.resolver.engines.places import Note, place
from pypcp.resolver.roots import Root
from pypcp.resolver.untrusted_files import (
    MAX_ENTRIES,
    MAX_LIST_BYTES,
    MAX_STATE_BYTES,
    entries,
    mapping,
    number,
    open_folder,
    parse_json,
    text,
)

GRAPH_ROOT, RUN_ROOT = "/var/lib/containers/storage", "/run/containers/storage"
_DRIVERS = ("overlay", "vfs", "btrfs", "zfs", "aufs", "devicemapper")
_LISTS = ("containers.json", "volatile-containers.json")
_CONFIGURATIONS = (("/etc/containers", "storage.conf"), ("/usr/share/containers", "storage.conf"))
_RUNTIMES = ("runc", "crun", "youki")


class Limits(NamedTuple):
    """How much of one storage is read."""

    list_bytes: int
    """Of all its lists together."""
    state_bytes: int
    """Of a runtime's state of one container."""
    containers: int


ROOTS = Limits(MAX_LIST_BYTES, MAX_STATE_BYTES, MAX_ENTRIES)
USERS = Limits(1 << 20, 128 << 10, 512)


class Podman:
    """One storage: a graph root, a run root, and the directories of the runtimes used with it.

    A user's storage lies beneath ``homes``, which are the user's to do with as he likes.
    """

    again_s = AGAIN_S

    def __init__(
        self, graph_root: str, run_root: str, runtimes: list[str], owner: int = 0, homes: Sequence[str] = ()
    ) -> None:
        self.name = "podman" if not owner else f"podman-{owner}"
        self.owner = owner
        self._homes = homes
        self._limits = USERS if owner else ROOTS
        self._runtimes = [self._root(path) for path in runtimes]
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
        runtimes = [f"{runtime}/{name}" for name in _RUNTIMES]
        return cls(storage, f"{runtime}/containers", runtimes, user.pw_uid, (user.pw_dir, runtime))

    def roots(self) -> list[Root]:
        """Lists, process files and runtime states."""
        return [*(self._root(folder) for place in self._places for folder in place), *self._runtimes]

    def _root(self, path: str) -> Root:
        return Root(path, self.owner, next((home for home in self._homes if path.startswith(f"{home}/")), ""))

    def folders(self) -> set[str]:
        """The lists, the places where drivers' lists would appear, and each container's own run directory."""
        return self._folders

    def scan(self) -> list[Container]:
        """Every container of every list; a container that two lists have is one."""
        found: dict[str, Container] = {}
        self._folders = {self._graph_root, self._run_root, *(runtime.path for runtime in self._runtimes)}
        left_bytes = self._limits.list_bytes
        for data, run in self._places:
            for raw in self._lists(data, run):
                left_bytes -= len(raw)
                if left_bytes < 0:
                    return list(found.values())
                for ident, entry in _described(parse_json(raw, self._limits.list_bytes)):
                    if len(found) < self._limits.containers:
                        found[ident] = self._container(ident, entry, run)
        return list(found.values())

    def _lists(self, data: str, run: str) -> Iterator[bytes]:
        for listed in (data, run):  # a transient store keeps its lists under the run root
            folder = open_folder(self._root(listed))
            if folder is None:
                continue
            self._folders.add(listed)
            with folder:
                for name in _LISTS:
                    yield folder.read(name, self._limits.list_bytes) or b""

    def _container(self, ident: str, entry: dict[str, Any], run: str) -> Container:
        names = entry.get("names")
        named = tuple(name for name in map(text, names[:64] if isinstance(names, list) else ()) if name)
        runtime = runtime_state.read(self._runtimes, ident, self._limits.state_bytes)
        pid = runtime.pid or self._pid_of_file(run, f"{ident}/userdata")
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

    def _pid_of_file(self, run: str, relative: str) -> int:
        """What conmon wrote, for a runtime whose state we do not know; the control group has to confirm it."""
        folder = open_folder(self._root(run))
        if folder is None:
            return 0
        self._folders.add(f"{run}/{relative}")
        with folder:
            raw = folder.read(f"{relative}/pidfile", 64)
        return number(int(raw)) if raw and raw.strip().isdigit() else 0


def _described(listed: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of a list by their ids, which are to be names of directories."""
    for entry in entries(listed):
        ident = text(entry.get("id"), 128)
        if ident and "/" not in ident and not ident.startswith("."):
            yield ident, entry


def _metadata(entry: dict[str, Any]) -> dict[str, Any]:
    """CRI-O and podman both keep a JSON text of their own in each entry."""
    try:
        return mapping(json.loads(text(entry.get("metadata"), 65536) or "{}"))
    except (ValueError, RecursionError):
        return {}


def _storage_settings() -> dict[str, Any]:
    """The ``[storage]`` table that root's containers use."""
    for path, name in _CONFIGURATIONS:
        folder = open_folder(Root(path))
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
    folder = open_folder(Root("/etc"))
    if folder is None:
        return []
    with folder:
        raw = folder.read("subuid", 1 << 20) or b""
    names = {line.split(":")[0] for line in raw.decode("utf-8", "replace").splitlines() if ":" in line}
    accounts = [account for account in pwd.getpwall() if account.pw_name in names or str(account.pw_uid) in names]
    return [account for account in accounts if account.pw_uid and os.path.isabs(account.pw_dir)]
