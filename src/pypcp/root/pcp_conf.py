"""The variables of ``/etc/pcp.conf`` that say where containers are to be looked for. See: pcp.conf(5)."""

from __future__ import annotations

import os
from typing import Final

from pypcp.root.configured import BadConfiguration
from pypcp.root.ground import UntrustedGround
from pypcp.root.policy import read_trusted

VARIABLES: Final = (
    *("PCP_DOCKER_DIR", "PCP_PODMAN_DATADIR", "PCP_PODMAN_RUNDIR"),
    *("PCP_LXC_DIR", "PCP_CONTAINERD_DIR", "PCP_CGROUP_DIR"),
)


def read(path: str, owner: int = 0) -> dict[str, str]:
    """Those that the file sets to an absolute path; none where it is missing, or not ``owner``'s alone."""
    try:
        lines = read_trusted(os.path.abspath(path), owner).splitlines()
    except (OSError, UntrustedGround, BadConfiguration):
        return {}
    settings = (line.strip().partition("=") for line in lines)
    return {name: value for name, _, value in settings if name in VARIABLES and value.startswith("/")}
