"""The name under which this host's metrics are known, which an administrator may change while the daemon runs."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

CHECK_S: Final = 10.0


class HostName:
    """The system's name, looked at now and then; or the one ``given`` for good (pmcd -H).

    ``due`` is true when it is time to :meth:`look`. Whoever serves clients asks that with every request, so it has to
    cost nothing, and a daemon that nobody asks anything is not woken by it: the timer runs once after each look.
    """

    def __init__(self, given: str) -> None:
        self.name = given or socket.gethostname()
        self.due = not given

    def look(self) -> bool:
        """Has the name changed since the last look?"""
        self.due = False
        asyncio.get_running_loop().call_later(CHECK_S, self._become_due)
        before, self.name = self.name, socket.gethostname()
        return self.name != before

    def _become_due(self) -> None:
        self.due = True
