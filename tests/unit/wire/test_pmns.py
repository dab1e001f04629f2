"""Names of metrics on the wire."""

import pytest

from pypcp.errors import BadArgument, RemoteProtocolError
from pypcp.wire.pdu import Pdu, PduType, UnknownPdu, decode, encode
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse


def frame(type_: int, body: str) -> bytes:
    return encode(UnknownPdu(type_, bytes.fromhex(body)))


@pytest.mark.parametrize(
    "pdu",
    [
        PmnsIds((0x00800007,), 1),
        PmnsIds((1, 0xFFFFFFFF), -12357, sender=2),
        PmnsNames(["pmcd.version"]),
        PmnsNames(["a", "naïve", "\udc80"], [0, 1, 5]),
        PmnsNames([]),
        PmnsNames((), None, -12357),
        PmnsNames(["a", ""]),
        PmnsChild("", 1),
        PmnsChild("simple.time", 5, sender=3),
        PmnsTraverse("simple"),
    ],
)
def test_names_come_back(pdu: Pdu) -> None:
    assert encode(decode(encode(pdu))) == encode(pdu)
    assert decode(encode(pdu)) == pdu


def test_the_sum_of_sizes_counts_a_nul_for_each_name() -> None:
    data = encode(PmnsNames(["ab", "cde"], [0, 1]))
    assert data[12:].hex() == ("000000070000000200000002000000000000000261627e7e00000001000000036364657e")


def test_an_error_in_place_of_the_count_is_the_whole_answer() -> None:
    data = encode(PmnsNames((), error=-12357))
    assert data.hex() == "000000180000700e000000000000000000000000ffffcfbb"
    assert decode(data) == PmnsNames((), error=-12357)


def test_no_names_have_no_statuses() -> None:
    assert decode(encode(PmnsNames([], []))) == PmnsNames([], None)


def test_children_and_subtrees_differ_in_type_alone() -> None:
    assert encode(PmnsChild("a"))[8:] == encode(PmnsTraverse("a"))[8:]
    assert PmnsChild("a") != PmnsTraverse("a")


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        (PduType.PMNS_IDS, "00000000"),
        (PduType.PMNS_IDS, "00000000 00000000"),
        (PduType.PMNS_IDS, "00000000 ffffffff"),
        (PduType.PMNS_IDS, "00000000 00000002 00000005"),
        (PduType.PMNS_IDS, "00000000 00000001 00000005 00000006"),
        (PduType.PMNS_NAMES, "00000000 00000000"),
        (PduType.PMNS_NAMES, "00000001 00000000 00000000"),
        (PduType.PMNS_NAMES, "00000002 00000000 ffffcfbb"),
        (PduType.PMNS_NAMES, "00000000 00000000 ffffcfbb 00000000"),
        (PduType.PMNS_NAMES, "00000002 00000002 00000001 00000000 00000001 61000000"),
        (PduType.PMNS_NAMES, "00000003 00000000 00000001 00000001 61000000"),
        (PduType.PMNS_NAMES, "00000002 00000000 00000001 00000001 61"),
        (PduType.PMNS_NAMES, "00000002 00000000 00000001 00000001 61000000 00000000"),
        (PduType.PMNS_NAMES, "00000003 00000000 00000002 00000000 00000001 61000000"),
        (PduType.PMNS_NAMES, "00000000 00000000 00000001 ffffffff"),
        (PduType.PMNS_NAMES, "7fffffff 00000000 7fffffff 00000001 61000000"),
        (PduType.PMNS_NAMES, "7fffffff 7fffffff 7fffffff 00000000 00000001 61000000"),
        (PduType.PMNS_CHILD, "00000000"),
        (PduType.PMNS_CHILD, "00000000 00000002 616263"),
        (PduType.PMNS_CHILD, "00000000 ffffffff"),
        (PduType.PMNS_TRAVERSE, "00000000 00000002 61626300 00000000"),
        (PduType.PMNS_TRAVERSE, "00000000 7fffffff 61626300"),
    ],
)
def test_names_that_break_their_layout_are_refused(type_: int, body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(frame(type_, body))


@pytest.mark.parametrize("pdu", [PmnsNames(["a"], [0, 1]), PmnsIds(()), PmnsNames(["\ud800"])])
def test_names_that_peers_would_refuse_cannot_be_sent(pdu: Pdu) -> None:
    with pytest.raises(BadArgument):
        encode(pdu)
