"""How a daemon is to run: what its command line comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pypcp.pmcd.limits import Limits

PMCD_PORT = 44321
LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Options:
    """``addresses`` are listened on at every port of ``ports``; no address means every address of the host."""

    ports: tuple[int, ...] = (PMCD_PORT,)
    addresses: tuple[str, ...] = LOOPBACK
    socket: Path | None = None
    hostname: str = ""
    limits: Limits = field(default_factory=Limits)
