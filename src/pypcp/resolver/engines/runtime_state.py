"""What OCI runtimes leave about a running container: runc's ``state.json``, crun's ``status``."""

from __future__ import annotations

from typing import NamedTuple

from pypcp.resolver.roots import Root
from pypcp.resolver.untrusted_files import MAX_STATE_BYTES, mapping, number, open_folder


class RuntimeState(NamedTuple):
    """The first process, and when it started (clock ticks since boot)."""

    pid: int = 0
    start_time: int = 0


def read(roots: list[Root], ident: str, limit: int = MAX_STATE_BYTES) -> RuntimeState:
    """The state of a container under any of the runtimes' directories; zeros where there is none."""
    for root in roots:
        folder = open_folder(root)
        if folder is None:
            continue
        with folder:
            runc = mapping(folder.read_json(f"{ident}/state.json", limit))
            if pid := number(runc.get("init_process_pid")):
                return RuntimeState(pid, number(runc.get("init_process_start")))
            crun = mapping(folder.read_json(f"{ident}/status", limit))
            if pid := number(crun.get("pid")):
                return RuntimeState(pid, number(crun.get("process-start-time")))
    return RuntimeState()
