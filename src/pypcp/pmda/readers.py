"""From a metric's function to its segment: one reader per metric of a prepared fetch.

A reader keeps the segment of its metric and loads it anew at each fetch. It exists as long as a client repeats its
fetch, so what can be worked out once (which instances, how they are packed) is worked out when it is made, and again
only when the instance domain changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pypcp.errors import ConversionError
from pypcp.model.ids import IN_NULL
from pypcp.model.profile import Profile
from pypcp.pmda.interface import Client
from pypcp.pmda.metrics import Metric, failure_of, log_failure, log_value
from pypcp.pmda.segments import (
    ENCODING_ERRORS,
    EVENT_TYPES,
    BlockSegment,
    EmptySegment,
    InPlaceSegment,
    Segment,
    VariableSegment,
    segment_for,
)


class Reader:
    """Reads one metric for one fetch list; ``segment`` is the outcome of the last :meth:`read`."""

    __slots__ = ("_usual", "metric", "segment", "shared")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.shared = not metric.per_client and metric.desc.type not in EVENT_TYPES
        self.segment: Segment = EmptySegment(metric.desc.pmid, 0)
        self._usual: InPlaceSegment | BlockSegment | VariableSegment | None = None

    def read(self, client: Client) -> bool:
        """Load the segment from the cluster's snapshot; is it another one now, or of another size?"""
        metric = self.metric
        cluster = metric.cluster
        if cluster.failure is not None:
            return self._empty(cluster.failure.code)
        try:
            values = metric.read(cluster.snapshot, client) if metric.per_client else metric.read(cluster.snapshot)
        except Exception as error:  # noqa: BLE001 - the author's code: whatever it raises costs this metric only
            return self._fail(error)
        if values is None:
            return self._empty(0)
        try:
            return self._load(values)
        except ENCODING_ERRORS as error:
            changed = self._empty(ConversionError.code)
            if changed:
                log_value(metric, self._culprit(values), error)
            return changed

    def _load(self, values: Any) -> bool:
        """Load the segment with what the metric's function returned; ``ENCODING_ERRORS``."""
        raise NotImplementedError

    def _culprit(self, values: Any) -> str:
        """What of ``values`` cannot be encoded, in words for the author."""
        return f"{values!r:.80}"

    def _load_usual(self, values: Sequence[Any]) -> bool:
        """Load the segment that was made for these instances; ``ENCODING_ERRORS``."""
        segment = self._usual
        if segment is None:
            return self._empty(0)
        grown = segment.load(values)
        if segment is self.segment:
            return bool(grown)
        self.segment = segment
        return True

    def _empty(self, status: int) -> bool:
        before = self.segment
        if isinstance(before, EmptySegment) and before.status == status:
            return False
        self.segment = EmptySegment(self.metric.desc.pmid, status)
        return True

    def _fail(self, error: Exception) -> bool:
        """The metric's answer is an error; say so in the log once, not at every fetch."""
        changed = self._empty(failure_of(error).code)
        if changed:
            log_failure(self.metric, error)
        return changed


class SingularReader(Reader):
    """A metric without an instance domain."""

    __slots__ = ()

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self._usual = segment_for(metric.desc.pmid, metric.desc.type, (IN_NULL,))  # type: ignore[arg-type]

    def _load(self, values: Any) -> bool:
        return self._load_usual((values,))


class ColumnReader(Reader):
    """A metric with an instance domain, for the instances a profile wants: ``pick`` takes their values of a column."""

    __slots__ = ("_generation", "_ids", "_loaded", "_profile", "indom", "pick")

    def __init__(self, metric: Metric, profile: Profile) -> None:
        super().__init__(metric)
        assert metric.indom is not None
        self.indom = metric.indom
        self.pick: Callable[[Sequence[Any]], Sequence[Any]] | None = None
        self._profile = profile.of(metric.indom.id)
        self._generation = -1
        self._loaded: tuple[int, ...] = ()

    @property
    def is_current(self) -> bool:
        """Are the instances still those of the last :meth:`read`?"""
        return self._generation == self.indom.generation

    def _load(self, values: Any) -> bool:
        indom = self.indom
        if indom.generation != self._generation:
            self._generation = indom.generation
            self._ids, self.pick = indom.select(self._profile)
        if isinstance(values, (list, tuple)):  # the question that is cheap
            column: Any = values
        elif isinstance(values, Mapping):
            column = [values.get(name) for name in indom.names]
        elif hasattr(values, "__len__") and not isinstance(values, str):
            column = values
        else:
            raise ValueError("a value for each instance is needed, in a mapping from their names or in a sequence")
        if len(column) != len(indom):
            raise ValueError(f"{len(column)} values for {len(indom)} instances of {indom.id}")
        if self.pick is not None:
            column = self.pick(column)
        if None not in column:
            return self._load_for(self._ids, column)
        having = tuple([instance for instance, value in zip(self._ids, column, strict=True) if value is not None])
        return self._load_for(having, [value for value in column if value is not None])

    def _culprit(self, values: Any) -> str:
        if not isinstance(values, Mapping):
            return super()._culprit(values)
        desc = self.metric.desc
        for name, value in values.items():
            try:
                if value is not None:
                    segment_for(desc.pmid, desc.type, (0,)).load((value,))  # type: ignore[arg-type]
            except ENCODING_ERRORS:
                return f"{value!r:.80} of {name!r}"
        return super()._culprit(values)

    def _load_for(self, ids: tuple[int, ...], values: Sequence[Any]) -> bool:
        """Load a segment for ``ids``: the one of last time, as long as the same instances have values."""
        if ids is not self._loaded and ids != self._loaded:
            desc = self.metric.desc
            self._usual = segment_for(desc.pmid, desc.type, ids) if ids else None  # type: ignore[arg-type]
            self._loaded = ids
        return self._load_usual(values)


def reader_for(metric: Metric, profile: Profile) -> Reader:
    """The reader of a metric under a profile."""
    return SingularReader(metric) if metric.indom is None else ColumnReader(metric, profile)


class UnknownReader(Reader):
    """A pmid that the agent does not have."""

    __slots__ = ()

    def __init__(self, pmid: int, code: int) -> None:
        self.segment = EmptySegment(pmid, code)
        self.shared = True

    def read(self, client: Client) -> bool:
        return False
