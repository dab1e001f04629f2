"""The directory in which applications publish: which files there are, and what becomes of them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pypcp.agents.mmv.layout import MappedMetric
from pypcp.agents.mmv.mapped import MappedFile, Part, read_together, serial_of
from pypcp.errors import PcpError
from pypcp.model.labels import LabelType
from pypcp.pmda import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster, Metric
from pypcp.pmns.tree import check_name

log = logging.getLogger(__name__)

_MAX_CLUSTER: Final = 4095
_MOST_FILES: Final = 1000
"""Each has a descriptor open, of which the daemon has not many."""
_BRIEF_S: Final = 0.02
_REST: Final = 20
"""Where reading all files took longer than that, they are left alone for so many times as long."""


Parts = dict[Metric, list[Part]]
"""Which files have a metric: the one that declared it first."""


class Directory:
    """Keeps an agent's metrics what the files of a directory say. Looking whether they changed takes microseconds.

    Everybody may write there: a file that is none, or wrong somewhere, costs itself. Reading them anew takes time that
    others wait for, so it is done again at once only where it took little.
    """

    def __init__(self, agent: Agent, path: Path) -> None:
        self._agent = agent
        self._path = path
        self._exports: list[_Export] = []
        self._parts: Parts = {}
        self._seen: object = None
        self._unfinished: dict[Path, object] = {}
        self._not_before = 0.0

    def __len__(self) -> int:
        """How many files there are whose metrics are exported."""
        return len(self._exports)

    def refresh(self) -> None:
        """Read the files anew if any came, went, or was written anew."""
        seen = _stamp(self._path)
        unchanged = seen == self._seen and all(export.file.current for export in self._exports)
        if unchanged and all(_stamp(path) == stamp for path, stamp in self._unfinished.items()):
            return
        if time.monotonic() < self._not_before:
            return
        self._seen = seen
        began = time.thread_time()
        self.reload()
        if (took := time.thread_time() - began) > _BRIEF_S:
            self._not_before = time.monotonic() + _REST * took

    def reload(self) -> None:
        """Forget all metrics, and read all files anew."""
        self._forget()
        clusters: dict[int, MappedFile] = {}
        for path in self._paths():
            stamp = _stamp(path)
            try:
                self._take_up(path, clusters)
            except (OSError, ValueError) as error:
                log.info("%s is left out: %s", path, error)
                self._unfinished[path] = stamp
        for metric, parts in self._parts.items():
            if metric.indom is not None and not _has_all(metric.indom, parts):
                metric.read = read_together(metric.indom.ids, parts)
        self._agent.names_changed()

    def _paths(self) -> list[Path]:
        found = sorted(self._path.glob("[!.]*")) if self._path.is_dir() else []
        if len(found) > _MOST_FILES:
            log.warning("%s has %d files; the first %d are read", self._path, len(found), _MOST_FILES)
        return found[:_MOST_FILES]

    def _take_up(self, path: Path, clusters: dict[int, MappedFile]) -> None:
        file = MappedFile(path)
        try:
            if not file.alive:
                raise ValueError("its process is gone")
            export = _Export(self._agent, file, _cluster_for(file, clusters), self._parts)
        except BaseException:
            file.close()
            raise
        self._exports.append(export)

    def close(self) -> None:
        """Forget all metrics, and let go of all files."""
        self._forget()
        self._seen = None

    def _forget(self) -> None:
        for export in self._exports:
            export.withdraw()
            export.file.close()
        self._exports.clear()
        self._parts.clear()
        self._unfinished.clear()


class _Export:
    """The metrics and instance domains of one file, which come and go together. ``ValueError``: they cannot be had.

    What other files have said before, in ``parts``, this one adds to: processes of one program choose the same numbers.
    """

    def __init__(self, agent: Agent, file: MappedFile, cluster: int, parts: Parts) -> None:
        self.file = file
        self._agent = agent
        self._parts = parts
        self._metrics: list[Metric] = []
        self._indoms: list[Indom] = []
        labels = file.labels_of(LabelType.CLUSTER)
        try:
            indoms = {serial: self._indom(cluster, serial) for serial in file.layout.indoms}
            metrics = agent.cluster(cluster, file.read)
            agent.label_cluster(cluster, labels.labels, labels.notes)
            for metric in file.layout.metrics:
                self._declare_if_possible(metrics, metric, indoms)
        except BaseException:
            self.withdraw()
            raise

    def withdraw(self) -> None:
        """Take all away again."""
        for metric in self._metrics:
            self._agent.registry.remove(metric)
        for indom in self._indoms:
            self._agent.registry.remove_indom(indom)

    def _declare_if_possible(self, cluster: Cluster, metric: MappedMetric, indoms: dict[int, Indom]) -> None:
        try:
            self._declare(cluster, metric, indoms)
        except (PcpError, ValueError, KeyError) as error:
            log.warning("%s: metric %r is left out: %s", self.file.path.name, metric.name, error)

    def _declare(self, cluster: Cluster, metric: MappedMetric, indoms: dict[int, Indom]) -> None:
        name = f"{self._agent.name}.{self.file.name_of(metric)}"
        check_name(name)
        taken = self._agent.registry.find(cluster.number, metric.item)
        if taken is not None:
            # As in stock: both names are those of the first file's metric, which has the instances of both.
            first = self._parts[taken][0].metric
            if metric.serial is not None and (metric.serial, metric.type) == (first.serial, first.type):
                self._parts[taken].append(Part(self.file, metric))
            if name not in self._agent.names_of(taken.desc.pmid):
                self._agent.alias(name, taken.desc.pmid)
            return
        declared = cluster.metric(
            name,
            metric.item,
            metric.type,
            self.file.reader_of(metric),
            indom=None if metric.serial is None else indoms[metric.serial],
            sem=metric.sem,
            units=metric.units,
            help_=metric.help,
            labels=self.file.labels_of(LabelType.ITEM, metric.item),
        )
        self._metrics.append(declared)
        self._parts[declared] = [Part(self.file, metric)]

    def _indom(self, cluster: int, serial: int) -> Indom:
        found = self.file.layout.indoms[serial]
        number = serial_of(cluster, serial)
        known = self._agent.registry.find_indom(number)
        if known is not None:
            _extend(known, found.instances)
            return known
        labels = self.file.labels_of(LabelType.INDOM, serial)
        declared = self._agent.indom(
            number,
            help_=found.help,
            fixed=found.instances,
            labels=labels.labels,
            notes=labels.notes,
            label_instance=self.file.instance_labels(serial),
        )
        self._indoms.append(declared)
        return declared


def _extend(indom: Indom, instances: Mapping[int, str]) -> None:
    """Add the instances of another file; what has a number or a name that is taken is the one that there is."""
    names = set(indom.names)
    new = {number: name for number, name in instances.items() if number not in indom.ids and name not in names}
    indom.replace([*indom.names, *new.values()], [*indom.ids, *new])


def _has_all(indom: Indom, parts: Sequence[Part]) -> bool:
    """Is the domain what the only part has?"""
    return len(parts) == 1 and tuple(parts[0].instances) == indom.ids


def _cluster_for(file: MappedFile, taken: dict[int, MappedFile]) -> int:
    """The cluster that the file wants, or the lowest that is free."""
    wanted = file.layout.header.cluster
    if not 0 < wanted <= _MAX_CLUSTER:
        wanted = next(number for number in range(1, _MAX_CLUSTER + 2) if number not in taken)
    taken.setdefault(wanted, file)
    return wanted


def _stamp(path: Path) -> object:
    """Changes when a directory or a file does; None: there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
