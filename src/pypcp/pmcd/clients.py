"""The table of clients: each has a slot, and agents know it by the number of its slot."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pypcp.pmda.interface import Client

if TYPE_CHECKING:
    from pypcp.pmcd.client_connection import ClientConnection


class ClientTable:
    """Connected clients by slot. The lowest free slot is used again, once every agent knows of the end before."""

    def __init__(self) -> None:
        self._connections: dict[int, ClientConnection] = {}
        self._free: list[int] = []
        self._slots = 0

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[ClientConnection]:
        return iter(list(self._connections.values()))

    def __contains__(self, connection: ClientConnection) -> bool:
        return self._connections.get(connection.client.context) is connection

    def enter(self, connection: ClientConnection) -> None:
        """Give a client its slot."""
        if self._free:
            slot = heapq.heappop(self._free)
        else:
            slot, self._slots = self._slots, self._slots + 1
        connection.client.context = slot
        self._connections[slot] = connection

    def leave(self, client: Client, untold: Iterable[asyncio.Future[None]]) -> None:
        """A client has gone; ``untold`` are the agents that do not know yet."""
        slot = client.context
        del self._connections[slot]
        waiting = set(untold)

        def told(future: asyncio.Future[None]) -> None:
            waiting.discard(future)
            if not waiting:
                heapq.heappush(self._free, slot)

        for future in list(waiting):
            future.add_done_callback(told)
        if not waiting:
            heapq.heappush(self._free, slot)
