"""What a client remembers about one context, whatever connection serves it at the moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from pypcp.model.desc import Desc
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.wire.pdu import Feature, StateChange
from pypcp.wire.versions import Channel


@dataclass
class ContextState:
    """One context: who it is to pmcd, what it wants, and the metadata learnt so far.

    ``handle`` is the sender of each request, ``slot`` the number under which pmcd keeps the profile; a context has a
    connection of its own, so zero is as good as any. What was learnt ends with the connection: the next pmcd may be
    another.
    """

    channel: Channel
    handle: int = 0
    slot: int = 0
    profile: Profile = EVERYTHING
    profile_told: Profile | None = None
    descs: dict[int, Desc] = field(default_factory=dict)
    changes: StateChange = StateChange.NO_CHANGE
    """State changes seen while the reply of an abandoned fetch was dropped; the next fetch reports them."""

    def offers(self, feature: Feature) -> bool:
        """Did pmcd advertise this when we connected?"""
        return bool(self.channel.features & feature)

    def forget_connection(self) -> None:
        """A new connection: pmcd knows nothing of us any more."""
        self.profile_told = None
        self.descs.clear()
        self.changes = StateChange.NO_CHANGE
