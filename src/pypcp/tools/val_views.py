"""What ``pypcp val`` makes of each sample: a line of a table, the records of events, or JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pypcp.errors import PcpError
from pypcp.model.desc import Desc
from pypcp.model.events import EventArray, EventParameter, EventRecord
from pypcp.model.ids import PM_INDOM_NULL, Pmid
from pypcp.model.units import Time, Units
from pypcp.model.values import Semantics, Value, ValueSet, ValueType
from pypcp.pmapi.calls import BlockingCalls
from pypcp.pmapi.operations.steps import answered
from pypcp.pmapi.operations.values import FetchResult
from pypcp.tools import render
from pypcp.tools.client_options import complain
from pypcp.tools.val_table import Rates, Table

EVENTS = (ValueType.EVENT, ValueType.HIGHRES_EVENT)
_SEMANTICS: dict[int, str] = {
    Semantics.COUNTER: "cumulative counter",
    Semantics.INSTANT: "instantaneous value",
    Semantics.DISCRETE: "discrete instantaneous value",
}


class View:
    """One way to show samples of a metric."""

    def __init__(self, context: BlockingCalls, options: argparse.Namespace, desc: Desc, host: str) -> None:
        self._context = context
        self._options = options
        self._desc = desc
        self._host = host
        self._rates = Rates(desc)

    @property
    def needs_two(self) -> bool:
        """Is the first fetch only there to be compared with the second?"""
        return self._desc.sem == Semantics.COUNTER and not self._options.raw and self._desc.type not in EVENTS

    def zone_note(self, zone: str) -> str:
        """How the time zone is told."""
        return f'local timezone of host "{self._host}"' if self._options.hostzone else f'"TZ={zone}"'

    def begin(self) -> None:
        """Before the first sample."""

    def sample(self, result: FetchResult) -> None:
        """Show a sample."""
        raise NotImplementedError

    def _counts(self) -> Iterator[str]:
        samples = self._options.samples
        yield f"samples:   {samples or 'all'}"
        if samples > 1:
            yield f"interval:  {self._options.interval:.2f} sec"

    def _instances(self) -> dict[int, str]:
        """The instances there are now, of those that were asked for, ascending."""
        if self._desc.indom == PM_INDOM_NULL:
            return {}
        chosen = self._context.state.profile
        try:
            known = self._context.instances(self._desc.indom)
        except PcpError as error:
            answered(error)
            return {}
        return {number: known[number] for number in sorted(known) if chosen.includes(self._desc.indom, number)}


class TableView(View):
    """Numbers and texts: a column for each instance, a line for each sample."""

    def __init__(self, context: BlockingCalls, options: argparse.Namespace, desc: Desc, host: str) -> None:
        super().__init__(context, options, desc, host)
        self._table = Table(desc, raw=options.raw, width=options.width, precision=options.precision)
        self._heading_due = desc.indom != PM_INDOM_NULL
        self._told_names = False

    def begin(self) -> None:
        """What is measured, where and how."""
        meaning, units = self._meaning()
        print(f"\nmetric:    {self._options.name}\nhost:      {self._host}\nsemantics: {meaning}\nunits:     {units}")
        for line in self._counts():
            print(line)
        if self._heading_due:
            self._table.set_columns(self._instances())

    def _meaning(self) -> tuple[str, str]:
        meaning = _SEMANTICS.get(self._desc.sem, "unknown")
        units = render.units_text(self._desc)
        if not self.needs_two:
            return meaning, units
        becomes = "time utilization" if self._rates.of_time else str(_per_second(self._desc.units))
        return f"{meaning} (converting to rate)", f"{units} (converting to {becomes})"

    def sample(self, result: FetchResult) -> None:
        """One line, with a new heading where instances came."""
        (value_set,) = result.value_sets
        if value_set.error is not None:
            complain(f"\npypcp val: pmFetch: {value_set.error.sentence}")
            return
        shown: Mapping[int, Value | None] | None = value_set.by_instance()
        if self.needs_two:
            shown = self._rates.convert(result.time_ns, value_set.by_instance())
        if self._heading_due and value_set.values:
            self._heading()
        if shown is not None:
            print(self._table.row(shown) if value_set.values else "No values available")
        if self._desc.indom != PM_INDOM_NULL:
            self._follow(value_set, warn=shown is not None and not self.needs_two)

    def _heading(self) -> None:
        for line in () if self._told_names else self._table.long_names():
            print(line)
        print(f"\n{self._table.heading()}")
        self._told_names, self._heading_due = True, False

    def _follow(self, value_set: ValueSet, *, warn: bool) -> None:
        """See which instances came and went; new columns are headed anew."""
        values = value_set.by_instance()
        unknown = self._table.unknown(values)
        for instance in unknown if warn else ():
            text = render.value_text(values[instance], self._desc.type)
            print(f"Warning: value={text}, but instance={instance} is unknown")
        if values and (unknown or self._table.missing(values)):
            changed = self._table.set_columns(self._instances())
            self._heading_due = bool(unknown) or changed


def _per_second(units: Units) -> Units:
    """The units of a rate."""
    return replace(units, time=units.time - 1, scale_time=Time.SEC if units.time == 0 else units.scale_time)


class EventView(View):
    """Event records, one after the other."""

    def begin(self) -> None:
        """Where, and how often."""
        print(f"host:      {self._host}")
        for line in self._counts():
            print(line)

    def sample(self, result: FetchResult) -> None:
        """All records of all instances."""
        (value_set,) = result.value_sets
        if value_set.error is not None:
            complain(f"pypcp val: pmFetch: {value_set.error.sentence}")
            return
        names = self._instances()
        for instance, value in value_set.by_instance().items():
            where = f"[{names.get(instance, instance)}]" if self._desc.indom != PM_INDOM_NULL else ""
            if isinstance(value, EventArray):
                print(f"{self._options.name}{where}: {len(value.records)} event records")
                for number, record in enumerate(value.records):
                    self._record(number, record, highres=value.highres)

    def _record(self, number: int, record: EventRecord, *, highres: bool) -> None:
        stamp = render.stamp(record.time_ns, highres=highres)
        print(f"  {stamp} --- event record [{number}] flags {render.event_flags(record)} ---")
        if render.is_missed(record):
            print(f"    ==> {record.missed} missed event records")
        for parameter in record.parameters:
            print(f"    {self._parameter_name(parameter.pmid)} {_parameter_text(parameter)}")

    def _parameter_name(self, pmid: int) -> str:
        try:
            return self._context.name_of(pmid)
        except PcpError as error:
            answered(error)
            return str(Pmid(pmid))


def _parameter_text(parameter: EventParameter) -> str:
    """Bytes are only shown as such here, whatever number they might be."""
    value = parameter.value
    return f"[{value.hex()}]" if isinstance(value, bytes) else render.value_text(value, parameter.type)


class JsonView(View):
    """One JSON object a line and sample: the time, and what ``pypcp info --json -f`` shows of values."""

    def sample(self, result: FetchResult) -> None:
        """One line; a counter is shown as a rate unless asked for raw."""
        (value_set,) = result.value_sets
        names = self._instances() if value_set.instances else {}
        shown: dict[str, object] = {"time_ns": result.time_ns, "name": self._options.name}
        if self.needs_two and value_set.error is None:
            rates = self._rates.convert(result.time_ns, value_set.by_instance())
            if rates is None:
                return
            shown["rates"] = [{"id": i, "name": names.get(i), "rate": rate} for i, rate in rates.items()]
        else:
            shown |= render.json_values(value_set, names.get)
        print(json.dumps(shown, ensure_ascii=False))
