"""The directory in which applications publish: which files there are, and what becomes of them."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

from pypcp.agents.mmv.layout import MappedMetric
from pypcp.agents.mmv.mapped import MappedFile, serial_of
from pypcp.errors import PcpError
from pypcp.model.labels import LabelType
from pypcp.pmda import Agent
from pypcp.pmda.indom import Indom
from pypcp.pmda.metrics import Cluster, Metric
from pypcp.pmns.tree import check_name

log = logging.getLogger(__name__)

_MAX_CLUSTER: Final = 4095


class Directory:
    """Keeps an agent's metrics what the files of a directory say. Looking whether they changed takes microseconds."""

    def __init__(self, agent: Agent, path: Path) -> None:
        self._agent = agent
        self._path = path
        self._files: list[MappedFile] = []
        self._metrics: list[Metric] = []
        self._indoms: list[Indom] = []
        self._seen: object = None
        self._unfinished: dict[Path, object] = {}

    def __len__(self) -> int:
        """How many files there are whose metrics are exported."""
        return len(self._files)

    def refresh(self) -> None:
        """Read the files anew if any came, went, or was written anew."""
        seen = _stamp(self._path)
        unchanged = seen == self._seen and all(file.current for file in self._files)
        if unchanged and all(_stamp(path) == stamp for path, stamp in self._unfinished.items()):
            return
        self._seen = seen
        self.reload()

    def reload(self) -> None:
        """Forget all metrics, and read all files anew."""
        self._forget()
        clusters: dict[int, MappedFile] = {}
        for path in sorted(self._path.glob("[!.]*")) if self._path.is_dir() else ():
            stamp = _stamp(path)
            try:
                file = MappedFile(path)
            except (OSError, ValueError) as error:
                log.info("%s is left out: %s", path, error)
                self._unfinished[path] = stamp
                continue
            if not file.alive:
                self._unfinished[path] = stamp
                file.close()
                continue
            self._files.append(file)
            self._declare(file, _cluster_for(file, clusters))
        self._agent.names_changed()

    def close(self) -> None:
        """Forget all metrics, and let go of all files."""
        self._forget()
        self._seen = None

    def _forget(self) -> None:
        for metric in self._metrics:
            self._agent.registry.remove(metric)
        for indom in self._indoms:
            self._agent.registry.remove_indom(indom)
        for file in self._files:
            file.close()
        for gone in (self._metrics, self._indoms, self._files, self._unfinished):
            gone.clear()

    def _declare(self, file: MappedFile, cluster: int) -> None:
        metrics = self._agent.cluster(cluster, file.read)
        labels = file.labels_of(LabelType.CLUSTER)
        self._agent.label_cluster(cluster, labels.labels, labels.notes)
        indoms = {serial: self._indom(file, cluster, serial) for serial in file.layout.indoms}
        for metric in file.layout.metrics:
            try:
                self._declare_metric(file, metrics, metric, indoms)
            except (PcpError, ValueError, KeyError) as error:
                log.warning("%s: metric %r is left out: %s", file.path.name, metric.name, error)

    def _declare_metric(
        self, file: MappedFile, cluster: Cluster, metric: MappedMetric, indoms: dict[int, Indom]
    ) -> None:
        name = f"{self._agent.name}.{file.name_of(metric)}"
        check_name(name)
        taken = self._agent.registry.find(cluster.number, metric.item)
        if taken is not None:
            # Two files that chose the same numbers: stock, too, gives the metric of the first both names.
            self._agent.alias(name, taken.desc.pmid)
            return
        declared = cluster.metric(
            name,
            metric.item,
            metric.type,
            file.reader_of(metric),
            indom=None if metric.serial is None else indoms[metric.serial],
            sem=metric.sem,
            units=metric.units,
            help_=metric.help,
            labels=file.labels_of(LabelType.ITEM, metric.item),
        )
        self._metrics.append(declared)

    def _indom(self, file: MappedFile, cluster: int, serial: int) -> Indom:
        found = file.layout.indoms[serial]
        number = serial_of(cluster, serial)
        known = self._agent.registry.find_indom(number)
        if known is not None:
            return known
        labels = file.labels_of(LabelType.INDOM, serial)
        declared = self._agent.indom(
            number,
            help_=found.help,
            fixed=found.instances,
            labels=labels.labels,
            notes=labels.notes,
            label_instance=file.instance_labels(serial),
        )
        self._indoms.append(declared)
        return declared


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
