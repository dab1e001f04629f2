"""Labels: the PDU, and sets made of mappings."""

import json
from typing import Any

import pytest

from pypcp.errors import BadArgument, RemoteProtocolError
from pypcp.model.labels import Label, LabelSet, LabelType
from pypcp.wire.label import LabelReply, LabelRequest, label_set
from pypcp.wire.pdu import PduType, UnknownPdu, decode, encode
from vectors.captures import stream

HEAD = "00000005 00000020 00000000 "


def frame(body: str, json_text: bytes = b"") -> bytes:
    return encode(UnknownPdu(PduType.LABEL, bytes.fromhex(HEAD + body) + json_text))


def recorded_sets() -> list[LabelSet]:
    names = ["labels", "labels-context-unix", "pmda-dyn-full"]
    replies = [decode(captured.frame) for name in names for captured in stream(name)]
    return [labels for reply in replies if isinstance(reply, LabelReply) for labels in reply.sets]


def texts(labels: LabelSet) -> dict[str, str]:
    """Names and values, cut out of the JSON by the index."""

    def cut(start: int, size: int) -> str:
        return labels.json[start : start + size].decode()

    return {cut(label.name, label.name_length): cut(label.value, label.value_length) for label in labels.labels}


def test_a_request_is_an_identifier_and_a_level() -> None:
    data = encode(LabelRequest(0xFFFFFFFF, LabelType.CONTEXT))
    assert data[12:].hex() == "ffffffff00000001"
    assert decode(data) == LabelRequest(0xFFFFFFFF, LabelType.CONTEXT)
    assert decode(encode(LabelRequest(1, -5))) == LabelRequest(1, -5)


def test_texts_follow_all_sets_and_are_not_padded() -> None:
    sets = [label_set({"a": 1}, LabelType.INSTANCES, instance) for instance in (0, 1)]
    data = encode(LabelReply(5, LabelType.INSTANCES, sets))
    assert data[-14:] == b'{"a":1}{"a":1}'
    assert len(data) == 28 + 2 * 24 + 14
    assert decode(data) == LabelReply(5, LabelType.INSTANCES, sets)


def test_a_set_can_be_an_error_and_a_reply_can_have_no_set() -> None:
    for sets in ([LabelSet(3, error=-12357), label_set({}, LabelType.INSTANCES, 4)], []):
        reply = LabelReply(5, LabelType.INSTANCES, sets)
        assert decode(encode(reply)) == reply


def test_the_index_of_every_recorded_set_is_made_anew_from_its_json() -> None:
    sets = [labels for labels in recorded_sets() if labels.labels]
    assert len(sets) > 5
    for labels in sets:
        made = label_set(json.loads(labels.json), LabelType.CONTEXT, labels.instance)
        assert made.json == labels.json
        expected = [(label.name, label.name_length, label.value, label.value_length) for label in labels.labels]
        assert [(label.name, label.name_length, label.value, label.value_length) for label in made.labels] == expected


def test_flags_of_recorded_labels_tell_level_and_origin() -> None:
    flags = {label.flags for labels in recorded_sets() for label in labels.labels}
    assert LabelType.CONTEXT in flags
    assert LabelType.CONTEXT | LabelType.COMPOUND in flags
    assert LabelType.CONTEXT | LabelType.OPTIONAL in flags


def test_maps_become_dotted_names_and_lists_stay_whole() -> None:
    labels = label_set({"b": {"y": [1, {"z": None}], "x": "ü"}, "a": True}, LabelType.ITEM | LabelType.OPTIONAL)
    assert labels.json.decode() == '{"b.y":[1,{"z":null}],"b.x":"ü","a":true}'
    assert list(texts(labels).items()) == [("a", "true"), ("b.x", '"ü"'), ("b.y", '[1,{"z":null}]')]
    assert {label.flags for label in labels.labels} == {LabelType.ITEM | LabelType.OPTIONAL}


def test_a_map_without_members_is_a_value() -> None:
    labels = label_set({"a": {"b": {}, "c": 1}, "d": {}}, LabelType.CONTEXT)
    assert texts(labels) == {"a.b": "{}", "a.c": "1", "d": "{}"}


def test_numbers_stand_bare_and_texts_in_quotes() -> None:
    labels = label_set({"n": 1.5, "t": 'a"b'}, LabelType.DOMAIN)
    assert texts(labels) == {"n": "1.5", "t": '"a\\"b"'}


def test_no_labels_are_an_empty_object() -> None:
    assert label_set({}, LabelType.DOMAIN) == LabelSet(-1, b"{}", [])


@pytest.mark.parametrize(
    "labels",
    [
        {"": 1},
        {"1a": 1},
        {"a-b": 1},
        {"a.": 1},
        {"a": {"": 1}},
        {"a": {"b": 1}, "a.b": 2},
        {"a" * 256: 1},
        {f"a{index}": index for index in range(255)},
        {"a": "x" * 65535},
        {"a": float("nan")},
    ],
)
def test_labels_beyond_the_rules_are_refused(labels: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # json has its own words for nan
        label_set(labels, LabelType.DOMAIN)


def test_the_most_labels_and_the_longest_text_are_taken() -> None:
    assert len(label_set({f"a{index}": index for index in range(254)}, LabelType.DOMAIN).labels) == 254
    assert len(label_set({"a": "x" * (65534 - 8)}, LabelType.DOMAIN).json) == 65534


def test_a_set_over_the_limits_cannot_be_sent() -> None:
    for labels in (LabelSet(1, bytes(65535)), LabelSet(1, b"{}", [Label(0, 0, LabelType.ITEM, 0, 0)] * 255)):
        with pytest.raises(BadArgument):
            encode(LabelReply(5, LabelType.ITEM, [labels]))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("ffffffff", b""),
        ("00000001", b""),
        ("7fffffff" + "ffffffff 00000000 0000002c 00000000", b""),
        ("00000001 ffffffff 00000000 0000002c 00000003", b"{}"),
        ("00000001 ffffffff 00000000 0000002d 00000002", b"{}~"),
        ("00000001 ffffffff 00000000 0000002c ffffffff", b"{}"),
        ("00000001 ffffffff 00000000 0000002c 0000ffff", bytes(65535)),
        ("00000001 ffffffff 000000ff 00000824 00000000" + "0000000000000000" * 255, b""),
        ("00000001 ffffffff 00000001 0000002c 00000002", b"{}"),
        ("00000001 ffffffff 00000001 00000034 00000002 0002010100000000", b"{}"),
        ("00000001 ffffffff 00000001 00000034 00000002 0000000100010002", b"{}"),
        ("00000001 ffffffff 00000000 0000002c 00000002", b"{}~~~~"),
        ("00000002 ffffffff 00000000 0000003c 00000002 ffffffff 00000000 0000003c 00000002", b"{}"),
    ],
)
def test_labels_that_break_their_layout_are_refused(body: str, text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(frame(body, text))


def test_a_few_bytes_of_padding_at_the_end_are_no_matter() -> None:
    got = decode(frame("00000001 ffffffff 00000000 0000002c 00000002", b"{}~~"))
    assert got == LabelReply(5, LabelType.INSTANCES, [LabelSet(-1, b"{}", [])])
