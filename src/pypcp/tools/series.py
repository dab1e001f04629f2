"""Identifiers of time series: hashes over labels and metadata, the same from every source. See: pmseries(1)."""

from __future__ import annotations

import hashlib

from pypcp.model.desc import Desc
from pypcp.model.labels import LabelType
from pypcp.model.values import Semantics, ValueType
from pypcp.pmapi.operations.labels import Labels, MetricLabels, merge
from pypcp.tools.render import labels_text, semantics_text

_TYPE_NAMES = {ValueType.I32: "32", ValueType.I64: "64", ValueType.NOSUPPORT: "NO_SUPPORT"}


def source_series(context_labels: Labels) -> str:
    """The identifier of a source, from the labels of its context."""
    return _hash(f'"series":"source","labels":{labels_text(context_labels, optional=False)}')


def metric_series(name: str, desc: Desc, labels: MetricLabels) -> str:
    """The identifier of a metric."""
    return _hash(
        f'"series":"metric","name":"{name}","labels":{labels_text(labels.merged, optional=False)},'
        f'"semantics":"{_semantics(desc)}","type":"{_type(desc)}","units":"{desc.units}"'
    )


def instance_series(name: str, labels: MetricLabels, instance: int) -> str:
    """The identifier of an instance, the same for all metrics of its domain.

    Stock leaves the optional labels in here, and only here.
    """
    levels = [labels.levels.get(level, {}) for level in (LabelType.CONTEXT, LabelType.DOMAIN, LabelType.INDOM)]
    own = merge(*levels, labels.instances.get(instance, {}))
    return _hash(f'"series":"instance","name":"{name}","labels":{labels_text(own)}')


def _semantics(desc: Desc) -> str:
    return semantics_text(desc.sem) if isinstance(desc.sem, Semantics) else "???"


def _type(desc: Desc) -> str:
    return _TYPE_NAMES.get(desc.type, desc.type.name) if isinstance(desc.type, ValueType) else "???"


def _hash(members: str) -> str:
    return hashlib.sha1(f"{{{members}}}".encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
