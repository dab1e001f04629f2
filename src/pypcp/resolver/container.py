"""What is known about one container."""

from __future__ import annotations

from typing import NamedTuple


class Container(NamedTuple):
    """A container as its engine's files describe it; ``pid`` is a claim until :mod:`processes` verified it."""

    engine: str
    ident: str
    """The instance name that PCP shows: the full id, or the name where the engine has no ids."""
    names: tuple[str, ...] = ()
    """Every name the engine has for it, none with a leading slash."""
    running: bool = False
    paused: bool = False
    restarting: bool = False
    pid: int = 0
    start_time: int = 0
    """Clock ticks since boot at which ``pid`` started, 0 where the engine does not say."""
    owner: int = 0
    """Whose engine it is: root's or a user's, whose word counts only for processes of that user."""
    aliases: tuple[str, ...] = ()
    """Kubernetes forms; they count only while it has a process, since earlier attempts have the same."""
    unit: str = ""
    """What its control group is called where that is not the id (systemd-nspawn)."""
    space: str = ""
    """Where ``ident`` is unique, if not in the whole engine: containerd's name space, the directory of LXC."""
