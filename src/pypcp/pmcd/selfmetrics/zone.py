"""The host's time zone, in the two ways that tools understand. See: environ(7) about TZ, tzfile(5)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_LOCALTIME: Final = Path("/etc/localtime")
_NAMED: Final = Path("/etc/timezone")
_ZONES: Final = Path("/usr/share/zoneinfo")


def timezone() -> str:
    """The host's time zone as a value of ``$TZ``: the variable itself, or name and offset of the local time."""
    if (configured := os.environ.get("TZ")) is not None:
        return configured
    local = time.localtime()
    west = -(local.tm_gmtoff or 0)
    if west == 0:
        return local.tm_zone or "UTC"
    hours, minutes = divmod(abs(west) // 60, 60)
    sign = "-" if west < 0 else ""
    return f"{local.tm_zone}{sign}{hours}" + (f":{minutes:02}" if minutes else "")


def zoneinfo() -> str:
    """The host's time zone by the name of its file, ``:Australia/Melbourne``; empty where that cannot be told."""
    configured = os.environ.get("TZ", "")
    for name in (configured.removeprefix(":"), _linked(), _first_line(_NAMED)):
        if _is_zone(name):
            return f":{name}"
    return ""


def _linked() -> str:
    """What /etc/localtime is a link to, if that is one of the zones' files."""
    try:
        target = os.readlink(_LOCALTIME)
    except OSError:
        return ""
    _, found, name = target.partition("/zoneinfo/")
    return name if found else ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


def _is_zone(name: str) -> bool:
    # The name goes to clients as it is and may come from our environment: a path that leads elsewhere is no zone.
    return bool(name) and not name.startswith("/") and ".." not in name and (_ZONES / name).is_file()
