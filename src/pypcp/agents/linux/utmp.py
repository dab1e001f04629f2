"""Who is logged in, from the utmp file. See: utmp(5).

Systems without that file (some gave it up for logind) have no sessions here; stock says the same.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

from pypcp.agents.linux.files import Files
from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent

RECORD_SIZE: Final = 400 if os.uname().machine == "aarch64" else 384
"""Most systems keep the 32-bit times of old in their records; this one does not."""

TYPE: Final = slice(0, 2)
USER: Final = slice(44, 76)
USER_PROCESS: Final = 7


@dataclass(slots=True)
class Sessions:
    """Counts of login records: of users (root included), of root, of any kind."""

    users: int
    roots: int
    records: int


def parse_utmp(data: bytes) -> Sessions:
    """An incomplete record at the end is not counted."""
    records = [data[start : start + RECORD_SIZE] for start in range(0, len(data) - RECORD_SIZE + 1, RECORD_SIZE)]
    users = [each[USER].rstrip(b"\0") for each in records if int.from_bytes(each[TYPE], sys.byteorder) == USER_PROCESS]
    return Sessions(len(users), users.count(b"root"), len(records))


def declare(agent: Agent, files: Files) -> None:
    """kernel.all.nusers, nroots and nsessions."""
    utmp = files.open("var/run/utmp")
    sessions = agent.cluster(25, lambda: parse_utmp(utmp.read()))
    u32 = ValueType.U32
    sessions.metric(
        "kernel.all.nusers", 0, u32, lambda now: now.users, help_="Sessions of users, those of root included"
    )
    sessions.metric("kernel.all.nroots", 1, u32, lambda now: now.roots, help_="Sessions of root")
    sessions.metric("kernel.all.nsessions", 2, u32, lambda now: now.records, help_="Login records of every kind")
