"""event: records that are always the same, one picture after the other."""

from __future__ import annotations

import time
from typing import Final

from pypcp.agents.sample.bench import Bench
from pypcp.model.events import EventArray, EventFlags, EventParameter, EventRecord
from pypcp.model.ids import Pmid
from pypcp.model.values import ValueType
from pypcp.pmda import Client

PARAMETERS: Final = {
    "type": (127, ValueType.I32),
    "param_32": (128, ValueType.I32),
    "param_u32": (129, ValueType.U32),
    "param_64": (130, ValueType.I64),
    "param_u64": (131, ValueType.U64),
    "param_float": (132, ValueType.FLOAT),
    "param_double": (133, ValueType.DOUBLE),
    "param_string": (134, ValueType.STRING),
    "param_aggregate": (135, ValueType.AGGREGATE),
}
"""Item and type."""

_SECOND: Final = 10**9
_PICTURES: Final = 4


class Pictures:
    """What the next fetch sees, in turn: nothing, a record, records of all types, a span with a gap."""

    def __init__(self, domain: int, *, highres: bool) -> None:
        self.next = 0
        self._domain = domain
        self._highres = highres

    def turn(self) -> EventArray:
        """The next picture."""
        picture, self.next = self.next, (self.next + 1) % _PICTURES
        return self.of(picture)

    def of(self, picture: int) -> EventArray:
        """A picture, of now."""
        now = time.time_ns()
        make = (self._nothing, self._one, self._all_types, self._span)[picture]
        return EventArray(make(now), self._highres)

    def _nothing(self, now: int) -> tuple[EventRecord, ...]:
        return ()

    def _one(self, now: int) -> tuple[EventRecord, ...]:
        return (self._record(now, type=1, param_32=-1),)

    def _all_types(self, now: int) -> tuple[EventRecord, ...]:
        return (
            self._record(now, type=2, param_64=-3, param_string="6", param_aggregate=b"\x00\x01\x02"),
            self._record(now + _SECOND, type=2, param_u32=7, param_u64=8, param_float=-9.0, param_double=10.5),
        )

    def _span(self, now: int) -> tuple[EventRecord, ...]:
        return (
            self._record(now, EventFlags.START | EventFlags.ID, type=3, param_string="start"),
            EventRecord(now + _SECOND, EventFlags.MISSED, missed=7),
            self._record(now + 2 * _SECOND, EventFlags.END | EventFlags.ID, type=3, param_string="end"),
        )

    def _record(
        self, time_ns: int, flags: EventFlags = EventFlags.POINT, **parameters: int | float | str | bytes
    ) -> EventRecord:
        given = []
        for name, value in parameters.items():
            item, type_ = PARAMETERS[name]
            given.append(EventParameter(Pmid.build(self._domain, 0, item), type_, value))
        return EventRecord(time_ns, flags, tuple(given))


def declare(bench: Bench) -> None:
    """Declare the parameters, the records in both forms, and which picture comes next."""
    agent = bench.agent
    for name, (item, type_) in PARAMETERS.items():
        bench.metrics.metric(
            f"sample.event.{name}", item, type_, lambda _: None, help_="A parameter of events, no value of its own"
        )
    sources = agent.indom(
        10, help_="Sources of events", fixed={0: "fungus", 1: "bogus"}, label_instance=lambda name: {}
    )
    classic, highres = Pictures(agent.domain, highres=False), Pictures(agent.domain, highres=True)

    @agent.metric("sample.event.records", item=136, indom=sources, type_=ValueType.EVENT)
    def records(client: Client) -> list[EventArray]:
        """Events: of fungus another picture with each fetch, of bogus always one record"""
        return [classic.turn(), classic.of(1)]

    @agent.metric("sample.event.no_indom_records", item=137, type_=ValueType.EVENT)
    def no_indom_records(client: Client) -> EventArray:
        """One event with each fetch"""
        return classic.of(1)

    @agent.metric("sample.event.highres_records", item=139, indom=sources, type_=ValueType.HIGHRES_EVENT)
    def highres_records(client: Client) -> list[EventArray]:
        """As sample.event.records, to the nanosecond"""
        return [highres.turn(), highres.of(1)]

    _declare_reset(bench, "reset", 126, classic)
    _declare_reset(bench, "reset_highres", 140, highres)


def _declare_reset(bench: Bench, name: str, item: int, pictures: Pictures) -> None:
    reset = bench.metrics.metric(
        f"sample.event.{name}",
        item,
        ValueType.I32,
        lambda _: pictures.next,
        help_="The picture that comes next, 0 to 3; another one may be stored",
    )

    @reset.on_store
    def choose(value: int) -> None:
        pictures.next = value % _PICTURES
