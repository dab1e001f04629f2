"""What the daemon counts about itself; :mod:`pypcp.pmcd.selfmetrics` exports it."""

from __future__ import annotations

from dataclasses import dataclass, field

_TYPES = 64


@dataclass(slots=True)
class Statistics:
    """PDUs by the low bits of their type, received and sent, over clients and agents together."""

    pdu_in: list[int] = field(default_factory=lambda: [0] * _TYPES)
    pdu_out: list[int] = field(default_factory=lambda: [0] * _TYPES)
    sighups: int = 0
    seqnum: int = 1
