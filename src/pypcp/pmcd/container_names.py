"""The host names of the containers that clients look into: whether there is such a container, and what it is called."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from pypcp.errors import ContainerNotFound, PcpError, TryAgain, from_code
from pypcp.pmcd.privileged import Helper

FRESH_S: Final = 1.0
"""An answer is asked for again after that."""

KEPT_S: Final = 10.0
"""An answer that could not be had anew counts no longer than that."""

_KEPT: Final = 256
_MOST_ASKED: Final = 64
"""So many containers are asked for at a time; nothing is known of another one meanwhile."""


class _Known(NamedTuple):
    at: float
    name: str
    code: int
    detail: str


class ContainerNames:
    """What the helper said of each container; without a ``helper`` there is no container.

    Nothing here waits for it but :meth:`learn`.
    """

    def __init__(self, helper: Helper | None) -> None:
        self._helper = helper
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def of(self, container: str) -> str:
        """Its host name.

        ``ContainerNotFound``, ``OsError`` where it does not run, ``TryAgain`` while nothing is known.
        """
        known, now = self._known.get(container), time.monotonic()
        if known is None or now - known.at > FRESH_S:
            self.ask(container)
        if known is None or now - known.at > KEPT_S:
            raise TryAgain(f"nothing is known yet of container {container}")
        if known.code:
            raise from_code(known.code, known.detail)
        return known.name

    def ask(self, container: str) -> asyncio.Task[None] | None:
        """Have the helper asked; one question about a container at a time. None where as many as may are asked for."""
        task = self._asking.get(container)
        if task is None and len(self._asking) < _MOST_ASKED and not self._closed:
            task = self._asking[container] = asyncio.get_running_loop().create_task(self._ask(container))
            task.add_done_callback(lambda _: self._asking.pop(container, None))
        return task

    async def learn(self, container: str) -> None:
        """Wait until something is known of it, as a new client may: it has not asked anything yet.

        Not where too many wait already: then the client tries again.
        """
        if container not in self._known and (task := self.ask(container)) is not None:
            await asyncio.shield(task)

    async def _ask(self, container: str) -> None:
        try:
            if self._helper is None:
                raise ContainerNotFound
            name = await self._helper.container_hostname(container)
        except PcpError as error:
            self._learned(container, "", error.code, error.detail)
        else:
            self._learned(container, name)

    def _learned(self, container: str, name: str, code: int = 0, detail: str = "") -> None:
        self._known.pop(container, None)
        while len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        self._known[container] = _Known(time.monotonic(), name, code, detail)

    def close(self) -> None:
        """Ask nothing any more."""
        self._closed = True
        for task in list(self._asking.values()):
            task.cancel()
