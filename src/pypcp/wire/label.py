"""Labels: metadata of a metric's levels, as flat JSON with an index into it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pypcp.errors import RemoteProtocolError
from pypcp.model.ids import IN_NULL
from pypcp.model.labels import Label, LabelSet, LabelType
from pypcp.wire.buffer import Reader, Writer, pad4, to_bytes
from pypcp.wire.pdu import Envelope, Pdu, PduType, register
from pypcp.wire.versions import Channel

LABEL_LIMIT: Final = 255
"""A set has fewer labels than this."""
JSON_LIMIT: Final = 65535
"""The JSON text of a set is shorter than this."""
NAME_LIMIT: Final = 256
"""A name, with its dots, is shorter than this."""

_SET_SIZE: Final = 16
_LABEL_SIZE: Final = 8
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")


@register
@dataclass(frozen=True, slots=True)
class LabelRequest(Pdu):
    """LABEL_REQ: the labels of one level, please. 20 bytes. Answer: LABEL.

    ====  ===  ====================================================
     12   u32  what the labels are of, by type: 0xffffffff, a domain's number, an indom, a pmid
     16   i32  type: one of the six levels of :class:`pypcp.model.labels.LabelType`
    ====  ===  ====================================================
    """

    pdu_types: ClassVar = (PduType.LABEL_REQ,)
    ident: int
    type: LabelType | int
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.u32(self.ident)
        writer.i32(self.type)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> LabelRequest:
        """Two words."""
        return cls(reader.u32(), _label_type(reader.i32()), envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class LabelReply(Pdu):
    """LABEL: label sets; one for each instance with labels at the level INSTANCES, else one or none. Not padded.

    ====  ===  ====================================================
     12   u32  ident, as asked
     16   i32  type, as asked
     20   i32  0
     24   i32  count
     28   ...  sets: instance i32 (or -1); count of labels i32 (below 0: an error, no labels follow); byte of the PDU
               where the JSON starts i32; size of the JSON i32; labels of 8 bytes
     ...  ...  the JSON texts of all sets, in order, nothing between them
    ====  ===  ====================================================

    A label, sorted by name: offset of the name in the JSON u16; size of the name u8; flags u8; offset of the value u16;
    size of the value u16. Names are meant without their quotes, values with them.
    """

    pdu_types: ClassVar = (PduType.LABEL,)
    ident: int
    type: LabelType | int
    sets: list[LabelSet]
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.u32(self.ident)
        writer.i32(self.type)
        writer.i32(0)
        writer.i32(len(self.sets))
        json_at = writer.at + sum(_SET_SIZE + _LABEL_SIZE * len(labels.labels) for labels in self.sets)
        for labels in self.sets:
            _write_set(writer, labels, json_at)
            json_at += len(labels.json)
        for labels in self.sets:
            writer.bytes_(labels.json)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> LabelReply:
        """Sets, then texts; every offset must lie where it belongs."""
        ident, type_, _ = reader.u32(), reader.i32(), reader.i32()
        heads = [_read_set(reader) for _ in range(reader.count(_SET_SIZE))]
        sets = [_with_json(reader, *head) for head in heads]
        if reader.remaining >= pad4(1):
            raise RemoteProtocolError(f"{reader.remaining} bytes after the labels")
        reader.skip(reader.remaining)
        return cls(ident, _label_type(type_), sets, envelope.sender)


def _label_type(bits: int) -> LabelType | int:
    return LabelType(bits) if bits >= 0 else bits


def _write_set(writer: Writer, labels: LabelSet, json_at: int) -> None:
    if len(labels.labels) >= LABEL_LIMIT or len(labels.json) >= JSON_LIMIT:
        raise ValueError(f"{len(labels.labels)} labels in {len(labels.json)} bytes")
    writer.i32(labels.instance)
    writer.i32(labels.error or len(labels.labels))
    writer.i32(json_at)
    writer.i32(len(labels.json))
    for label in labels.labels:
        writer.u16(label.name)
        writer.u8(label.name_length)
        writer.u8(label.flags)
        writer.u16(label.value)
        writer.u16(label.value_length)


def _read_set(reader: Reader) -> tuple[LabelSet, int, int]:
    """A set without its JSON, and where that starts and how long it is."""
    instance, count, start, size = reader.i32(), reader.i32(), reader.i32(), reader.i32()
    if count >= LABEL_LIMIT or not 0 <= size < JSON_LIMIT:
        raise RemoteProtocolError(f"{count} labels in {size} bytes")
    if count < 0:
        return LabelSet(instance, error=count), start, size
    reader.holds(count, _LABEL_SIZE)
    return LabelSet(instance, labels=[_read_label(reader, size) for _ in range(count)]), start, size


def _read_label(reader: Reader, json_size: int) -> Label:
    name, name_length, flags = reader.u16(), reader.u8(), reader.u8()
    value, value_length = reader.u16(), reader.u16()
    if name + name_length > json_size or value + value_length > json_size:
        raise RemoteProtocolError("a label outside of its JSON")
    return Label(name, name_length, LabelType(flags), value, value_length)


def _with_json(reader: Reader, labels: LabelSet, start: int, size: int) -> LabelSet:
    if start != reader.at:
        raise RemoteProtocolError(f"labels at byte {start}, not at {reader.at} after those before")
    return LabelSet(labels.instance, reader.bytes_(size), labels.labels, labels.error)


# Making sets.


def label_set(labels: Mapping[str, Any], flags: LabelType, instance: int = IN_NULL) -> LabelSet:
    """The set of a (nested) mapping of names to JSON values: maps become dotted names, lists stay whole.

    ``flags`` (level, COMPOUND, OPTIONAL) go for every label. ``ValueError`` for a name that is none or twice there, for
    255 labels or more, and for 65,535 bytes of JSON or more; ``TypeError`` for a value that JSON does not have.
    See: pmLookupLabels(3).
    """
    text = bytearray(b"{")
    index: dict[bytes, Label] = {}
    for name, value in _flat(labels, ""):
        if name in index:
            raise ValueError(f"two labels {name.decode()}")
        start = len(text) + (2 if index else 1)
        text += b',"' if index else b'"'
        text += name + b'":'
        index[name] = Label(start, len(name), flags, len(text), len(value))
        text += value
    text += b"}"
    if len(index) >= LABEL_LIMIT or len(text) >= JSON_LIMIT:
        raise ValueError(f"{len(index)} labels of {len(text)} bytes, must be below {LABEL_LIMIT} and {JSON_LIMIT}")
    return LabelSet(instance, bytes(text), [index[name] for name in sorted(index)])


def _flat(labels: Mapping[str, Any], prefix: str) -> Iterator[tuple[bytes, bytes]]:
    """Dotted names and JSON texts."""
    for key, value in labels.items():
        name = prefix + key
        if not _NAME.fullmatch(name) or len(name) >= NAME_LIMIT:
            raise ValueError(f"{name!r} is no name of a label: letters, digits and _, starting with a letter")
        if isinstance(value, Mapping) and value:  # a map without members stays what it is
            yield from _flat(value, name + ".")
        else:
            yield name.encode(), b"{}" if isinstance(value, Mapping) else _json(value)


def _json(value: Any) -> bytes:
    return to_bytes(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
