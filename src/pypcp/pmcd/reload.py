"""Reading the files again: when somebody says so, and when they have changed. See: pmcd(1)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Self

from pypcp.errors import PcpError
from pypcp.ipc.configuration import ConfigurationError
from pypcp.pmcd.access import AccessRules
from pypcp.pmcd.config import Configuration
from pypcp.pmcd.gate import rules_of
from pypcp.pmcd.router import NamesHere, merged_names
from pypcp.pmcd.sources import Sources
from pypcp.pmcd.statistics import Statistics
from pypcp.pmcd.threads import in_thread
from pypcp.pmns.tree import Tree

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 1.0


class Said(NamedTuple):
    """What the files say. The names are the same tree again as long as their files are the same."""

    configuration: Configuration
    rules: AccessRules
    names: Tree

    @classmethod
    def by(cls, sources: Sources) -> Self:
        """``OSError``, ``ConfigurationError``, ``PmnsError``: the files are not to be used."""
        configuration = sources.read_configuration()
        return cls(configuration, rules_of(configuration.statements), sources.read_names())


class Reloads:
    """What the files ``said`` last, and who is to ``obey``, told whether the names are others now.

    All that touches a file is done in a thread: files may be far away, and so may those who know hosts and accounts by
    their names.
    """

    def __init__(
        self,
        sources: Sources,
        own_names: Callable[[], Sequence[NamesHere]],
        obey: Callable[[bool], Awaitable[None]],
        statistics: Statistics,
    ) -> None:
        self.said = Said.by(sources)
        self._sources = sources
        self._own_names = own_names
        self._obey = obey
        self._statistics = statistics
        self._reloading = asyncio.Lock()
        self._reason = asyncio.Event()
        self._told = False
        self._over = asyncio.Event()
        self._over.set()
        self._looked = 0.0

    def tell(self) -> None:
        """Reload, whatever the files are, as after SIGHUP."""
        self._told = True
        self._over.clear()
        self._reason.set()

    @property
    def pending(self) -> bool:
        """Is there a reload that was told of and is not over?"""
        return not self._over.is_set()

    async def over(self, within_s: float) -> None:
        """Wait until all that was told of is done, but no longer than ``within_s``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._over.wait()

    def look(self) -> None:
        """Reload if a file has changed: clients come, and each second one has it looked at."""
        now = asyncio.get_running_loop().time()
        if now - self._looked > _LOOK_EVERY_S:
            self._looked = now
            self._reason.set()

    async def run(self) -> None:
        """Reload whenever there is a reason to."""
        while True:
            await self._reason.wait()
            self._reason.clear()
            told, self._told = self._told, False
            try:
                if told or await in_thread(self._sources.changed):
                    await self.reload()
            except Exception:
                log.exception("a reload failed in a way it must not; the next one is tried all the same")
            if not self._told:
                self._over.set()

    async def reload(self) -> None:
        """Read the files again. Agents that stay as they are and all clients notice nothing.

        A file that is not to be used changes nothing. One reload begins when the one before is over.
        """
        async with self._reloading:
            self._statistics.sighups += 1
            try:
                said = await in_thread(self._read, self._own_names())
            except (PcpError, ConfigurationError, OSError) as error:
                log.error("nothing is changed: %s", error)
                return
            before, self.said = self.said, said
            if said.configuration == before.configuration and self._sources.configuration is not None:
                log.info("Configuration file '%s' unchanged", self._sources.configuration)
            await self._obey(said.names is not before.names)

    def _read(self, own: Sequence[NamesHere]) -> Said:
        """``PmnsError`` too where the names of the file do not go together with our ``own``."""
        said = Said.by(self._sources)
        if said.names is not self.said.names:
            merged_names(said.names, own)
        return said
