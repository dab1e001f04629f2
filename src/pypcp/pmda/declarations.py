"""What an author declares: the part of an agent that is written down, and what goes on besides answering."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pypcp.model.ids import MAX_DOMAIN, InDom
from pypcp.model.units import Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.background import BackgroundCluster
from pypcp.pmda.declare import Facts, Source
from pypcp.pmda.events import EventMetrics, EventQueue
from pypcp.pmda.hooks import Hooks
from pypcp.pmda.indom import Indom, LabelInstance
from pypcp.pmda.instance_cache import InstanceCache
from pypcp.pmda.labels import Given, Labels
from pypcp.pmda.lifetime import SHUTDOWN_LIMIT_S, Lifetime
from pypcp.pmda.metrics import Cluster, Metric
from pypcp.pmda.names import NameAnswers, Names
from pypcp.pmda.registry import Registry
from pypcp.pmda.subtree import Subtree
from pypcp.pmns.tree import Tree

FORCED_DOMAIN: ContextVar[int | None] = ContextVar("forced_domain", default=None)
"""The domain of agents declared in this context, whatever they say: a daemon's configuration has the last word."""

GIVEN_STATE: ContextVar[Path | None] = ContextVar("given_state", default=None)
"""Where agents declared in this context keep their ids, if they do not say themselves.

It has to be known by then: an author may say which instances there are as soon as he has declared their domain.
"""


class Declarations(Hooks):
    """All that an author says of an agent: :class:`pypcp.pmda.agent.Agent` without the answers.

    Declare metrics with the decorators :meth:`metric` and :meth:`source`, or, many at once from a table, with
    :meth:`cluster`; instance domains with :meth:`indom`, names that come and go with :meth:`subtree`.

    ``help_`` says what the agent is about, ``labels`` and ``notes`` hold for all its metrics. ``client_attributes``:
    the agent wants to know of each client what the daemon knows (``client.uid``, ``client.container``, ...).
    ``state`` is the directory where ids are remembered over restarts; without it they last as long as the process.

    ``lock`` is held while a request is answered, and by all that changes metrics, names and instances: so any thread
    may change them. Hold it to make several changes of which no client sees one without the other.
    """

    def __init__(
        self,
        name: str,
        domain: int,
        *,
        help_: str = "",
        state: Path | None = None,
        labels: Given | None = None,
        notes: Given | None = None,
        client_attributes: bool = False,
    ) -> None:
        domain = FORCED_DOMAIN.get() or domain
        if domain not in range(1, MAX_DOMAIN + 1):
            raise ValueError(f"agent {name}: domain {domain!r}, must be 1 to {MAX_DOMAIN}")
        super().__init__(client_attributes=client_attributes)
        self.name = name
        self.domain = domain
        self.help = help_
        self.has_quit = False
        self.of_containers: frozenset[int] = frozenset()
        """Metrics that have other values inside a container, which this agent cannot tell."""
        self.registry = Registry(self.domain)
        self.lock = self.registry.lock
        self._names = Names(self.registry)
        self._labels = Labels(labels, notes)
        self._state = state if state is not None else GIVEN_STATE.get()
        self._caches: list[tuple[str, InstanceCache]] = []
        self._plain: Source | None = None
        self._background: list[BackgroundCluster] = []
        self._lifetime = Lifetime()

    # Declaring

    def indom(
        self,
        serial: int,
        *,
        help_: str = "",
        fixed: Mapping[int, str] | None = None,
        persistent: bool = False,
        members: Callable[[Any], Iterable[str]] | None = None,
        labels: Given | None = None,
        notes: Given | None = None,
        label_instance: LabelInstance | None = None,
        note_instance: LabelInstance | None = None,
    ) -> Indom:
        """Declare an instance domain (``serial`` 0 to 4194303).

        Its instances are ``fixed`` (ids and names that never change), or what ``members`` finds in each snapshot of the
        source whose metrics have this domain (``members=list``: a mapping's keys), or what the agent's code says with
        :meth:`Indom.replace`. ``persistent``: ids stay with their names over restarts. ``label_instance`` and
        ``note_instance`` give an instance's labels and notes by its name.
        """
        ident = InDom.build(self.domain, serial)
        declared = Indom(
            ident,
            help_=help_,
            fixed=fixed,
            cache=self._cache(str(ident)) if persistent else InstanceCache(strings=True),
            members=members,
            labels=Labels(labels, notes),
            label_instance=label_instance,
            note_instance=note_instance,
        )
        self.registry.add_indom(declared)
        return declared

    def _cache(self, file: str) -> InstanceCache:
        """A cache that is kept in the state directory, once there is one."""
        cache = InstanceCache(self._state / file if self._state is not None else None, strings=True)
        cache.is_kept = True
        self._caches.append((file, cache))
        return cache

    def use_state(self, directory: Path) -> None:
        """Remember ids in ``directory`` from now on, unless there is a directory already.

        For whoever runs an agent that he has not imported by :func:`pypcp.pmda.finding.find_agent`, before it has any
        members or instances: those keep the ids they have.
        """
        if self._state is not None:
            return
        self._state = directory
        for file, cache in self._caches:
            cache.open(directory / file)

    def cluster(
        self, number: int, refresh: Callable[..., Any] | None = None, *, after: Cluster | None = None
    ) -> Cluster:
        """Declare metrics that ``refresh`` reads together.

        ``number`` goes into their pmids and says no more: several sources of one number are a cluster each. ``after``:
        another cluster, which is refreshed first, and whose snapshot ``refresh`` is given.
        """
        self.registry.reserve(number)
        return Cluster(self.domain, number, refresh, self.registry.add, after)

    def source(
        self,
        *,
        cluster: int | None = None,
        every: float | None = None,
        timeout: float | None = None,
        keep: float | None = None,
        labels: Given | None = None,
        notes: Given | None = None,
    ) -> Callable[[Callable[[], Any]], Source]:
        """Decorator: a function that reads something and returns it, a snapshot that metrics take their values from.

        It is called once for each fetch that names any of its metrics; what it raises is the answer of all of them.
        With ``every`` (seconds) it is read in the background instead, and may be a coroutine: a fetch never waits, and
        is answered from the last snapshot that was read, for ``keep`` seconds (three periods if not said). ``timeout``
        ends a coroutine that takes longer. ``cluster`` is the middle part of the metrics' pmids.
        """
        number = self.registry.next_cluster() if cluster is None else cluster
        if labels or notes:
            self.label_cluster(number, labels, notes)

        def declare(function: Callable[[], Any]) -> Source:
            if every is None:
                if timeout is not None or keep is not None:
                    raise TypeError(f"{function.__qualname__}: timeout= and keep= are for a source with every=")
                if inspect.iscoroutinefunction(function):
                    raise TypeError(f"{function.__qualname__}: no fetch waits for a coroutine; say how often: every=10")
                made: Cluster = self.cluster(number, function)
            else:
                made = self._in_background(number, function, every, timeout, keep)
            return Source(function, made, self.registry, self.name)

        return declare

    def _in_background(
        self, number: int, read: Callable[[], Any], every: float, timeout: float | None, keep: float | None
    ) -> BackgroundCluster:
        add = self.registry.add
        made = BackgroundCluster(self.domain, number, read, add, every=every, timeout=timeout, keep=keep)
        self.registry.reserve(number)
        self._background.append(made)
        return made

    def metric(
        self,
        name: str | None = None,
        *,
        item: int | None = None,
        indom: Indom | None = None,
        type_: ValueType | None = None,
        sem: Semantics | None = None,
        units: Units | str = "",
        help_: str | None = None,
        labels: Given | None = None,
        notes: Given | None = None,
    ) -> Callable[[Callable[..., Any]], Metric]:
        """Decorator: the function gives the value (or values) of a metric, without any source. In cluster 0.

        All else as for :meth:`Source.metric`.
        """
        if self._plain is None:
            self._plain = Source(lambda: None, self.cluster(0), self.registry, self.name)
        plain = self._plain
        facts = Facts(name, item, indom, type_, sem, units, help_, labels, notes)
        return lambda function: plain.declare(function, facts, from_snapshot=False)

    def subtree(
        self,
        root: str,
        *,
        clusters: range,
        source: Source | None = None,
        members: Callable[[Any], Mapping[str, Any]] | None = None,
    ) -> Subtree:
        """Declare metrics that come and go: ``ROOT.MEMBER.METRIC`` for each member. See: pmdaChildren(3)

        ``clusters`` is the range of cluster numbers of their pmids, 1024 metrics each. Names keep their pmids over
        restarts. With a ``source`` the members and their data are those of its snapshot (a mapping, or what ``members``
        makes one of); without, the agent's code adds and removes them.
        """
        self._names.check_clusters(root, clusters)
        made = Subtree(self.registry, root, clusters, self._cache, members, source)
        for number in clusters:
            self.registry.reserve(number)
        self._names.add_subtree(made)
        return made

    def events(
        self,
        name: str,
        *,
        max_bytes: int = 1 << 20,
        parameters: Mapping[str, Any] | None = None,
        help_: str = "",
        cluster: int | None = None,
        highres: bool = True,
        restricted: bool = False,
    ) -> EventMetrics:
        """Declare a queue of events, its metrics and those of its ``parameters`` (names to types: ``int``, ``U32``).

        Of what :meth:`EventMetrics.push` is given, each client gets what it has not seen yet with its next fetch.
        """
        queue = EventQueue(max_bytes, highres=highres, restricted=restricted)
        self.on_end(queue.end)
        number = self.registry.next_cluster() if cluster is None else cluster
        first = self.registry.next_item(number)
        return EventMetrics(self.cluster(number), name, queue, parameters or {}, help_, first)

    def answer_names(self, root: str, answers: NameAnswers) -> None:
        """Have ``answers`` say which names there are at and below ``root``, and which pmids they have.

        Metrics of our own that are found in this way only are declared with an empty name.
        """
        self._names.add_answers(root, answers)

    def alias(self, name: str, pmid: int) -> None:
        """Give a metric, also one of another agent, a further name."""
        self.registry.alias(name, pmid)

    def remove(self, metric: Metric) -> None:
        """Take a metric away, with all its names; clients are told."""
        self.registry.remove(metric)
        self.names_changed()

    def label_cluster(self, number: int, labels: Given | None = None, notes: Given | None = None) -> None:
        """Say what holds for all metrics of a cluster of pmids."""
        self.registry.cluster_labels[number] = Labels(labels, notes)

    # What has changed, and what there is

    def quit(self) -> None:
        """Where the agent is a process: end it, once the request that is being answered is. A daemon keeps its own."""
        self.has_quit = True

    def names_changed(self) -> None:
        """Tell clients, with the next values they fetch, that names have come or gone."""
        self.registry.names_changed()

    def labels_changed(self) -> None:
        """Tell clients, with the next values they fetch, that labels have changed."""
        self.registry.labels_changed()

    @property
    def background(self) -> Sequence[BackgroundCluster]:
        """The sources that are read in the background."""
        return self._background

    @property
    def sources(self) -> Sequence[Cluster]:
        """What the metrics and the subtrees there are now are read from."""
        clusters = [*self._names.sources(), *(metric.cluster for metric in self.registry.metrics.values())]
        return list(dict.fromkeys(clusters))

    @property
    def names(self) -> Tree:
        """The names of the metrics that are declared."""
        return self.registry.names

    @property
    def dynamic_roots(self) -> Sequence[str]:
        """The names below which metrics come and go."""
        return self.registry.dynamic_roots

    def start(self) -> None:
        """Begin what goes on in the background. For whoever runs an agent; a fork after this is too late."""
        self._lifetime.start(self._startup, self._background, self.readiness)

    def wait_until_read(self, limit_s: float) -> None:
        """After :meth:`start`: wait until there are values, or it is known why not; no longer than the limit."""
        self._lifetime.wait_until_read(self._background, limit_s)

    def prepare(self) -> None:
        """Instead of :meth:`start`, for tests: run the startup, here and to its end. What it raises is raised."""
        for function in self._startup:
            self._lifetime.run(function)

    def read_background(self) -> None:
        """Read the sources in the background once, here and to their end."""
        self._lifetime.read(self._background)

    def stop(self) -> None:
        """End what :meth:`start` or :meth:`prepare` has begun, and save what is to be remembered."""
        self._lifetime.stop_reading()
        try:
            for function in self._shutdown:
                self._lifetime.run(function, SHUTDOWN_LIMIT_S)
        finally:
            self._lifetime.end()
            for _, cache in self._caches:
                cache.save(also_activated=True)
