"""Values and metadata as text."""

import struct

import pytest

from pypcp.model.desc import Desc
from pypcp.model.events import EventArray, EventFlags, EventRecord
from pypcp.model.ids import PM_INDOM_NULL, InDom, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.values import Value, ValueSet, ValueType
from pypcp.pmapi.operations.labels import read_labels
from pypcp.tools import render
from pypcp.wire.label import label_set

SECOND = 10**9


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render.time, "localtime", render.time.gmtime)


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (-5, ValueType.I32, "-5"),
        (2**64 - 1, ValueType.U64, "18446744073709551615"),
        (0.10000000149011612, ValueType.FLOAT, "0.1"),
        (0.07999999821186066, ValueType.FLOAT, "0.079999998"),
        (0.1, ValueType.DOUBLE, "0.1"),
        (1e8, ValueType.FLOAT, "1e+08"),
        (1e8, ValueType.DOUBLE, "100000000"),
        (float("nan"), ValueType.DOUBLE, "nan"),
        (float("-inf"), ValueType.DOUBLE, "-inf"),
        ('say "hi"', ValueType.STRING, '"say "hi""'),
        (b"", ValueType.AGGREGATE, '"" []'),
        (b"13", ValueType.AGGREGATE, '"13" [3133]'),
        (b"\x01", ValueType.AGGREGATE, "[01]"),
        ("é".encode(), ValueType.AGGREGATE, "[c3a9]"),
        (struct.pack("=f", 1.0), ValueType.AGGREGATE, f"1 [{struct.pack('=f', 1.0).hex()}]"),
        (b"\xff\xff\xff\xff", ValueType.AGGREGATE, "[ffffffff]"),
        (b"\xff" * 8, ValueType.AGGREGATE, f"18446744073709551615 [{'ff' * 8}]"),
        (EventArray(), ValueType.EVENT, "[0 event records]"),
    ],
)
def test_a_value_is_printed_as_stock_prints_it(value: Value, type_: ValueType, text: str) -> None:
    assert render.value_text(value, type_) == text


def test_each_part_of_a_wide_value_is_right_aligned() -> None:
    assert render.value_text(42, ValueType.U32, 6) == "    42"
    assert render.value_text(b"ab", ValueType.AGGREGATE, 8) == '    "ab"   [6162]'


def records(*missed_at: int, count: int = 3) -> EventArray:
    """Records a second apart; those at ``missed_at`` stand for three lost ones each."""
    return EventArray(
        tuple(
            EventRecord(
                n * SECOND, EventFlags.MISSED if n in missed_at else EventFlags.POINT, missed=3 * (n in missed_at)
            )
            for n in range(count)
        )
    )


@pytest.mark.parametrize(
    ("events", "text"),
    [
        (records(count=1), "1 event record timestamp 00:00:00.000"),
        (records(), "3 event records timestamps 00:00:00.000...00:00:02.000"),
        # From here on: how stock counts, which does not get past a record that stands for missed ones.
        (records(2), "3 event records timestamps 00:00:00.000...00:00:02.000"),
        (records(1), "3 event records (3 missed) timestamps 00:00:00.000...00:00:01.000"),
        (records(0), "3 event records (6 missed) timestamps 00:00:00.000...00:00:00.000"),
    ],
)
def test_event_records_are_summed_up(events: EventArray, text: str) -> None:
    assert render.events_summary(events) == text


def test_flags_of_events_are_named() -> None:
    assert (
        render.event_flags(EventRecord(0, EventFlags.START | EventFlags.ID | EventFlags.PARENT))
        == "0x1a (start,id,parent)"
    )
    assert render.event_flags(EventRecord(0, EventFlags.MISSED, missed=2)) == "0x80000000 (missed)"
    assert render.event_flags(EventRecord(0, EventFlags.NONE)) == "0x0"


def test_high_resolution_times_show_nanoseconds() -> None:
    assert render.stamp(3661 * SECOND + 5, highres=True) == "01:01:01.000000005"
    assert render.stamp(3661 * SECOND + 999_999_999) == "01:01:01.999"


def test_a_descriptor_of_numbers_that_nobody_knows_is_still_shown() -> None:
    text = render.desc_text(Desc(Pmid.build(1, 2, 3), 99, PM_INDOM_NULL, 0))
    assert text == "    Data Type: ???  InDom: PM_INDOM_NULL 0xffffffff\n    Semantics: ??? (0)  Units: none"


def test_identifiers_have_a_long_form() -> None:
    assert render.pmid_text(Pmid.build(60, 0, 4), full=True) == "60.0.4 = 251658244 = 0xf000004"
    assert render.indom_text(InDom.build(60, 1), full=True) == "60.1 = 251658241 = 0xf000001"


def test_labels_keep_the_text_of_their_values() -> None:
    flagged = read_labels(label_set({"b": [1, 2], "a": "x"}, LabelType.ITEM | LabelType.OPTIONAL))
    plain = read_labels(label_set({"c": 0}, LabelType.ITEM))
    assert render.labels_text({**flagged, **plain}) == '{"a":"x","b":[1,2],"c":0}'
    assert render.labels_text({**flagged, **plain}, optional=False) == '{"c":0}'


def test_json_has_no_numbers_that_json_lacks() -> None:
    assert render.json_value(float("nan")) == "nan"
    assert render.json_value(b"\x01\xff") == "01ff"
    value_set = ValueSet(1, [0, 7], [1.5, 2.5], type=ValueType.DOUBLE)
    assert render.json_values(value_set, {0: "a"}.get) == {
        "instances": [{"id": 0, "name": "a", "value": 1.5}, {"id": 7, "name": None, "value": 2.5}]
    }
