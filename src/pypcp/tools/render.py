"""The one place that turns values and metadata into text, the way stock's tools print them."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

from pypcp.errors import PcpError
from pypcp.model.desc import Desc
from pypcp.model.events import EventArray, EventFlags, EventRecord
from pypcp.model.ids import IN_NULL, InDom, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.values import Semantics, Value, ValueSet, ValueType
from pypcp.pmapi.operations.labels import Labels

_NSEC: Final = 10**9
_FLAG_NAMES: Final = (
    (EventFlags.POINT, "point"),
    (EventFlags.START, "start"),
    (EventFlags.END, "end"),
    (EventFlags.ID, "id"),
    (EventFlags.PARENT, "parent"),
)
_PRINTABLE: Final = range(0x20, 0x7F)
_SINGLE: Final = struct.Struct("=f")
_DOUBLE: Final = struct.Struct("=d")


# Values.


def value_text(value: Value, type_: ValueType | int | None, width: int = 1) -> str:
    """One value, right-aligned to ``width``. See: pmPrintValue(3)."""
    if isinstance(value, EventArray):
        return f"[{events_summary(value)}]".rjust(width)
    if isinstance(value, bytes):
        return _aggregate_text(value, width)
    return scalar_text(value, type_).rjust(width)


def scalar_text(value: int | float | str, type_: ValueType | int | None) -> str:
    """A number with the digits its type holds, or a text in quotes."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float):
        return f"{value:.8g}" if type_ == ValueType.FLOAT else f"{value:.16g}"
    return str(value)


def _aggregate_text(data: bytes, width: int) -> str:
    """What the bytes might be (a number of this host, a text), and then the bytes."""
    parts = []
    if len(data) == _SINGLE.size:
        parts += _number_text(_SINGLE.unpack(data)[0], ".8g")
    elif len(data) == _DOUBLE.size:
        parts.append(str(struct.unpack("=Q", data)[0]))
        parts += _number_text(_DOUBLE.unpack(data)[0], ".16g")
    if all(byte in _PRINTABLE for byte in data):
        parts.append(f'"{data.decode("ascii")}"')
    parts.append(f"[{data.hex()}]")
    return " ".join(part.rjust(width) for part in parts)


def _number_text(number: float, form: str) -> list[str]:
    return [] if math.isnan(number) else [format(number, form)]


# Events.


def events_summary(events: EventArray) -> str:
    """How many records, and from when to when: ``2 event records timestamps A...B``."""
    records = events.records
    text = f"{len(records)} event record{'' if len(records) == 1 else 's'}"
    if len(records) == 1:
        return text + f" timestamp {stamp(records[0].time_ns, highres=events.highres)}"
    if not records:
        return text
    missed, end = _walk_like_stock(records)
    first, last = (stamp(records[at].time_ns, highres=events.highres) for at in (0, end))
    return text + (f" ({missed} missed)" if missed else "") + f" timestamps {first}...{last}"


def _walk_like_stock(records: Sequence[EventRecord]) -> tuple[int, int]:
    """How many records were missed and which is the last one, as stock counts.

    On its way to the last record it makes one step for each of those before, but does not get past one that stands for
    missed records: it counts that again and again instead.
    """
    at = missed = 0
    for _ in records[1:]:
        if is_missed(records[at]):
            missed += records[at].missed
        else:
            at += 1
    return missed, at


def is_missed(record: EventRecord) -> bool:
    """Does the record stand for others that were lost?"""
    return bool(record.flags & EventFlags.MISSED)


def event_flags(record: EventRecord) -> str:
    """The flags of a record, ``0x1a (start,id,parent)``. See: pmEventFlagsStr(3)."""
    if is_missed(record):
        return f"0x{int(record.flags):x} (missed)"
    names = [name for flag, name in _FLAG_NAMES if record.flags & flag]
    return f"0x{int(record.flags):x}" + (f" ({','.join(names)})" if names else "")


def stamp(time_ns: int, *, highres: bool = False) -> str:
    """The time of day in the local zone: milliseconds, or with ``highres`` nanoseconds. See: pmPrintStamp(3)."""
    seconds, nanoseconds = divmod(time_ns, _NSEC)
    fraction = f"{nanoseconds:09d}" if highres else f"{nanoseconds // 10**6:03d}"
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{fraction}"


# Metadata.


def type_text(type_: ValueType | int) -> str:
    """The type in words."""
    return str(type_) if isinstance(type_, ValueType) else "???"


def semantics_text(sem: Semantics | int) -> str:
    """``counter``, ``instant``, ``discrete``, or the number of what is none of them. See: pmSemStr(3)."""
    return str(sem) if isinstance(sem, Semantics) else f"??? ({sem})"


def units_text(desc: Desc) -> str:
    """The units, ``none`` if there are none. See: pmUnitsStr(3)."""
    return str(desc.units) or "none"


def desc_text(desc: Desc, *, full_indom: bool = False) -> str:
    """The two lines that describe a metric."""
    return (
        f"    Data Type: {type_text(desc.type)}  InDom: {indom_text(desc.indom, full=full_indom)}\n"
        f"    Semantics: {semantics_text(desc.sem)}  Units: {units_text(desc)}"
    )


def indom_text(indom: int, *, full: bool = False) -> str:
    """``60.1 0xf000001``, in ``full`` with the number in decimal, too."""
    return f"{InDom(indom)} = {int(indom)} = {int(indom):#x}" if full else f"{InDom(indom)} {int(indom):#x}"


def pmid_text(pmid: int, *, full: bool = False) -> str:
    """``60.0.4``, in ``full`` with the number in decimal and hexadecimal, too."""
    return f"{Pmid(pmid)} = {int(pmid)} = {int(pmid):#x}" if full else str(Pmid(pmid))


def labels_text(labels: Labels, *, optional: bool = True) -> str:
    """Labels as one JSON object in a line, with or without those that do not belong to the identity of a metric."""
    kept = (
        f'"{name}":{label.json}' for name, label in labels.items() if optional or not label.flags & LabelType.OPTIONAL
    )
    return "{" + ",".join(kept) + "}"


def instance_text(instance: int, name: str | None) -> str:
    """``[1 or "1 minute"]``, or just the number where nobody knows the name."""
    return f"[{instance}]" if name is None else f'[{instance} or "{name}"]'


# As JSON data.


def json_desc(desc: Desc) -> dict[str, object]:
    """A descriptor as JSON data."""
    return {
        "pmid": str(Pmid(desc.pmid)),
        "type": type_text(desc.type),
        "indom": str(InDom(desc.indom)),
        "semantics": semantics_text(desc.sem),
        "units": units_text(desc),
    }


def json_value(value: Value) -> object:
    """A value as JSON data: aggregates in hex, what is no finite number as a text, events as objects."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, EventArray):
        return [_json_record(record) for record in value.records]
    return value


def _json_record(record: EventRecord) -> dict[str, object]:
    parameters = [{"pmid": str(Pmid(p.pmid)), "value": json_value(p.value)} for p in record.parameters]
    return {"time_ns": record.time_ns, "flags": int(record.flags), "missed": record.missed, "parameters": parameters}


def json_error(error: PcpError) -> dict[str, object]:
    """An error as JSON data."""
    return {"code": error.code, "message": error.sentence}


def json_values(value_set: ValueSet, name_of: Callable[[int], str | None]) -> dict[str, object]:
    """A value set as JSON data: ``error``, or ``value``, or ``instances`` with id, name and value each."""
    if value_set.error is not None:
        return {"error": json_error(value_set.error)}
    if list(value_set.instances) == [IN_NULL]:
        return {"value": json_value(value_set.values[0])}
    pairs = zip(value_set.instances, value_set.values, strict=True)
    return {"instances": [{"id": i, "name": name_of(i), "value": json_value(value)} for i, value in pairs]}
