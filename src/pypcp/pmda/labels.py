"""Labels and notes as authors give them: mappings of names to JSON values. See: pmdaLabel(3), pmLookupLabels(3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from pypcp.model.ids import IN_NULL
from pypcp.model.labels import Label, LabelSet, LabelType
from pypcp.wire.label import label_set

Given: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""Names and JSON values, or what gives them anew whenever somebody asks."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of one thing (an agent, a cluster, a metric, an instance domain) besides its values.

    ``labels`` identify, and tools tell things apart by them; ``notes`` only inform (the flag OPTIONAL).
    """

    labels: Given | None = None
    notes: Given | None = None

    def set_for(self, level: LabelType) -> LabelSet | None:
        """The label set at ``level``; None where there is nothing to say."""
        labels, notes = _now(self.labels), _now(self.notes)
        return label_set_of(labels, notes, level) if labels or notes else None


NO_LABELS: Final = Labels()


def _now(given: Given | None) -> Mapping[str, Any]:
    return _NOTHING if given is None else given() if callable(given) else given


def label_set_of(
    labels: Mapping[str, Any], notes: Mapping[str, Any], level: LabelType, instance: int = IN_NULL
) -> LabelSet:
    """One set of labels and notes; ``ValueError`` and ``TypeError`` as :func:`pypcp.wire.label.label_set`."""
    both = label_set({**labels, **notes}, level, instance)
    if not notes:
        return both
    noted = [
        replace(label, flags=label.flags | LabelType.OPTIONAL) if _outermost(both, label) in notes else label
        for label in both.labels
    ]
    return replace(both, labels=noted)


def _outermost(labels: LabelSet, label: Label) -> str:
    """The first component of a label's name: what its author called it."""
    return labels.json[label.name : label.name + label.name_length].decode().partition(".")[0]
