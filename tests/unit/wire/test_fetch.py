"""PROFILE and FETCH."""

import pytest

from pypcp.errors import RemoteProtocolError
from pypcp.model.profile import EVERYTHING, InDomProfile, Profile
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.pdu import PduType, UnknownPdu, decode, encode


def frame(type_: int, body: str) -> bytes:
    return encode(UnknownPdu(type_, bytes.fromhex(body)))


def test_the_profile_of_a_new_context_is_28_bytes() -> None:
    data = encode(ProfilePdu(0, EVERYTHING))
    assert data.hex() == "0000001c00007002" + "00000000" * 5
    assert decode(data) == ProfilePdu(0, EVERYTHING)


def test_lists_follow_the_entries_in_their_order() -> None:
    profile = EVERYTHING.add(7, [3, 1]).delete(9, [5]).add(11)
    body = encode(ProfilePdu(2, profile, 4))[12:]
    words = [int.from_bytes(body[at : at + 4], "big", signed=True) for at in range(0, len(body), 4)]
    assert words == [2, 0, 3, 0, 7, 1, 2, 0, 9, 1, 0, 0, 11, 0, 0, 0, 1, 3]
    assert decode(encode(ProfilePdu(2, profile, 4))) == ProfilePdu(2, profile, 4)


def test_the_instances_of_a_list_are_sent_in_order() -> None:
    body = encode(ProfilePdu(0, EVERYTHING.add(7, [70_000, -1, 5, -(2**31)])))[-16:]
    assert [int.from_bytes(body[at : at + 4], "big", signed=True) for at in (0, 4, 8, 12)] == [-(2**31), -1, 5, 70_000]


def test_any_state_but_0_means_none() -> None:
    pdu = decode(
        frame(PduType.PROFILE, "00000000 00000007 00000001 00000000 00000005 fffffff0 00000001 00000000 00000009")
    )
    assert pdu == ProfilePdu(0, Profile(False, {5: InDomProfile(False, frozenset({9}))}))


def test_without_entries_the_last_word_may_be_missing() -> None:
    assert decode(frame(PduType.PROFILE, "00000001 00000001 00000000")) == ProfilePdu(1, Profile(False))


def test_of_two_entries_for_a_domain_the_first_counts() -> None:
    entry = "00000005 00000001 00000001 00000000"
    pdu = decode(frame(PduType.PROFILE, f"00000000 00000000 00000002 00000000 {entry} {entry} 00000001 00000002"))
    assert pdu == ProfilePdu(0, Profile(True, {5: InDomProfile(False, frozenset({1}))}))


@pytest.mark.parametrize(
    "body",
    [
        "ffffffff 00000000 00000000 00000000",
        "00000000 00000000 ffffffff 00000000",
        "00000000 00000000 00000001 00000000",
        "00000000 00000000 00000001",
        "00000000 00000000 00000001 00000000 00000005 00000000 ffffffff 00000000",
        "00000000 00000000 00000001 00000000 00000005 00000000 00000001 00000000",
        "00000000 00000000 00000001 00000000 00000005 00000000 7fffffff 00000000 00000001",
        "00000000 00000000 00000001 00000000 00000005 00000000 00000000 00000000 00000001",
        "00000000 00000000 00000000 00000000 00000001",
    ],
)
def test_a_profile_must_be_as_long_as_its_counts_say(body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(frame(PduType.PROFILE, body))


@pytest.mark.parametrize(("highres", "type_"), [(False, "00007003"), (True, "00007014")])
def test_both_kinds_of_fetch_have_one_layout(highres: bool, type_: str) -> None:
    data = encode(Fetch(3, (0x00800007, 0xFFFFFFFF), highres, sender=1))
    assert data.hex() == f"00000024{type_}000000010000000300000000000000000000000200800007ffffffff"
    assert decode(data) == Fetch(3, (0x00800007, 0xFFFFFFFF), highres, sender=1)


def test_the_words_that_were_a_time_are_not_looked_at() -> None:
    assert decode(frame(PduType.FETCH, "00000000 00000063 0000004d 00000001 00000005")) == Fetch(0, (5,))


@pytest.mark.parametrize("body", ["00000000", "ffffffff", "00000002 00000005", "00000001 00000005 00000006"])
def test_a_fetch_asks_for_as_many_metrics_as_it_says_and_at_least_one(body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(frame(PduType.FETCH, "00000000" * 3 + body))
