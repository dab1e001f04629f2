"""The table of clients: each has a slot, and agents know it by the number of its slot."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pypcp.pmda.interface import Client

if TYPE_CHECKING:
    from pypcp.pmcd.client_connection import ClientConnection


class ClientTable:
    """Connected clients by slot. The lowest free slot is used again, once every agent knows of the end before.

    Each also has a number of its own, never used again, in whose order they are given. ``generation`` changes with who
    is connected.
    """

    def __init__(self) -> None:
        self._connections: dict[int, ClientConnection] = {}
        self._free: list[int] = []
        self._slots = 0
        self._numbers = itertools.count()
        self.generation = 0

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
        connection.number = next(self._numbers)
        self.generation += 1
        self._connections[slot] = connection

    def of(self, client: Client) -> ClientConnection:
        """The connection of a client; ``KeyError`` where it has gone."""
        return self._connections[client.context]

    def leave(self, client: Client, untold: Iterable[asyncio.Future[None]]) -> None:
        """A client has gone; ``untold`` are the agents that do not know yet."""
        slot = client.context
        del self._connections[slot]
        self.generation += 1
        waiting = set(untold)

        def told(future: asyncio.Future[None]) -> None:
            waiting.discard(future)
            if not waiting:
                heapq.heappush(self._free, slot)

        for future in list(waiting):
            future.add_done_callback(told)
        if not waiting:
            heapq.heappush(self._free, slot)
