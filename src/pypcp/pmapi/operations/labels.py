"""Labels: the metadata that agents and administrators attach to contexts, metrics and instances."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pypcp.errors import NoLabels, PcpError, RemoteProtocolError
from pypcp.model.desc import Desc
from pypcp.model.ids import IN_NULL, PM_INDOM_NULL, InDom, Pmid
from pypcp.model.labels import LEVELS, LabelSet, LabelType
from pypcp.pmapi.operations.names import lookup_name
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Operation, answered, ask
from pypcp.pmapi.operations.values import fetch, tell_profile
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import Feature

_NO_IDENT = PM_INDOM_NULL


@dataclass(frozen=True, slots=True)
class LabelValue:
    """A label's value as JSON text, and its flags: the level it comes from, COMPOUND, OPTIONAL."""

    json: str
    flags: LabelType

    @property
    def value(self) -> object:
        """The value as Python data."""
        return json.loads(self.json)


Labels = Mapping[str, LabelValue]
"""Labels by name, in the order of their names."""


@dataclass(frozen=True)
class MetricLabels:
    """All labels that apply to a metric, level by level, and those of its instances."""

    levels: Mapping[LabelType, Labels]
    instances: Mapping[int, Labels] = field(default_factory=dict)

    @property
    def merged(self) -> Labels:
        """The labels of the metric: a deeper level overrides. See: pmMergeLabelSets(3)."""
        return merge(*(self.levels[level] for level in LEVELS if level in self.levels))

    def of_instance(self, instance: int) -> Labels:
        """The labels of one instance: the metric's and its own."""
        return merge(self.merged, self.instances.get(instance, {}))


def merge(*sets: Labels) -> Labels:
    """Labels of several sets in one; a later set overrides."""
    merged = {name: value for labels in sets for name, value in labels.items()}
    return dict(sorted(merged.items()))


def labels(state: ContextState, level: LabelType, ident: int = _NO_IDENT) -> Operation[dict[int, Labels]]:
    """The labels of one level, by instance; all levels but INSTANCES have the one "instance" -1, or nothing at all.

    ``ident``: of no meaning for CONTEXT, a domain for DOMAIN, an instance domain for INDOM and INSTANCES, a metric for
    CLUSTER and ITEM. Raises ``NoLabels`` where pmcd is too old, ``NoAgent``, ``UnknownPmid``, ``UnknownInDom``.
    See: pmGetContextLabels(3), pmGetDomainLabels(3), pmGetInDomLabels(3), pmGetClusterLabels(3), pmGetItemLabels(3),
    pmGetInstancesLabels(3).
    """
    if not state.offers(Feature.LABELS):
        return (yield from _own_labels(state, level))
    if level is LabelType.CONTEXT:
        ident = _NO_IDENT  # whatever was given: there is one context, and stock answers for that
    if level is LabelType.INSTANCES:
        yield from tell_profile(state)
    reply = yield from ask(LabelRequest(ident, level, sender=state.handle), LabelReply)
    if reply.ident != ident or reply.type != level:
        raise RemoteProtocolError("labels of another level or identifier than asked for")
    return {label_set.instance: read_labels(label_set) for label_set in reply.sets if not label_set.error}


def _own_labels(state: ContextState, level: LabelType) -> Operation[dict[int, Labels]]:
    """What can be said of a context whose pmcd knows no labels: the name of its host."""
    if level is not LabelType.CONTEXT:
        raise NoLabels()
    pmid = yield from lookup_name(state, "pmcd.hostname")
    result = yield from fetch(state, [pmid])
    return {IN_NULL: {"hostname": LabelValue(json.dumps(result.value_sets[0].value), LabelType.CONTEXT)}}


def read_labels(label_set: LabelSet) -> Labels:
    """The labels of a set, by name."""

    def text(at: int, length: int) -> str:
        return label_set.json[at : at + length].decode("utf-8", "surrogateescape")

    found = {
        text(label.name, label.name_length): LabelValue(text(label.value, label.value_length), label.flags)
        for label in label_set.labels
    }
    return dict(sorted(found.items()))


def metric_labels(state: ContextState, desc: Desc) -> Operation[MetricLabels]:
    """Every label of a metric and of its instances that the profile lets in.

    A level that cannot be had counts as empty. See: pmLookupLabels(3).
    """
    idents = {
        LabelType.CONTEXT: _NO_IDENT,
        LabelType.DOMAIN: Pmid(desc.pmid).domain,
        LabelType.INDOM: desc.indom,
        LabelType.CLUSTER: desc.pmid,
        LabelType.ITEM: desc.pmid,
    }
    levels = yield from _levels(state, idents)
    if desc.indom == PM_INDOM_NULL:
        return MetricLabels(levels)
    return MetricLabels(levels, (yield from _level(state, LabelType.INSTANCES, desc.indom)))


def indom_labels(state: ContextState, indom: int) -> Operation[MetricLabels]:
    """The labels of an instance domain, and of what it belongs to; otherwise as ``metric_labels``."""
    idents = {
        LabelType.CONTEXT: _NO_IDENT,
        LabelType.DOMAIN: InDom(indom).domain,
        LabelType.INDOM: indom,
    }
    return MetricLabels((yield from _levels(state, idents)))


def _levels(state: ContextState, idents: Mapping[LabelType, int]) -> Operation[dict[LabelType, Labels]]:
    levels: dict[LabelType, Labels] = {}
    for level, ident in idents.items():
        if level is LabelType.CONTEXT or ident != PM_INDOM_NULL:
            levels[level] = (yield from _level(state, level, ident)).get(IN_NULL, {})
    return levels


def _level(state: ContextState, level: LabelType, ident: int) -> Operation[dict[int, Labels]]:
    try:
        return (yield from labels(state, level, ident))
    except PcpError as error:
        answered(error)
        return {}
