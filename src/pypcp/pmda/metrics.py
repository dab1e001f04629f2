"""How an author declares metrics: clusters that are refreshed together, and the metrics read from them.

A cluster's refresh returns a *snapshot*, whatever the author likes: a dataclass, a dict, a list. Each metric of the
cluster says how to read its value out of a snapshot. So a source is read once for all the metrics it gives, and a
parser is a pure function from text to a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pypcp.errors import OsError, PcpError, TryAgain
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL, Pmid
from pypcp.model.units import NONE, Units
from pypcp.model.values import Semantics, Value, ValueType
from pypcp.pmda.complaints import Complaints
from pypcp.pmda.indom import Indom
from pypcp.pmda.interface import Client
from pypcp.pmda.labels import NO_LABELS, Labels
from pypcp.pmda.signature import parameters_of

Values = Value | Sequence[Value | None] | Mapping[str, Value] | None
"""What a metric's function may return.

Without an instance domain: the value. With one: a sequence with one value an instance, in the order of the domain's
instances (None: this one has no value), or a mapping from instance names to values. None: no value now. To fail, raise
a ``PcpError``.
"""

Read = Callable[..., Values]
"""snapshot -> Values, or (snapshot, client) -> Values for a metric whose value depends on who asks."""


@dataclass(slots=True, eq=False)
class Metric:
    """A declared metric. ``per_client`` metrics are read with the client as a second argument."""

    name: str
    desc: Desc
    cluster: Cluster
    read: Read
    indom: Indom | None = None
    oneline: str = ""
    help: str = ""
    per_client: bool = False
    store: Callable[..., None] | None = None
    labels: Labels = NO_LABELS

    def on_store(self, function: Callable[..., None]) -> Callable[..., None]:
        """Decorator: ``function`` takes each value that a client stores; without one a metric refuses.

        It is given, by the names of its parameters, what it wants of ``value`` (of the metric's type), ``instance``
        (its name, None without an instance domain) and ``client``. To refuse a value raise ``BadStore`` (or
        ``ValueError``), to refuse the client ``PermissionDenied``. See: pmStore(3).
        """
        self.store = store_by_names(function, self)
        return function


class Cluster:
    """Metrics that are refreshed together. ``number`` is the cluster of their pmids (0 to 4095) that name none.

    ``refresh`` returns the snapshot; it runs once a fetch that names any of the metrics. What it raises is the answer
    of all of them for that fetch. With ``after`` it is given the snapshot of that cluster, which is refreshed before:
    so several clusters share what is read once, and fail together when that fails.
    """

    def __init__(
        self,
        domain: int,
        number: int,
        refresh: Callable[..., Any] | None = None,
        register: Callable[[Metric], None] = lambda metric: None,
        after: Cluster | None = None,
    ) -> None:
        self.domain = domain
        self.number = number
        self.refreshes = refresh is not None
        self.snapshot: Any = None
        self.failure: PcpError | None = None
        self.is_broken = False
        """What it failed with is the author's mistake."""
        self._refresh = refresh
        self._after = after
        self._register = register
        self._moment: object = None
        self._followers: list[Callable[[Any], None]] = []
        self.complaints = Complaints()

    def follow(self, follower: Callable[[Any], None]) -> None:
        """Have ``follower`` called with each new snapshot, before any metric is read from it."""
        self._followers.append(follower)

    def refresh(self, moment: object = None) -> None:
        """Take a new snapshot, or remember why there is none. Once for requests of the same ``moment``."""
        if self._refresh is None or (moment is not None and moment is self._moment):
            return
        self._moment = moment
        try:
            snapshot = self._refresh() if self._after is None else self._refresh(self._after.refreshed(moment))
        except Exception as error:  # noqa: BLE001 - the author's code: whatever it raises costs these metrics only
            self._fail(error, is_answer=isinstance(error, PcpError))
        else:
            self._take(snapshot)

    def refreshed(self, moment: object) -> Any:
        """The snapshot after a :meth:`refresh`; what that met with is raised."""
        self.refresh(moment)
        if self.failure is not None:
            raise self.failure
        return self.snapshot

    def _take(self, snapshot: Any) -> None:
        try:
            for follower in self._followers:
                follower(snapshot)
        except Exception as error:  # noqa: BLE001 - the author's snapshot: it costs these metrics only
            # Names or instances that cannot be are the author's mistake, not what he has to say to clients.
            self._fail(error, is_answer=False)
            return
        self.snapshot = snapshot
        self.failure = None
        self.is_broken = False

    def _fail(self, error: Exception, *, is_answer: bool) -> None:
        """The metrics answer with an error; the log hears of one that is a mistake."""
        self.is_broken = not is_answer
        if self.is_broken and isinstance(error, PcpError):  # which says what to do; how it came there does not
            self.complaints.wrong(str(self), "the agent's code failed", error)
        elif self.is_broken:
            self.complaints.failed(str(self), error)
        self.failure = failure_of(error)

    def __str__(self) -> str:
        return f"cluster {self.domain}.{self.number}"

    def metric(
        self,
        name: str,
        item: int,
        type_: ValueType,
        read: Read,
        *,
        indom: Indom | None = None,
        sem: Semantics = Semantics.INSTANT,
        units: Units = NONE,
        help_: str = "",
        per_client: bool = False,
        store: Callable[..., None] | None = None,
        number: int | None = None,
        labels: Labels = NO_LABELS,
    ) -> Metric:
        """Declare a metric with a value for each instance of ``indom``, or a single one.

        ``help_``: the first line is the one-line text, the rest the long one. ``store(value, instance, client)`` is
        called with each value stored; without it the metric refuses. ``number``: the cluster of this metric's pmid.
        """
        pmid = Pmid.build(self.domain, self.number if number is None else number, item)
        desc = Desc(pmid, type_, indom.id if indom is not None else PM_INDOM_NULL, sem, units)
        oneline, _, text = (part.strip() for part in help_.partition("\n"))
        declared = Metric(name, desc, self, read, indom, oneline, text or oneline, per_client, store, labels)
        self._register(declared)
        if indom is not None:
            indom.follow(self)
        return declared


def store_by_names(
    function: Callable[..., None], metric: Metric, data: Callable[[], Any] | None = None
) -> Callable[..., None]:
    """What :class:`Metric` calls with (value, instance id, client), calling ``function`` with what it names.

    With ``data`` there may be one more parameter, of any name, which is given that.
    """
    wanted = parameters_of(function)
    others = [name for name in wanted if name not in ("value", "instance", "client")]
    if len(others) > (data is not None):
        known = "value, instance, client" if data is None else "value, instance, client and a member's data"
        raise TypeError(f"{function.__qualname__}: a store function can be given {known}; not {', '.join(others)}")

    def store(value: Value, instance: int, client: Client) -> None:
        name = metric.indom.name_of(instance) if metric.indom is not None else None
        given = {"value": value, "instance": name, "client": client}
        if data is not None:
            given.update((other, data()) for other in others)
        function(**{each: given[each] for each in wanted})

    return store


def failure_of(error: Exception) -> PcpError:
    """What an exception of an author's code means to a client: its own code, its errno, or "try again"."""
    if isinstance(error, PcpError):
        return error
    if isinstance(error, OSError) and error.errno:
        return OsError(-error.errno, str(error))
    return TryAgain(str(error))


def log_value(metric: Metric, culprit: str, error: Exception) -> None:
    """Tell the author about a value that is none of the metric's type."""
    metric.cluster.complaints.wrong(metric.name, f"{culprit} cannot be a value of type {metric.desc.type}", error)


def log_failure(metric: Metric, error: Exception) -> None:
    """Tell the author about an exception that is not an answer."""
    if not isinstance(error, PcpError):
        metric.cluster.complaints.failed(metric.name, error)
