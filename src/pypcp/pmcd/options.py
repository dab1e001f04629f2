"""How a daemon is to run: what its command line comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pypcp.ipc.paths import Paths
from pypcp.pmcd.limits import Limits

PMCD_PORT = 44321
LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Places:
    """Where a daemon looks for what others leave there; None: nowhere.

    ``labels`` is the folder of the files with labels, ``label_settings`` the file ``labels.conf``. In ``temporary``
    pmlogger and pmie say that they run, in ``run`` other services do.
    """

    labels: Path | None = None
    label_settings: Path | None = None
    temporary: Path | None = None
    run: Path | None = None

    @classmethod
    def of(cls, paths: Paths) -> Self:
        """The places that stock's programs use, and our own before them where there are such."""
        usual = paths.config_dirs[-1]
        temporary = paths.settings.get("PCP_TMP_DIR")
        return cls(
            labels=paths.config_file("labels") or usual / "labels",
            label_settings=paths.config_file("labels.conf") or usual / "labels.conf",
            temporary=Path(temporary) if temporary else None,
            run=paths.run_dir,
        )


@dataclass(frozen=True, slots=True)
class Options:
    """``addresses`` are listened on at every port of ``ports``; no address means every address of the host."""

    ports: tuple[int, ...] = (PMCD_PORT,)
    addresses: tuple[str, ...] = LOOPBACK
    socket: Path | None = None
    hostname: str = ""
    limits: Limits = field(default_factory=Limits)
    places: Places = field(default_factory=Places)
