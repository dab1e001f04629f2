"""Labels: metadata in name and value pairs, at six levels of a metric. See: pmLookupLabels(3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import EJECT, IntFlag


class LabelType(IntFlag, boundary=EJECT):
    """PM_LABEL_*: the level a label belongs to, and two qualities of it. Any other bit makes it a plain number."""

    CONTEXT = 1
    DOMAIN = 2
    INDOM = 4
    CLUSTER = 8
    ITEM = 16
    INSTANCES = 32
    COMPOUND = 64
    OPTIONAL = 128


LEVELS = (
    LabelType.CONTEXT,
    LabelType.DOMAIN,
    LabelType.INDOM,
    LabelType.CLUSTER,
    LabelType.ITEM,
    LabelType.INSTANCES,
)
"""The six levels, in the order in which a later one overrides an earlier."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label: its name and where the name and the value stand in the JSON text of its set.

    ``name`` is the offset of the first character after the quote, ``value`` the offset of the value including quotes.
    """

    name: int
    name_length: int
    flags: LabelType
    value: int
    value_length: int


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of one identifier (or one instance): a flat JSON object and an index into it, sorted by name.

    ``error`` (negative) stands for the labels of an instance that could not be had.
    """

    instance: int
    json: bytes = b""
    labels: Sequence[Label] = ()
    error: int = 0
