"""LXC, LXD and Incus: directories for the list, and the monitor process of each container for its first process."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pypcp.resolver.container import Container
from pypcp.resolver.engines.host_processes import children, first_in_own_space, host_processes
from pypcp.resolver.engines.places import Note, place
from pypcp.resolver.processes import start_time
from pypcp.resolver.untrusted_files import open_folder

LXC_ROOT = "/var/lib/lxc"
_MONITOR = b"[lxc monitor] "
_OTHERS = (
    ("lxd", "/var/lib/lxd/containers"),
    ("lxd", "/var/snap/lxd/common/lxd/containers"),
    ("incus", "/var/lib/incus/containers"),
)


class Lxc:
    """The containers of one directory. Their first process is the child of ``[lxc monitor] DIRECTORY NAME``."""

    def __init__(self, name: str, root: str, cgroup_root: str) -> None:
        self.name = name
        self._root = root
        self._cgroups = cgroup_parents(cgroup_root)
        self._folders: set[str] = set()

    @classmethod
    def configured(cls, environment: Mapping[str, str], cgroup_root: str, note: Note) -> list[Lxc]:
        """LXC's own directory, and those of LXD and Incus."""
        own = cls("lxc", place(environment, "PCP_LXC_DIR", LXC_ROOT, note), cgroup_root)
        return [own, *(cls(name, root, cgroup_root) for name, root in _OTHERS)]

    def roots(self) -> list[str]:
        """The directory of containers."""
        return [self._root]

    def folders(self) -> set[str]:
        """The directory, and where control groups appear when a container starts."""
        return self._folders

    def scan(self) -> list[Container]:
        """Every container that has a directory."""
        folder = open_folder(self._root)
        if folder is None:
            self._folders = set()
            return []
        self._folders = {self._root, *self._cgroups}
        with folder:
            names = [name for name in folder.names() if not name.startswith(".") and self._is_container(name)]
        first = self._first_processes() if names else {}
        return [self._container(name, first.get(name, 0)) for name in names]

    def _is_container(self, name: str) -> bool:
        """LXC has a configuration there; LXD and Incus keep theirs in a database, and the directory says it all."""
        return self.name != "lxc" or os.path.exists(f"{self._root}/{name}/config")

    def _first_processes(self) -> dict[str, int]:
        found = {}
        for pid, command in host_processes(b"[lxc monitor]"):
            words = command.rstrip(b"\0").replace(b"\0", b" ")
            root, _, name = words.removeprefix(_MONITOR).rpartition(b" ")
            if words.startswith(_MONITOR) and root == os.fsencode(self._root):
                first = [child for child in children(pid) if first_in_own_space(child)]
                found[os.fsdecode(name)] = first[0] if first else 0
        return found

    def _container(self, name: str, pid: int) -> Container:
        try:
            started = start_time(pid) if pid else 0
        except (OSError, ValueError, IndexError):
            pid = started = 0
        return Container(self.name, name, (name,), running=bool(pid), pid=pid, start_time=started)


def cgroup_parents(cgroup_root: str) -> list[str]:
    """Where the control groups of containers appear: one mount of a hybrid or old layout, or version 2's only one."""
    candidates = [f"{cgroup_root}/{mount}" for mount in ("unified", "memory", "systemd", "freezer")]
    return [path for path in candidates if os.path.isdir(path)][:1] or [cgroup_root]
