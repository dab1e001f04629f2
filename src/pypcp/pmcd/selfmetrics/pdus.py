"""Clusters 1 and 2: PDUs received and sent, by type, over clients and agents together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pypcp.model.units import COUNT
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.metrics import Cluster

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

_KINDS: Final = {
    "error": 0x00,
    "result": 0x01,
    "profile": 0x02,
    "fetch": 0x03,
    "desc_req": 0x04,
    "desc": 0x05,
    "instance_req": 0x06,
    "instance": 0x07,
    "text_req": 0x08,
    "text": 0x09,
    "control_req": 0x0A,
    "creds": 0x0C,
    "pmns_ids": 0x0D,
    "pmns_names": 0x0E,
    "pmns_child": 0x0F,
    "pmns_traverse": 0x10,
    "auth": 0x11,
    "label_req": 0x12,
    "label": 0x13,
    "highres_fetch": 0x14,
    "highres_result": 0x15,
    "desc_ids": 0x16,
    "descs": 0x17,
}
"""What metrics call a type, and the low bits of its number."""

_TOTAL: Final = 16
"""The item of the total; it came when there were 16 types, and later types come after it."""

_U32: Final = 0xFFFFFFFF


def declare(agent: Agent, daemon: Daemon) -> None:
    """Declare the metrics."""
    _declare_counts(agent.cluster(1), "pmcd.pdu_in", "received", daemon.statistics.pdu_in)
    _declare_counts(agent.cluster(2), "pmcd.pdu_out", "sent", daemon.statistics.pdu_out)


def _declare_counts(cluster: Cluster, prefix: str, done: str, counts: Sequence[int]) -> None:
    for name, index in _KINDS.items():
        item = index if index < _TOTAL else index + 1
        what = name.upper()
        _declare(
            cluster,
            f"{prefix}.{name}",
            item,
            partial(_count, counts, index),
            f"{what} PDUs {done}\nSince the daemon started, {done} by it in conversations with clients and agents.",
        )
    _declare(
        cluster,
        f"{prefix}.total",
        _TOTAL,
        lambda _: sum(counts) & _U32,
        f"PDUs {done}\nOf all types, since the daemon started, in conversations with clients and agents.",
    )


def _declare(cluster: Cluster, name: str, item: int, read: Any, help_: str) -> None:
    cluster.metric(name, item, ValueType.U32, read, sem=Semantics.COUNTER, units=COUNT, help_=help_)


def _count(counts: Sequence[int], index: int, snapshot: None) -> int:
    return counts[index] & _U32
