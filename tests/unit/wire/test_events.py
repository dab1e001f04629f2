"""Event arrays in both forms."""

import struct

import pytest

from pypcp.errors import RemoteProtocolError
from pypcp.model.events import EventArray, EventFlags, EventParameter, EventRecord
from pypcp.model.values import ValueType
from pypcp.wire.events import decode_events, encode_events
from pypcp.wire.pdu import decode
from pypcp.wire.result import Result
from vectors.captures import stream

PARAMETERS = (
    EventParameter(1, ValueType.I32, -1),
    EventParameter(2, ValueType.U32, 2**32 - 1),
    EventParameter(3, ValueType.I64, -(2**63)),
    EventParameter(4, ValueType.U64, 2**64 - 1),
    EventParameter(5, ValueType.FLOAT, 0.5),
    EventParameter(6, ValueType.DOUBLE, 0.1),
    EventParameter(7, ValueType.STRING, "five!"),
    EventParameter(8, ValueType.AGGREGATE, b"\1\2\3"),
    EventParameter(9, ValueType.STRING, ""),
)
RECORD = struct.pack(">iiIi", 5, 6, 1, 1)


def test_a_classic_record_has_microseconds_and_a_text_without_nul() -> None:
    events = EventArray((EventRecord(5_000_006_000, EventFlags.POINT, (EventParameter(9, ValueType.STRING, "ab"),)),))
    data = encode_events(events)
    assert data == struct.pack(">i", 1) + RECORD + struct.pack(">II", 9, 0x06000006) + b"ab\0\0"
    assert decode_events(data, highres=False) == events


def test_a_highres_record_has_nanoseconds() -> None:
    events = EventArray((EventRecord(5_000_000_007, EventFlags.START),), highres=True)
    data = encode_events(events)
    assert data == struct.pack(">iqqIi", 1, 5, 7, 2, 0)
    assert decode_events(data, highres=True) == events


@pytest.mark.parametrize("highres", [False, True])
def test_parameters_of_every_type_come_back(highres: bool) -> None:
    flags = EventFlags.START | EventFlags.ID | EventFlags.PARENT
    events = EventArray((EventRecord(1_000_000_000, flags, PARAMETERS), EventRecord(2_000_000_000)), highres)
    assert decode_events(encode_events(events), highres=highres) == events


def test_the_number_of_missed_records_is_kept_by_the_classic_form_only() -> None:
    missed = EventRecord(0, EventFlags.MISSED, missed=3)
    classic = encode_events(EventArray((missed,)))
    assert decode_events(classic, highres=False).records == (missed,)
    highres = encode_events(EventArray((missed,), highres=True))
    assert decode_events(highres, highres=True).records == (EventRecord(0, EventFlags.MISSED),)


def test_a_record_of_missed_events_has_no_parameters() -> None:
    with pytest.raises(ValueError, match="missed"):
        encode_events(EventArray((EventRecord(0, EventFlags.MISSED, PARAMETERS),)))


def test_the_events_that_stock_sent_are_read() -> None:
    results = [decode(captured.frame) for captured in stream("values-highres")]
    arrays = [
        value
        for result in results
        if isinstance(result, Result)
        for value_set in result.value_sets
        for value in value_set.values
        if isinstance(value, EventArray)
    ]
    assert {array.highres for array in arrays} == {False, True}
    records = [record for array in arrays for record in array.records]
    assert any(record.flags & EventFlags.MISSED for record in records)
    assert {parameter.type for record in records for parameter in record.parameters} >= {
        ValueType.U32,
        ValueType.STRING,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        struct.pack(">i", -1),
        struct.pack(">i", 1),
        struct.pack(">i", 2**31 - 1) + RECORD,
        struct.pack(">i", 1) + RECORD,
        struct.pack(">i", 1) + RECORD + struct.pack(">II", 9, 0x06000003),
        struct.pack(">i", 1) + RECORD + struct.pack(">II", 9, 0x06000006) + b"ab",
        struct.pack(">i", 1) + RECORD + struct.pack(">II", 9, 0x00000005) + bytes(4),
        struct.pack(">i", 1) + RECORD + struct.pack(">II", 9, 0x02000008) + bytes(4),
        struct.pack(">i", 1) + RECORD + struct.pack(">II", 9, 0x09000008) + bytes(4),
        struct.pack(">i", 1) + RECORD + struct.pack(">II", 9, 0xFF000008) + bytes(4),
        struct.pack(">i", 1) + RECORD + struct.pack(">IIi", 9, 0x00000008, 1) + bytes(4),
        struct.pack(">i", 0) + bytes(4),
    ],
)
def test_events_that_break_their_layout_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_events(data, highres=False)


@pytest.mark.parametrize(
    "parameter",
    [
        EventParameter(1, ValueType.STRING, b"bytes"),
        EventParameter(1, ValueType.AGGREGATE, "text"),
        EventParameter(1, ValueType.EVENT, b""),
        EventParameter(1, ValueType.UNKNOWN, 1),
    ],
)
def test_a_parameter_that_is_not_of_its_type_is_refused(parameter: EventParameter) -> None:
    with pytest.raises(TypeError):
        encode_events(EventArray((EventRecord(0, EventFlags.POINT, (parameter,)),)))


def test_a_parameter_has_to_be_shorter_than_its_length_field_can_say() -> None:
    parameter = EventParameter(1, ValueType.AGGREGATE, bytes((1 << 24) - 4))
    with pytest.raises(ValueError, match="event parameter"):
        encode_events(EventArray((EventRecord(0, EventFlags.POINT, (parameter,)),)))
