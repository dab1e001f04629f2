"""Events: queues that many clients read, each at its own pace. See: pmdaEventNewQueue(3), pmdaEventNewArray(3)."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pypcp.errors import PermissionDenied
from pypcp.model.events import EventArray, EventFlags, EventParameter, EventRecord
from pypcp.model.units import BYTE, COUNT, NONE, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.interface import Client
from pypcp.pmda.metrics import Cluster, Metric
from pypcp.pmda.signature import type_of
from pypcp.wire.events import encode_events

log = logging.getLogger(__name__)

Keep = Callable[[EventRecord], bool]
"""Should a client see this record?"""


class _Kept(NamedTuple):
    record: EventRecord
    size: int


class EventQueue:
    """Records in order, as far as somebody still wants to read them, at most ``max_bytes`` of them.

    A client sees what was pushed after it fetched for the first time, each record once; the oldest give way to new
    ones, and who had not read them is told how many were missed. ``restricted``: only clients that were allowed, or
    have a filter, may read. Threads may push while clients are answered.
    """

    def __init__(self, max_bytes: int, *, highres: bool = True, restricted: bool = False) -> None:
        self.max_bytes = max_bytes
        self.highres = highres
        self.restricted = restricted
        self.count = 0
        """Records pushed, read or not."""
        self.bytes = 0
        """Their size, as they travel."""
        self.memory = 0
        """The size of those that are kept."""
        self._lock = threading.Lock()
        self._kept: deque[_Kept] = deque()
        self._first = 0
        self._next: dict[Client, int] = {}
        self._filters: dict[Client, Keep] = {}
        self._allowed: set[Client] = set()

    @property
    def clients(self) -> int:
        """How many read from the queue."""
        return len(self._next)

    def push(self, record: EventRecord) -> None:
        """A record has come. One larger than the whole queue is counted and lost."""
        size = len(encode_events(EventArray((record,), self.highres)))
        with self._lock:
            self.count += 1
            self.bytes += size
            if not self._next:
                return
            if size > self.max_bytes:
                log.warning("an event of %d bytes is lost, its queue has %d", size, self.max_bytes)
                return
            self._kept.append(_Kept(record, size))
            self.memory += size
            while self.memory > self.max_bytes:
                self._drop_first()

    def _drop_first(self) -> None:
        self.memory -= self._kept.popleft().size
        self._first += 1

    def records(self, client: Client) -> EventArray | None:
        """What the client has not seen yet, None if there is nothing. The first time it begins to read.

        ``PermissionDenied``: it may not.
        """
        if self.restricted and client not in self._allowed and client not in self._filters:
            raise PermissionDenied("this client may not read the events")
        with self._lock:
            end = self._first + len(self._kept)
            begun = self._next.get(client)
            self._next[client] = end
            if begun is None:
                return None
            missed = max(0, self._first - begun)
            unseen = [self._kept[at].record for at in range(max(0, begun - self._first), len(self._kept))]
            self._drop_read()
        keep = self._filters.get(client)
        wanted = unseen if keep is None else [record for record in unseen if keep(record)]
        if missed:
            first = unseen[0].time_ns if unseen else time.time_ns()
            wanted.insert(0, EventRecord(first, EventFlags.MISSED, missed=missed))
        return EventArray(tuple(wanted), self.highres) if wanted else None

    def _drop_read(self) -> None:
        """Let go of what everybody has seen."""
        slowest = min(self._next.values())
        while self._kept and self._first < slowest:
            self._drop_first()

    def filter(self, client: Client, keep: Keep | None) -> None:
        """Show the client only the records for which ``keep`` is true; None: all. A filter allows to read."""
        if keep is None:
            self._filters.pop(client, None)
        else:
            self._filters[client] = keep

    def allow(self, client: Client, allowed: bool = True) -> None:
        """Let the client read from a restricted queue, or no longer."""
        if allowed:
            self._allowed.add(client)
        else:
            self._allowed.discard(client)

    def end(self, client: Client) -> None:
        """The client has gone."""
        self._filters.pop(client, None)
        self._allowed.discard(client)
        with self._lock:
            if self._next.pop(client, None) is None:
                return
            if self._next:
                self._drop_read()
            else:
                self._first += len(self._kept)
                self._kept.clear()
                self.memory = 0


class EventMetrics:
    """A queue and its metrics: ``NAME.records``, and of the queue ``NAME.clients``, ``count``, ``bytes``, ``memory``.

    Each of the ``parameters`` is a metric ``NAME.PARAMETER`` that has values in records only.
    """

    def __init__(
        self, cluster: Cluster, name: str, queue: EventQueue, parameters: Mapping[str, Any], help_: str, first_item: int
    ) -> None:
        self.queue = queue
        type_ = ValueType.HIGHRES_EVENT if queue.highres else ValueType.EVENT
        declare = _Declarer(cluster, name, first_item)
        declare("records", type_, lambda _, client: queue.records(client), help_, per_client=True)
        declare("clients", ValueType.U32, lambda _: queue.clients, "Clients that read these events")
        declare("count", ValueType.U32, lambda _: queue.count & 0xFFFFFFFF, "Events so far", COUNT, counter=True)
        declare("bytes", ValueType.U64, lambda _: queue.bytes, "Bytes of all events so far", BYTE, counter=True)
        declare("memory", ValueType.U64, lambda _: queue.memory, "Bytes of events that wait to be read", BYTE)
        self.parameters = {
            each: declare(each, type_of(hint, f"{name}.{each}"), lambda _: None, f"Parameter {each} of an event")
            for each, hint in parameters.items()
        }

    def push(
        self,
        *,
        time_ns: int | None = None,
        flags: EventFlags = EventFlags.POINT,
        **parameters: int | float | str | bytes,
    ) -> None:
        """Something has happened, now or at ``time_ns``, with these parameters.

        ``KeyError``: one was not declared. ``TypeError``, ``struct.error``: a value is not of its parameter's type.
        """
        given = tuple(self._parameter(name, value) for name, value in parameters.items())
        self.queue.push(EventRecord(time.time_ns() if time_ns is None else time_ns, flags, given))

    def _parameter(self, name: str, value: int | float | str | bytes) -> EventParameter:
        if name not in self.parameters:
            raise KeyError(f"{name!r} is no parameter of these events; there are {', '.join(self.parameters)}")
        desc = self.parameters[name].desc
        return EventParameter(desc.pmid, ValueType(desc.type), value)


class _Declarer:
    """Declares the metrics of a queue one after the other."""

    def __init__(self, cluster: Cluster, name: str, first_item: int) -> None:
        self._cluster = cluster
        self._name = name
        self._item = first_item

    def __call__(
        self,
        name: str,
        type_: ValueType,
        read: Callable[..., Any],
        help_: str,
        units: Units = NONE,
        *,
        counter: bool = False,
        per_client: bool = False,
    ) -> Metric:
        declared = self._cluster.metric(
            f"{self._name}.{name}",
            self._item,
            type_,
            read,
            sem=Semantics.COUNTER if counter else Semantics.INSTANT,
            units=units,
            help_=help_,
            per_client=per_client,
        )
        self._item += 1
        return declared
