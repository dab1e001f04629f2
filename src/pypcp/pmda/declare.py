"""Metrics from plain functions: what the decorators of an agent and of its sources do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pypcp.model.units import Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.indom import Indom
from pypcp.pmda.labels import Given, Labels
from pypcp.pmda.metrics import Cluster, Metric, Read
from pypcp.pmda.registry import Registry
from pypcp.pmda.signature import Declared, declared_by, help_of, parameters_of
from pypcp.pmda.units import parse_units


@dataclass(frozen=True, slots=True)
class Facts:
    """What an author says of a metric besides its function; None: what the function says, or the usual."""

    name: str | None = None
    item: int | None = None
    indom: Indom | None = None
    type_: ValueType | None = None
    sem: Semantics | None = None
    units: Units | str = ""
    help_: str | None = None
    labels: Given | None = None
    notes: Given | None = None

    def __post_init__(self) -> None:
        if callable(self.name):
            raise TypeError(f"{self.name.__qualname__}: write its decorator with parentheses: metric()")
        if self.indom is not None and not isinstance(self.indom, Indom):
            raise TypeError(f"indom={self.indom!r}: what agent.indom(...) returns is needed")
        for option, value, kind in (("type_", self.type_, ValueType), ("sem", self.sem, Semantics)):
            if value is not None and value not in tuple(kind):
                raise TypeError(f"{option}={value!r}: a {kind.__name__} of {kind.__module__} is needed")


@dataclass(frozen=True, slots=True)
class Template:
    """A metric in all but its name and place."""

    name: str
    type_: ValueType
    sem: Semantics
    units: Units
    help_: str
    indom: Indom | None
    labels: Labels
    function: Callable[..., Any]
    takes_snapshot: bool
    takes_client: bool

    def declare(self, cluster: Cluster, item: int, name: str, read: Read, number: int | None = None) -> Metric:
        """Make it a metric of ``cluster``."""
        return cluster.metric(
            name,
            item,
            self.type_,
            read,
            indom=self.indom,
            sem=self.sem,
            units=self.units,
            help_=self.help_,
            per_client=self.takes_client,
            number=number,
            labels=self.labels,
        )

    def read(self) -> Read:
        """The function as a cluster calls it: with the snapshot, and the client if it wants that."""
        function = self.function
        if self.takes_client:
            if self.takes_snapshot:
                return lambda snapshot, client: function(snapshot, client=client)
            return lambda snapshot, client: function(client=client)
        return function if self.takes_snapshot else lambda snapshot: function()


def template(
    function: Callable[..., Any], facts: Facts, prefix: str, *, from_snapshot: bool, has_instances: bool
) -> Template:
    """What ``function`` and ``facts`` say together. ``TypeError``: they do not make a metric."""
    # With a type given the annotation may be anything, and is not looked at.
    told = declared_by(function) if facts.type_ is None else Declared()
    type_ = facts.type_ if facts.type_ is not None else told.type
    where = function.__qualname__
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{where}: a value must be there when asked for; read it in a source with every=")
    if type_ is None:
        raise TypeError(f"{where}: annotate what it returns (-> int, float, str, dict[str, int], ...), or give type_=")
    if told.many and not has_instances:
        raise TypeError(f"{where}: it gives a value an instance, so indom= is needed")
    sem = facts.sem or told.sem or Semantics.INSTANT
    labels = Labels(facts.labels, facts.notes)
    units = parse_units(facts.units) if isinstance(facts.units, str) else facts.units
    help_ = help_of(function) if facts.help_ is None else facts.help_
    name = f"{prefix}.{function.__name__}" if facts.name is None else facts.name
    takes_snapshot, takes_client = _takes(function, from_snapshot)
    return Template(name, type_, sem, units, help_, facts.indom, labels, function, takes_snapshot, takes_client)


def _takes(function: Callable[..., Any], from_snapshot: bool) -> tuple[bool, bool]:
    """Does it take the snapshot, and the client?"""
    wanted = parameters_of(function)
    others = [name for name in wanted if name != "client"]
    if len(others) > from_snapshot:
        allowed = "the snapshot and 'client'" if from_snapshot else "'client' only; what it reads belongs in a source"
        raise TypeError(f"{function.__qualname__}: a metric's function can be given {allowed}, not {', '.join(others)}")
    return bool(others), "client" in wanted


class Source:
    """A function that reads something, and the metrics whose values are in what it returns."""

    def __init__(self, function: Callable[[], Any], cluster: Cluster, registry: Registry, prefix: str) -> None:
        self.function = function
        self.cluster = cluster
        self._registry = registry
        self._prefix = prefix

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
        """Decorator: the function takes what the source returned, and gives the metric's value or values.

        What is not said here is taken from the function: the name (``AGENT.FUNCTION``), type and semantics from the
        annotation (``-> Counter[int]``), the help from the docstring. ``item`` is the last part of the pmid; without it
        metrics are numbered as they are declared. With ``indom`` it returns a mapping from instance names, or a value
        for each instance in order. A parameter called ``client`` is given who asks.
        """
        facts = Facts(name, item, indom, type_, sem, units, help_, labels, notes)
        return lambda function: self.declare(function, facts)

    def declare(self, function: Callable[..., Any], facts: Facts, *, from_snapshot: bool = True) -> Metric:
        """Make a metric of a function."""
        made = template(
            function, facts, self._prefix, from_snapshot=from_snapshot, has_instances=facts.indom is not None
        )
        item = self._registry.next_item(self.cluster.number) if facts.item is None else facts.item
        return made.declare(self.cluster, item, made.name, made.read())
