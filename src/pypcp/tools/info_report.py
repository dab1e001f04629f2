"""What ``pypcp info`` says about a metric: as stock's text, as a list of errors, or as JSON.

A report is given what was looked up for many metrics at once, and asks the host for the rest itself. ``options`` is the
command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pypcp.errors import PcpError, ProfileRequired
from pypcp.model.desc import Desc
from pypcp.model.events import EventArray, EventRecord
from pypcp.model.ids import PM_ID_NULL, PM_INDOM_NULL, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.values import Value, ValueSet, ValueType
from pypcp.pmapi.calls import BlockingCalls
from pypcp.pmapi.operations.labels import MetricLabels
from pypcp.pmapi.operations.steps import answered
from pypcp.tools import render
from pypcp.tools.client_options import print_json
from pypcp.tools.series import instance_series, metric_series, source_series


@dataclass
class Metric:
    """What has been found out about one metric; ``failed_call`` is where ``error`` comes from."""

    name: str
    pmid: Pmid = PM_ID_NULL
    desc: Desc | None = None
    value_set: ValueSet | None = None
    error: PcpError | None = None
    failed_call: str = ""


class Report(Protocol):
    """Takes one subject after the other."""

    def metric(self, metric: Metric) -> None:
        """Say what is wanted about a metric."""

    def indom(self, indom: int) -> None:
        """Say what is wanted about an instance domain."""

    def end(self) -> None:
        """There is no more."""


class _Source:
    """What a report asks the host for."""

    def __init__(self, context: BlockingCalls, options: argparse.Namespace) -> None:
        self.context = context
        self.options = options
        self._indoms: dict[int, dict[int, str]] = {}

    def instance_names(self, indom: int) -> Mapping[int, str]:
        """The names of a domain's instances as far as they can be had."""
        if indom not in self._indoms:
            try:
                self._indoms[indom] = self.context.instances(indom) if indom != PM_INDOM_NULL else {}
            except PcpError as error:
                answered(error)
                self._indoms[indom] = {}
        return self._indoms[indom]

    def instance_name(self, indom: int, instance: int) -> str | PcpError:
        """The name of an instance; one that came after the domain was listed is asked for."""
        name = self.instance_names(indom).get(instance)
        if name is not None:
            return name
        try:
            return self.context.instance_name(indom, instance)
        except PcpError as error:
            return answered(error)

    def labelled_names(self, desc: Desc, labels: MetricLabels) -> Mapping[int, str]:
        """The instances with labels, or where none has any all instances, by name as far as it can be had."""
        names = self.instance_names(desc.indom)
        return {instance: names.get(instance, "DISAPPEARED") for instance in labels.instances or names}

    def values(self, metric: Metric, desc: Desc) -> ValueSet:
        """The values that were fetched, or with ``-F`` those of instances that must be named."""
        value_set = metric.value_set or ValueSet(metric.pmid)
        if not self.options.fetchall or not isinstance(value_set.error, ProfileRequired):
            return value_set
        self.context.add_profile(desc.indom, self.instance_names(desc.indom))
        return self.context.fetch([metric.pmid]).value_sets[0]

    def metric_text(self, pmid: int, *, oneline: bool) -> str | PcpError:
        """A summary or a help text, or why there is none."""
        try:
            return self.context.lookup_text(pmid, oneline=oneline)
        except PcpError as error:
            return answered(error)

    def indom_text(self, indom: int, *, oneline: bool) -> str | PcpError:
        """As ``metric_text`` for an instance domain."""
        try:
            return self.context.lookup_indom_text(indom, oneline=oneline)
        except PcpError as error:
            return answered(error)

    def event_metric(self, pmid: int) -> str:
        """The name of a parameter of an event."""
        try:
            return self.context.name_of(pmid)
        except PcpError as error:
            answered(error)
            return str(Pmid(pmid))


class TextReport:
    """Stock's text."""

    def __init__(self, context: BlockingCalls, options: argparse.Namespace) -> None:
        self._source = _Source(context, options)
        self._options = options
        wants = options
        self._spaced = wants.desc or wants.fetch or wants.labels or wants.helptext

    def end(self) -> None:
        """Nothing is left to say."""

    def indom(self, indom: int) -> None:
        """An instance domain: its number, texts and labels."""
        wants = self._options
        line = f"\nInDom: {render.indom_text(indom, full=wants.fullindom)}"
        if wants.oneline:
            # Stock begins a new line where the number takes much room.
            line += ("\n    " if wants.fullindom else " ") + _oneline(self._source.indom_text(indom, oneline=True))
        print(line)
        if wants.labels:
            labels = self._source.context.indom_labels(indom)
            print(f"    labels {render.labels_text(labels.merged)}")
        if wants.helptext:
            print(_help(self._source.indom_text(indom, oneline=False)))

    def metric(self, metric: Metric) -> None:
        """A metric: one line, or a paragraph."""
        if metric.error is not None:
            print(f"{metric.name}: {metric.failed_call}: {metric.error.sentence}")
            return
        if self._spaced:
            print()
        print(self._headline(metric))
        if metric.desc is not None:
            self._described(metric, metric.desc)
        elif self._options.helptext:
            print(_help(self._source.metric_text(metric.pmid, oneline=False)))

    def _headline(self, metric: Metric) -> str:
        wants = self._options
        line = metric.name
        if wants.pmid or wants.fullpmid:
            line += f" PMID: {render.pmid_text(metric.pmid, full=wants.fullpmid)}"
        if wants.oneline:
            line += f" {_oneline(self._source.metric_text(metric.pmid, oneline=True))}"
        return line

    def _described(self, metric: Metric, desc: Desc) -> None:
        wants = self._options
        labels = self._source.context.metric_labels(desc) if wants.labels or wants.series else MetricLabels({})
        if wants.desc:
            print(render.desc_text(desc, full_indom=wants.fullindom))
        if wants.series:
            print(f"    Source: {source_series(labels.levels[LabelType.CONTEXT])}")
            print(f"    Series: {metric_series(metric.name, desc, labels)}")
        if wants.labels:
            print(f"    labels {render.labels_text(labels.merged)}")
        if wants.helptext:
            print(_help(self._source.metric_text(metric.pmid, oneline=False)))
        if wants.fetch:
            self._values(desc, self._source.values(metric, desc))
        if (wants.series or wants.labels) and desc.indom != PM_INDOM_NULL:
            self._instances(desc, labels)

    def _instances(self, desc: Desc, labels: MetricLabels) -> None:
        names = self._source.labelled_names(desc, labels)
        if self._options.series:
            for instance, name in names.items():
                series = instance_series(name, labels, instance)
                print(f"    inst {render.instance_text(instance, name)} series {series}")
        if self._options.labels:
            for instance, name in names.items():
                text = render.labels_text(labels.of_instance(instance))
                print(f"    inst {render.instance_text(instance, name)} labels {text}")

    def _values(self, desc: Desc, value_set: ValueSet) -> None:
        if value_set.error is not None:
            print(f"Error: {value_set.error.sentence}")
        elif not value_set.values:
            print("No value(s) available!")
        else:
            for instance, value in zip(value_set.instances, value_set.values, strict=True):
                self._value(desc, instance, value)

    def _value(self, desc: Desc, instance: int, value: Value) -> None:
        where = ""
        if desc.indom != PM_INDOM_NULL:
            name = self._source.instance_name(desc.indom, instance)
            where = f"inst {render.instance_text(instance, name if isinstance(name, str) else None)} "
            if isinstance(name, PcpError):
                if self._options.fetchall:
                    print(f'    inst [{instance} "DISAPPEARED"]')
                    return
                print(f"pmNameIndom: indom={desc.indom} inst={instance}: {name.sentence}")
        print(f"    {where}value {render.value_text(value, desc.type)}")
        if self._options.events and isinstance(value, EventArray):
            self._events(value)

    def _events(self, events: EventArray) -> None:
        for number, record in enumerate(events.records):
            time = render.stamp(record.time_ns, highres=events.highres)
            print(f"    --- event record [{number}] timestamp {time} flags {render.event_flags(record)} ---")
            for line in self._event_lines(record):
                print(line)

    def _event_lines(self, record: EventRecord) -> Iterator[str]:
        if render.is_missed(record):
            yield f"        ==> {record.missed} missed event records"
        for parameter in record.parameters:
            yield f"    {self._source.event_metric(parameter.pmid)} ({Pmid(parameter.pmid)})"
            yield f"        value {render.value_text(parameter.value, parameter.type)}"


def _oneline(text: str | PcpError) -> str:
    return f"[{text}]" if isinstance(text, str) else f"One-line Help: Error: {text.sentence}"


def _help(text: str | PcpError) -> str:
    return "Help:\n" + text.removesuffix("\n") if isinstance(text, str) else f"Full Help: Error: {text.sentence}"


class VerifyReport:
    """Errors only."""

    def indom(self, indom: int) -> None:
        """An instance domain is not looked at."""

    def metric(self, metric: Metric) -> None:
        """A line if anything is wrong with the metric."""
        if metric.error is not None:
            print(f"{metric.name}: {metric.failed_call}: {metric.error.sentence}")
        elif problem := _problem(metric):
            print(f"{metric.name}: {problem}")

    def end(self) -> None:
        """Nothing is left to say."""


def _problem(metric: Metric) -> str:
    value_set = metric.value_set or ValueSet(metric.pmid)
    if metric.desc is not None and metric.desc.type == ValueType.NOSUPPORT:
        return "Not Supported"
    if value_set.error is not None:
        return value_set.error.sentence
    return "" if value_set.values else "No value(s) available"


class JsonReport:
    """One JSON document for all."""

    def __init__(self, context: BlockingCalls, options: argparse.Namespace) -> None:
        self._source = _Source(context, options)
        self._options = options
        self._document: dict[str, list[object]] = {"indoms": [], "metrics": []}

    def end(self) -> None:
        """Print it."""
        print_json(self._document)

    def indom(self, indom: int) -> None:
        """Add an instance domain."""
        found: dict[str, object] = {"indom": str(indom)}
        self._add_texts(found, lambda *, oneline: self._source.indom_text(indom, oneline=oneline))
        if self._options.labels:
            found["labels"] = _plain(self._source.context.indom_labels(indom).merged)
        self._document["indoms"].append(found)

    def metric(self, metric: Metric) -> None:
        """Add a metric."""
        found: dict[str, object] = {"name": metric.name}
        self._document["metrics"].append(found)
        if metric.error is not None:
            found["error"] = render.json_error(metric.error)
            return
        if self._options.pmid or self._options.fullpmid:
            found["pmid"] = str(metric.pmid)
        self._add_texts(found, lambda *, oneline: self._source.metric_text(metric.pmid, oneline=oneline))
        if metric.desc is not None:
            self._add_described(found, metric, metric.desc)

    def _add_texts(self, found: dict[str, object], text: Callable[..., str | PcpError]) -> None:
        for key, wanted in (("oneline", self._options.oneline), ("helptext", self._options.helptext)):
            if wanted:
                answer = text(oneline=key == "oneline")
                found[key] = None if isinstance(answer, PcpError) else answer

    def _add_described(self, found: dict[str, object], metric: Metric, desc: Desc) -> None:
        if self._options.desc:
            found |= render.json_desc(desc)
        if self._options.labels or self._options.series:
            self._add_labels(found, metric, desc)
        if self._options.fetch:
            value_set = self._source.values(metric, desc)
            found |= render.json_values(value_set, lambda instance: self._instance_name(desc.indom, instance))

    def _instance_name(self, indom: int, instance: int) -> str | None:
        name = self._source.instance_name(indom, instance)
        return name if isinstance(name, str) else None

    def _add_labels(self, found: dict[str, object], metric: Metric, desc: Desc) -> None:
        labels = self._source.context.metric_labels(desc)
        names = self._source.labelled_names(desc, labels)
        if self._options.labels:
            found["labels"] = _plain(labels.merged)
            found["instance_labels"] = {str(instance): _plain(labels.of_instance(instance)) for instance in names}
        if self._options.series:
            found["source"] = source_series(labels.levels[LabelType.CONTEXT])
            found["series"] = metric_series(metric.name, desc, labels)
            found["instance_series"] = {
                str(instance): instance_series(name, labels, instance) for instance, name in names.items()
            }


def _plain(labels: Mapping[str, Any]) -> dict[str, object]:
    return {name: label.value for name, label in labels.items()}
