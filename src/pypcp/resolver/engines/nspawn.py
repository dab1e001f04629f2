"""systemd-nspawn: what machined keeps about each machine, and for those never registered, the process itself."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pypcp.resolver.container import Container
from pypcp.resolver.engines import AGAIN_S, STARTING_S
from pypcp.resolver.engines.host_processes import children, first_in_own_space, host_processes
from pypcp.resolver.processes import start_time
from pypcp.resolver.roots import Root
from pypcp.resolver.untrusted_files import open_folder

MACHINES, RUNNING = "/run/systemd/machines", "/run/systemd/nspawn"


class Nspawn:
    """The containers of systemd; virtual machines, which machined lists as well, are not ours."""

    name = "nspawn"
    owner = 0
    again_s = AGAIN_S

    def __init__(self, machines: str = MACHINES, running: str = RUNNING) -> None:
        self._machines = machines
        self._running = f"{running}/propagate"

    def roots(self) -> list[Root]:
        """machined's files, and the directory that nspawn makes for each machine."""
        return [Root(self._machines), Root(self._running)]

    def folders(self) -> set[str]:
        """Both."""
        return {folder for folder in (self._machines, self._running) if os.path.isdir(folder)}

    def scan(self) -> list[Container]:
        """Registered machines, then those that run without."""
        self.again_s = AGAIN_S
        found = {container.ident: container for container in self._registered()}
        if os.path.isdir(self._running):
            for container in self._unregistered():
                found.setdefault(container.ident, container)
        return list(found.values())

    def _registered(self) -> Iterator[Container]:
        folder = open_folder(Root(self._machines))
        if folder is None:
            return
        with folder:
            for name in folder.names():
                raw = b"" if ":" in name else folder.read(name, 65536)
                if raw:
                    facts = dict(
                        line.split("=", 1) for line in raw.decode("utf-8", "replace").splitlines() if "=" in line
                    )
                    if facts.get("CLASS") == "container":
                        yield self._machine(name, facts)

    def _machine(self, name: str, facts: dict[str, str]) -> Container:
        leader = facts.get("LEADER", "")
        pid = int(leader) if leader.isdigit() and len(leader) < 10 else 0
        unit = facts.get("UNIT") or facts.get("SCOPE") or name
        return Container(self.name, name, (name,), running=bool(pid), pid=pid, unit=unit)

    def _unregistered(self) -> Iterator[Container]:
        for pid, command in host_processes(b"systemd-nspawn\0"):
            name = _machine_option(command.split(b"\0"))
            first = [child for child in children(pid) if first_in_own_space(child)]
            if not first:
                self.again_s = STARTING_S
            elif name:
                try:
                    started = start_time(first[0])
                except (OSError, ValueError, IndexError):
                    continue
                yield Container(self.name, name, (name,), running=True, pid=first[0], start_time=started)


def _machine_option(words: list[bytes]) -> str:
    """The name given by ``-M NAME``, ``-MNAME`` or ``--machine=NAME``."""
    for at, word in enumerate(words):
        if word == b"-M" or word == b"--machine":
            return os.fsdecode(words[at + 1]) if at + 1 < len(words) else ""
        for prefix in (b"--machine=", b"-M"):
            if word.startswith(prefix) and len(word) > len(prefix):
                return os.fsdecode(word[len(prefix) :])
    return ""
