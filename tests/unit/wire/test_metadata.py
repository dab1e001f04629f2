"""Descriptors, instances, texts."""

import sys

import pytest

from pypcp.errors import BadArgument, RemoteProtocolError
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL, InDom, Pmid
from pypcp.model.units import Units
from pypcp.model.values import Semantics, ValueType
from pypcp.wire.desc import DescIds, DescReply, DescRequest, Descs
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.pdu import PduType, UnknownPdu, decode, encode
from pypcp.wire.text import TextKind, TextReply, TextRequest

DESC = Desc(Pmid.parse("29.0.3"), ValueType.U64, InDom.parse("29.1"), Semantics.COUNTER, Units(1, -1, 0, 2, 3))


def frame(type_: int, body: str) -> bytes:
    return encode(UnknownPdu(type_, bytes.fromhex(body)))


def test_a_descriptor_is_five_words() -> None:
    data = encode(DescReply(DESC))
    assert data.hex() == "000000200000700500000000074000030000000307400001000000011f023000"
    assert decode(data) == DescReply(DESC)


def test_numbers_that_no_table_names_are_kept() -> None:
    desc = Desc(Pmid(5), 42, PM_INDOM_NULL, 9, Units(extra=0x09))
    pdu = decode(encode(DescReply(desc)))
    assert pdu == DescReply(desc)
    assert decode(encode(DescRequest(2**31))) == DescRequest(2**31)


def test_identifiers_in_answers_print_as_identifiers() -> None:
    pdu = decode(encode(DescReply(DESC)))
    assert isinstance(pdu, DescReply)
    assert (str(pdu.desc.pmid), str(pdu.desc.indom)) == ("29.0.3", "29.1")


def test_a_descriptor_that_could_not_be_had_is_a_null_pmid_and_zeros() -> None:
    data = encode(Descs([DESC, None]))
    assert data[36:].hex() == "ffffffff" + "00000000" * 4
    assert decode(data) == Descs([DESC, None])


def test_a_request_for_descriptors_has_the_status_minus_one() -> None:
    data = encode(DescIds([1, 2], sender=3))
    assert data[12:].hex() == "ffffffff000000020000000100000002"
    assert decode(data) == DescIds((1, 2), -1, 3)
    with pytest.raises(BadArgument):
        encode(DescIds([]))


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        (PduType.DESC, "00000000" * 4),
        (PduType.DESC, "00000000" * 6),
        (PduType.DESCS, "ffffffff"),
        (PduType.DESCS, "00000002" + "00000000" * 9),
        (PduType.DESCS, "00000001" + "00000000" * 6),
        (PduType.DESC_IDS, "ffffffff 00000000"),
        (PduType.DESC_IDS, "00000000 00000001 00000005"),
        (PduType.DESC_IDS, "ffffffff 00000001 00000005 00000006"),
        (PduType.INSTANCE_REQ, "00000000" * 4),
        (PduType.INSTANCE_REQ, "00000000" * 4 + "00000003 616263"),
        (PduType.INSTANCE_REQ, "00000000" * 4 + "00000000 00000000"),
        (PduType.INSTANCE_REQ, "00000000" * 4 + "fffffffd"),
        (PduType.INSTANCE, "00000005 ffffffff"),
        (PduType.INSTANCE, "00000005 00000001 00000000"),
        (PduType.INSTANCE, "00000005 00000001 00000000 ffffffff"),
        (PduType.INSTANCE, "00000005 7fffffff 00000000 00000000"),
        (PduType.INSTANCE, "00000005 00000001 00000000 00000000 00000000"),
        (PduType.INSTANCE, "00000005 00000001 00000000 00000005 61616161"),
        (PduType.TEXT_REQ, "00000005"),
        (PduType.TEXT_REQ, "00000005 00000005 00000005"),
        (PduType.TEXT, "00000005 00000003 61626300 00000000"),
        (PduType.TEXT, "00000005 00000003 616263"),
        (PduType.TEXT, "00000005 ffffffff"),
        (PduType.TEXT, "00000005 7fffffff 61626364"),
    ],
)
def test_metadata_that_breaks_its_layout_is_refused(type_: int, body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(frame(type_, body))


def test_a_request_for_instances_has_two_words_without_a_meaning() -> None:
    data = encode(InstanceRequest(0x3F400000, name="red"))
    assert data[12:].hex() == "3f4000000000000000000000ffffffff000000037265647e"
    assert decode(data) == InstanceRequest(0x3F400000, -1, "red")


@pytest.mark.parametrize(
    "reply",
    [
        InstanceReply(5, [0, 7, -2], ["red", "", "naïve \udcfe"]),
        InstanceReply(5, [], []),
        InstanceReply(5, [3], ["only"]),
        InstanceReply(5, [-1, -1], ["a", "b"]),
    ],
)
def test_a_whole_domain_comes_back_with_numbers_and_names(reply: InstanceReply) -> None:
    assert decode(encode(reply)) == reply


def test_the_half_that_was_asked_for_is_left_out_of_the_answer() -> None:
    by_name, by_number = InstanceReply(5, [7], []), InstanceReply(5, [], ["red"])
    assert encode(by_name)[12:].hex() == "00000005000000010000000700000000"
    assert encode(by_number)[12:].hex() == "0000000500000001ffffffff000000037265647e"
    assert (decode(encode(by_name)), decode(encode(by_number))) == (by_name, by_number)


def test_numbers_and_names_of_different_lengths_cannot_be_sent() -> None:
    with pytest.raises(BadArgument):
        encode(InstanceReply(5, [1, 2], ["one"]))
    with pytest.raises(BadArgument):
        encode(InstanceReply(5, [1, 2], []))


def test_a_request_for_a_text_says_what_kind_of_what() -> None:
    data = encode(TextRequest(5, TextKind.ONELINE | TextKind.PMID))
    assert data[12:].hex() == "0000000500000005"
    assert decode(data) == TextRequest(5, TextKind.ONELINE | TextKind.PMID)
    assert decode(frame(PduType.TEXT_REQ, "00000005 ffffffff")) == TextRequest(5, -1)


@pytest.mark.parametrize("text", ["", "one line", "naïve\n\udcff"])
def test_a_text_comes_back_whole(text: str) -> None:
    assert decode(encode(TextReply(5, text))) == TextReply(5, text)


def test_the_identifier_of_a_text_is_in_this_machines_byte_order() -> None:
    assert encode(TextReply(0x3E800003, ""))[12:16] == (0x3E800003).to_bytes(4, sys.byteorder)
