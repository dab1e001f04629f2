"""The descriptor of a metric. See: pmLookupDesc(3)."""

from __future__ import annotations

from dataclasses import dataclass

from pypcp.model.ids import PM_INDOM_NULL, InDom, Pmid
from pypcp.model.units import NONE, Units
from pypcp.model.values import Semantics, ValueType


@dataclass(frozen=True, slots=True)
class Desc:
    """Identity, type, instance domain, semantics and units: all that is needed to read a metric's values.

    ``type`` and ``sem`` are plain numbers where a peer sent one that no table names.
    """

    pmid: Pmid
    type: ValueType | int
    indom: InDom = PM_INDOM_NULL
    sem: Semantics | int = Semantics.INSTANT
    units: Units = NONE
