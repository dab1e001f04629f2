"""containerd with ctr, nerdctl and Kubernetes' CRI: what the shims leave for each task, and runc's state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pypcp.resolver.container import Container
from pypcp.resolver.engines import kubernetes, runtime_state
from pypcp.resolver.untrusted_files import Folder, mapping, number, open_folder, text

STATE_ROOT = "/run/containerd"
_TASKS = "io.containerd.runtime.v2.task"
_DOCKERS_OWN = "moby"
_KUBERNETES = "k8s.io"


class Containerd:
    """The tasks of one containerd; docker's, which it keeps in a name space of their own, are docker's."""

    name = "containerd"

    def __init__(self, state_root: str = STATE_ROOT) -> None:
        self._tasks = f"{state_root}/{_TASKS}"
        self._runc = [f"{state_root}/runc", "/run/containerd/runc"]
        self._folders: set[str] = set()
        self._known: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {}

    def roots(self) -> list[str]:
        """Tasks, and runtime state."""
        return [self._tasks, *dict.fromkeys(self._runc)]

    def folders(self) -> set[str]:
        """The name spaces, the tasks of each, and each task: its process file comes last."""
        return self._folders

    def scan(self) -> list[Container]:
        """Every container that has a task; one that was only created has none, and no process either."""
        folder = open_folder(self._tasks)
        if folder is None:
            self._folders = set()
            return []
        self._folders = {self._tasks}
        with folder:
            spaces = [space for space in folder.names() if space != _DOCKERS_OWN]
            found = [task for space in spaces for task in self._space(space)]
        self._known = {path: known for path, known in self._known.items() if path in self._folders}
        return found

    def _space(self, space: str) -> Iterator[Container]:
        tasks = open_folder(f"{self._tasks}/{space}", follow=False)
        if tasks is None:
            return
        self._folders.add(f"{self._tasks}/{space}")
        with tasks:
            for ident in tasks.names():
                self._folders.add(f"{self._tasks}/{space}/{ident}")
                yield self._container(tasks, space, ident)

    def _container(self, tasks: Folder, space: str, ident: str) -> Container:
        annotations = mapping(self._specification(tasks, space, ident).get("annotations"))
        runtime = runtime_state.read([f"{root}/{space}" for root in self._runc], ident)
        raw = tasks.read(f"{ident}/init.pid", 64)
        pid = runtime.pid or (number(int(raw)) if raw and raw.strip().isdigit() else 0)
        given = text(annotations.get("nerdctl/name"))
        return Container(
            "cri" if space == _KUBERNETES else self.name,
            ident,
            (given,) if given else (),
            running=bool(pid),
            pid=pid,
            start_time=runtime.start_time,
            aliases=kubernetes.of_annotations(annotations),
        )

    def _specification(self, tasks: Folder, space: str, ident: str) -> dict[str, Any]:
        """The OCI specification; it never changes, and may be long, so it is read once."""
        stamp = tasks.stamp(f"{ident}/config.json")
        path = f"{self._tasks}/{space}/{ident}"
        known = self._known.get(path)
        if stamp is None or (known and known[0] == stamp):
            return known[1] if known else {}
        kept = {"annotations": mapping(tasks.read_json(f"{ident}/config.json")).get("annotations")}
        self._known[path] = stamp, kept
        return kept
