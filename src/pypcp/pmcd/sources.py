"""The files a daemon is told what to do by, and whether they have changed since they were read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pypcp.ipc.pmns_files import load_name_space
from pypcp.pmcd import config
from pypcp.pmcd.config import Configuration
from pypcp.pmns.tree import Tree

log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


@dataclass(slots=True)
class Sources:
    """``configuration`` (pmcd.conf, and pmcd.conf.access beside it) and ``name_space`` (a pmns(5) file); None: none.

    ``names`` are known without such a file, beside those of the agents in this process; ``unique_names``: a metric may
    have one name only.
    """

    configuration: Path | None = None
    name_space: Path | None = None
    include_dirs: tuple[Path, ...] = ()
    unique_names: bool = False
    names: Tree = field(default_factory=Tree)
    _stamps: Mapping[Path, _Stamp | None] = field(default_factory=dict)
    _names: Tree = field(default_factory=Tree)
    _names_of: Mapping[Path, _Stamp | None] = field(default_factory=dict)

    def read_configuration(self) -> Configuration:
        """``OSError``, ``ConfigurationError``."""
        self._stamps = {**self._stamps, **_stamps_of(self._configuration_files())}
        found = config.load(self.configuration) if self.configuration is not None else Configuration()
        log.debug("%s: %d agents, %d rules", self.configuration, len(found.agents), len(found.statements))
        return found

    def read_names(self) -> Tree:
        """The name space; the same one again as long as no file of it has changed. ``NoPmns``, ``PmnsError``."""
        if self.name_space is None:
            return self.names
        self._stamps = {**self._stamps, self.name_space: _stamp(self.name_space)}
        if self._names_of and self._names_of == _stamps_of(self._names_of):
            log.info('PMNS file "%s" is unchanged', self.name_space)
            return self._names
        files: list[Path] = []
        names = load_name_space(
            self.name_space, include_dirs=self.include_dirs, duplicates=not self.unique_names, opened=files.append
        )
        self._names, self._names_of = names, _stamps_of(files)
        return names

    def changed(self) -> bool:
        """Is any of the files another one than was read last? Costs a stat(2) each."""
        return any(_stamp(path) != stamp for path, stamp in self._stamps.items())

    def _configuration_files(self) -> list[Path]:
        if self.configuration is None:
            return []
        return [self.configuration, Path(f"{self.configuration}.access")]


def _stamps_of(paths: Iterable[Path]) -> dict[Path, _Stamp | None]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
