"""What the daemon counts about itself and its agents; :mod:`pypcp.pmcd.selfmetrics` exports it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

_TYPES = 64


@dataclass(slots=True)
class Statistics:
    """PDUs by the low bits of their type, received and sent, over clients and agents together.

    ``pdu_trace`` is there while somebody wants to see each: called with ``Recv`` or ``Xmit``, the frame and the peer.
    """

    pdu_in: list[int] = field(default_factory=lambda: [0] * _TYPES)
    pdu_out: list[int] = field(default_factory=lambda: [0] * _TYPES)
    sighups: int = 0
    seqnum: int = 1
    pdu_trace: Callable[[str, bytes, str], None] | None = None


@dataclass(slots=True)
class AgentStatistics:
    """One agent: requests answered, seconds they took (last, longest, all), late answers, starts after the first."""

    requests: int = 0
    last_s: float = 0.0
    longest_s: float = 0.0
    total_s: float = 0.0
    late: int = 0
    restarts: int = 0

    def answered(self, took_s: float) -> None:
        """A request was answered."""
        self.requests += 1
        self.last_s = took_s
        self.longest_s = max(self.longest_s, took_s)
        self.total_s += took_s
