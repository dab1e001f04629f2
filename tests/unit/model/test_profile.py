"""Which instances a client wants."""

import pytest

from pypcp.errors import ProfileSpec
from pypcp.model.ids import PM_INDOM_NULL, InDom
from pypcp.model.profile import EVERYTHING, InDomProfile, Profile
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.pdu import decode, encode
from pypcp.wire.result import Result
from vectors.captures import pdu, stream

DYN, SIMPLE = InDom.build(250, 0), InDom.build(253, 0)


def wanted(profile: Profile, indom: int, instances: range = range(4)) -> list[int]:
    return [instance for instance in instances if profile.includes(indom, instance)]


def test_a_new_context_wants_everything() -> None:
    assert wanted(EVERYTHING, 5) == [0, 1, 2, 3]
    assert EVERYTHING.of(5) is None


def test_lists_are_inverted() -> None:
    assert wanted(Profile(indoms={5: InDomProfile(True, frozenset({1, 2}))}), 5) == [0, 3]
    assert wanted(Profile(indoms={5: InDomProfile(False, frozenset({1, 2}))}), 5) == [1, 2]


def test_a_domain_that_is_not_listed_goes_by_the_state_of_the_whole() -> None:
    only = Profile(include=False, indoms={5: InDomProfile(False, frozenset({1}))})
    assert (wanted(only, 5), wanted(only, 6)) == ([1], [])
    assert only.of(6) is not None


def test_singular_metrics_are_always_wanted() -> None:
    assert Profile(include=False).includes(PM_INDOM_NULL, -1)


def test_adding_to_an_unlisted_domain_wants_only_what_was_added() -> None:
    assert wanted(EVERYTHING.add(5, [1, 3]), 5) == [1, 3]
    assert wanted(EVERYTHING.add(5, [1]).add(5, [3]), 5) == [1, 3]


def test_deleting_from_an_unlisted_domain_wants_nothing_of_it() -> None:
    assert wanted(EVERYTHING.delete(5, [1]), 5) == []
    assert wanted(EVERYTHING.delete(5, [1]), 6) == [0, 1, 2, 3]


def test_all_but_some_is_all_and_then_some_deleted() -> None:
    profile = EVERYTHING.add(5).delete(5, [1])
    assert wanted(profile, 5) == [0, 2, 3]
    assert wanted(profile.add(5, [1]), 5) == [0, 1, 2, 3]
    assert profile.add(5, [1]).of(5) is None


def test_without_a_list_the_whole_domain_is_meant() -> None:
    assert wanted(EVERYTHING.add(5, [1]).add(5), 5) == [0, 1, 2, 3]
    assert wanted(EVERYTHING.add(5).delete(5), 5) == []


def test_without_a_domain_all_entries_are_dropped() -> None:
    listed = EVERYTHING.add(5, [1])
    assert listed.delete(PM_INDOM_NULL) == Profile(include=False)
    assert listed.add(PM_INDOM_NULL) == EVERYTHING


def test_instances_without_a_domain_make_no_sense() -> None:
    with pytest.raises(ProfileSpec):
        EVERYTHING.add(PM_INDOM_NULL, [1])
    with pytest.raises(ProfileSpec):
        EVERYTHING.delete(PM_INDOM_NULL, [1])


def test_a_change_leaves_the_profile_it_was_made_from_alone() -> None:
    before = EVERYTHING.add(5, [1])
    before.add(5, [2])
    assert wanted(before, 5) == [1]


def test_equal_lists_make_equal_profiles() -> None:
    assert EVERYTHING.add(5, [1, 2]) == EVERYTHING.add(5, [2]).add(5, [1])
    assert EVERYTHING.add(5, [1]) != EVERYTHING.add(6, [1])
    assert hash(EVERYTHING.add(5, [1])) == hash(EVERYTHING.add(5, [1]))


# The recorded client called: delete all of the dyn domain, add two of it, delete one of the simple domain; fetch;
# then delete everything; fetch.


def test_the_calls_of_a_stock_client_make_the_profiles_it_sent() -> None:
    sent = [
        got for got in (decode(captured.frame) for captured in stream("api-profile")) if isinstance(got, ProfilePdu)
    ]
    first, second = (got.profile for got in sent)
    listed = first.indoms[DYN].listed
    assert EVERYTHING.delete(DYN).add(DYN, listed).delete(SIMPLE, [1]) == first
    assert encode(ProfilePdu(0, EVERYTHING.delete(DYN).add(DYN, listed).delete(SIMPLE, [1]))) == pdu("api-profile", 2)
    assert first.delete(PM_INDOM_NULL) == second


def test_stocks_answers_have_exactly_the_instances_that_the_profile_wants() -> None:
    first = decode(pdu("api-profile", 2))
    answer, nothing = decode(pdu("api-profile", 4)), decode(pdu("api-profile", 9))
    assert isinstance(first, ProfilePdu)
    assert isinstance(answer, Result)
    assert isinstance(nothing, Result)
    dyn, simple = answer.value_sets[:2]
    assert all(first.profile.includes(DYN, instance) for instance in dyn.instances)
    assert list(simple.instances) == wanted(first.profile, SIMPLE) == []
    assert [list(value_set.instances) for value_set in nothing.value_sets] == [[], []]
