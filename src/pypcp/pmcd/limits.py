"""How long the daemon waits and how much it holds, for any one peer, where options say so or tests want it otherwise.

Every wait and every buffer has a limit; those that are always the same stand with what they limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

from pypcp.wire.framing import CLIENT_LIMIT

NEVER_S: Final = 365 * 86_400
"""What no limit comes to: event loops want a number that fits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes and counts; the defaults are stock's where stock has the limit."""

    pdu_bytes: int = CLIENT_LIMIT
    """The largest PDU taken from a client (pmcd -L)."""
    pdu_s: float = 5.0
    """How long the rest of a PDU may take once its first byte is there (pmcd -t)."""
    hello_s: float = 10.0
    """How long a client may take to send its credentials."""
    reload_s: float = 2.0
    """How long a client that comes after a reload was asked for, and before it is over, waits for that."""
    write_s: float = 5.0
    """How long a client may leave its replies unread once the buffers are full."""
    write_buffer_bytes: int = 256 << 10
    """Unsent bytes above which a client is not read from."""
    turn_s: float = 0.002
    """How long one client's waiting requests are answered before the others have their turn."""
    agent_hello_s: float = 3.0
    """How long an agent may take from its start to its credentials (pmcd -q)."""
    agent_s: float = 5.0
    """How long an agent may take for one answer before it is ended (pmcd -t)."""
    agent_soft_s: float = 1.0
    """How long a fetch that others take part in waits for one agent."""
    agent_restarts: bool = True
    """Are agents that ended started again untold? If not, a reload does it (PMCD_RESTART_AGENTS=0)."""
    unread_bytes: int = 256 << 20
    """Unsent bytes for all clients together; above it the one with most of them is dropped."""
    profile_instances: int = 1 << 20
    """Instances listed in the long profiles of all clients together."""
    contexts: int = 64
    """Contexts of a client that may have a profile (pmcd -C)."""
    metrics: int = 32768
    """Metrics in one fetch (pmcd -M)."""
    reply_bytes: int = 64 << 20
    """The largest reply to a fetch; what an agent says in reply to one is not looked at either if it is larger."""
    plan_cache_bytes: int = 16 << 20
    """Memory of the prepared fetch lists that clients repeat."""

    def with_exchange_s(self, seconds: float) -> Self:
        """The same with another limit of one exchange, with an agent or a client; 0: none (pmcd -t)."""
        limit = seconds or NEVER_S
        return replace(self, pdu_s=limit, agent_s=limit)
