"""The directory in which applications publish: which files there are, and what becomes of them."""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain
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


class Directory:
    """Keeps an agent's metrics what the files of a directory say. Looking whether they changed takes microseconds.

    Everybody may write there: a file that is none, or wrong somewhere, costs itself. Reading them anew takes time that
    others wait for, so it is done again at once only where it took little.
    """

    def __init__(self, agent: Agent, path: Path) -> None:
        self._agent = agent
        self._path = path
        self._exports: list[_Export] = []
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
        self._share()
        self._agent.names_changed()

    def _share(self) -> None:
        """Processes of one program choose the same numbers: as in stock, a metric has the instances of all."""
        instances: dict[Indom, list[Mapping[int, str]]] = defaultdict(list)
        parts: dict[Metric, list[Part]] = defaultdict(list)
        for export in self._exports:
            for serial, indom in export.indoms.items():
                instances[indom].append(export.file.layout.indoms[serial].instances)
            for declared, part in export.parts:
                parts[declared].append(part)
        for indom, several in instances.items():
            if len(several) > 1:
                together = _union(several)
                indom.replace(together.values(), together)
        for declared, those in parts.items():
            if declared.indom is not None and len(instances[declared.indom]) > 1:
                declared.read = read_together(those)

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
            export = _Export(self._agent, file, _cluster_for(file, clusters))
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
        self._unfinished.clear()


class _Export:
    """The metrics and instance domains of one file, which come and go together. ``ValueError``: they cannot be had.

    ``indoms`` by serial and ``parts`` of metrics are all that the file has, also what another file declared first.
    """

    def __init__(self, agent: Agent, file: MappedFile, cluster: int) -> None:
        self.file = file
        self.indoms: dict[int, Indom] = {}
        self.parts: list[tuple[Metric, Part]] = []
        self._agent = agent
        self._metrics: list[Metric] = []
        self._indoms: list[Indom] = []
        labels = file.labels_of(LabelType.CLUSTER)
        try:
            for serial in file.layout.indoms:
                self.indoms[serial] = self._indom(cluster, serial)
            metrics = agent.cluster(cluster, file.read)
            agent.label_cluster(cluster, labels.labels, labels.notes)
            for metric in file.layout.metrics:
                self._declare_if_possible(metrics, metric)
        except BaseException:
            self.withdraw()
            raise

    def withdraw(self) -> None:
        """Take all away again."""
        for metric in self._metrics:
            self._agent.registry.remove(metric)
        for indom in self._indoms:
            self._agent.registry.remove_indom(indom)

    def _declare_if_possible(self, cluster: Cluster, metric: MappedMetric) -> None:
        try:
            self._declare(cluster, metric)
        except (PcpError, ValueError, KeyError) as error:
            log.warning("%s: metric %r is left out: %s", self.file.path.name, metric.name, error)

    def _declare(self, cluster: Cluster, metric: MappedMetric) -> None:
        name = f"{self._agent.name}.{self.file.name_of(metric)}"
        check_name(name)
        indom = None if metric.serial is None else self.indoms[metric.serial]
        declared = self._agent.registry.find(cluster.number, metric.item)
        if declared is not None:
            # Both names are those of the first file's metric, as in stock.
            if name not in self._agent.names_of(declared.desc.pmid):
                self._agent.alias(name, declared.desc.pmid)
        else:
            declared = cluster.metric(
                name,
                metric.item,
                metric.type,
                self.file.reader_of(metric),
                indom=indom,
                sem=metric.sem,
                units=metric.units,
                help_=metric.help,
                labels=self.file.labels_of(LabelType.ITEM, metric.item),
            )
            self._metrics.append(declared)
        if declared.indom is indom and declared.desc.type is metric.type:
            self.parts.append((declared, Part(self.file, metric)))

    def _indom(self, cluster: int, serial: int) -> Indom:
        found = self.file.layout.indoms[serial]
        number = serial_of(cluster, serial)
        known = self._agent.registry.find_indom(number)
        if known is not None:
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


def _union(several: Iterable[Mapping[int, str]]) -> dict[int, str]:
    """The instances of all; a number or a name that is taken already is the one that there is."""
    together: dict[int, str] = {}
    names: set[str] = set()
    for number, name in chain.from_iterable(each.items() for each in several):
        if number not in together and name not in names:
            together[number] = name
            names.add(name)
    return together


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
