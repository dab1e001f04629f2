"""event: records that are always the same, one picture after the other."""

from __future__ import annotations

import math
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
_BEGAN: Final = 10 * _SECOND
"""So long before the fetch."""
_PICTURES: Final = 4
_BINGO: Final = 3

Given = tuple[str, int | float | str | bytes]
Picture = tuple[tuple[EventFlags, tuple[Given, ...]], ...]

_POINT: Final = EventFlags.POINT
PICTURES: Final[dict[int, Picture]] = {
    1: ((_POINT, ()),),
    2: ((_POINT, (("type", 1),)), (_POINT, (("type", 2), ("param_64", -3)))),
    3: (
        (
            EventFlags.START | EventFlags.ID | EventFlags.PARENT,
            (("type", 4), ("param_u64", 5), ("param_string", "6")),
        ),
        (_POINT, (("type", 7), ("param_double", 8.0), ("param_double", -9.0))),
        (
            EventFlags.END,
            (
                ("type", 10),
                ("param_u64", 11),
                ("param_string", "twelve"),
                ("param_string", "thirteen"),
                ("param_32", -14),
                ("param_u32", 15),
            ),
        ),
        (EventFlags.MISSED, ()),
        (_POINT, (("type", 16), ("param_float", -17.0), ("param_aggregate", bytes.fromhex("0103070f1f3f7fff")))),
    ),
    -1: ((_POINT, (("type", 2**32 - 1), ("no parameter", 2**32 - 1))),),
}
"""What fungus has in turn, a second between records: nothing at 0; at -1 something of a metric that there is not."""
_MISSED: Final = 7


class Pictures:
    """What a fetch sees: of fungus the next picture, of bogus the number of the fetch, and sometimes more."""

    def __init__(self, domain: int, *, highres: bool) -> None:
        self.next = 0
        self._fetches = 0
        self._domain = domain
        self._highres = highres

    def store(self, value: int) -> None:
        """The picture that comes next; counting goes on from there."""
        self._fetches = value
        self.next = int(math.fmod(value, _PICTURES))

    def both(self) -> list[EventArray]:
        """Of fungus and of bogus."""
        picture, self.next = self.next, int(math.fmod(self.next + 1, _PICTURES))
        return [self._array(PICTURES.get(picture, ())), self.bogus()]

    def bogus(self) -> EventArray:
        """The number of the fetch."""
        number, self._fetches = self._fetches, self._fetches + 1
        said = [f"fetch #{number}"] + (["bingo!"] if number % _BINGO == 0 else [])
        return self._array(tuple((_POINT, (("param_string", text),)) for text in said), apart_ns=0)

    def _array(self, picture: Picture, apart_ns: int = _SECOND) -> EventArray:
        begun = time.time_ns() - _BEGAN
        records = []
        for number, (flags, given) in enumerate(picture):
            parameters = tuple(self._parameter(*each) for each in given)
            missed = _MISSED if flags is EventFlags.MISSED else 0
            records.append(EventRecord(begun + number * apart_ns, flags, parameters, missed))
        return EventArray(tuple(records), self._highres)

    def _parameter(self, name: str, value: int | float | str | bytes) -> EventParameter:
        if name == "no parameter":
            return EventParameter(Pmid.build(0, 100, 200), ValueType.U32, value)
        item, type_ = PARAMETERS[name]
        # The descriptor says that it is signed, the records that it is not.
        return EventParameter(Pmid.build(self._domain, 0, item), ValueType.U32 if name == "type" else type_, value)


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
        """Events: of fungus another picture with each fetch, of bogus the number of the fetch"""
        return classic.both()

    @agent.metric("sample.event.no_indom_records", item=137, type_=ValueType.EVENT)
    def no_indom_records(client: Client) -> EventArray:
        """One event with each fetch"""
        return classic.bogus()

    @agent.metric("sample.event.highres_records", item=139, indom=sources, type_=ValueType.HIGHRES_EVENT)
    def highres_records(client: Client) -> list[EventArray]:
        """As sample.event.records, to the nanosecond"""
        return highres.both()

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

    bench.on_store(reset, pictures.store)
