"""Values, types, labels and events as the model has them."""

import pytest

from pypcp.errors import TryAgain, UnknownPmid
from pypcp.model.desc import Desc
from pypcp.model.events import EventArray, EventFlags, EventRecord
from pypcp.model.ids import PM_INDOM_NULL, Pmid
from pypcp.model.labels import LEVELS, LabelSet, LabelType
from pypcp.model.units import NONE
from pypcp.model.values import Semantics, ValueFormat, ValueSet, ValueType


def test_types_have_the_numbers_of_the_protocol_and_the_names_of_pminfo() -> None:
    assert [type_.value for type_ in ValueType] == [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]
    assert str(ValueType.U32) == "32-bit unsigned int"
    assert str(ValueType.HIGHRES_EVENT) == "highres event record array"
    assert all(str(type_) for type_ in ValueType)


def test_semantics_read_as_pminfo_prints_them() -> None:
    assert [(sem.value, str(sem)) for sem in Semantics] == [(1, "counter"), (3, "instant"), (4, "discrete")]


def test_values_by_instance() -> None:
    assert ValueSet(5, [1, 2], ["a", "b"]).by_instance() == {1: "a", 2: "b"}
    with pytest.raises(ValueError, match="zip"):
        ValueSet(5, [1, 2], ["a"]).by_instance()


def test_the_only_value_of_a_singular_metric() -> None:
    assert ValueSet.singular(5, 7, ValueType.U32).value == 7
    assert ValueSet.singular(5, 7, ValueType.U32).instances == [-1]
    assert ValueSet(5).value is None


def test_a_metric_with_an_error_has_no_values_to_give() -> None:
    refused = ValueSet(5, error=TryAgain())
    with pytest.raises(TryAgain):
        refused.by_instance()
    with pytest.raises(TryAgain):
        _ = ValueSet(5, error=TryAgain()).value


def test_a_value_set_without_anything_has_none_now() -> None:
    empty = ValueSet(5)
    assert (empty.error, empty.type, empty.format, empty.by_instance()) == (None, None, ValueFormat.DPTR, {})


def test_a_descriptor_is_of_a_singular_instant_without_units_unless_it_says_so() -> None:
    desc = Desc(Pmid(5), ValueType.DOUBLE)
    assert (desc.indom, desc.sem, desc.units) == (PM_INDOM_NULL, Semantics.INSTANT, NONE)
    assert desc == Desc(Pmid(5), ValueType.DOUBLE)
    assert len({desc, Desc(Pmid(5), ValueType.DOUBLE)}) == 1


def test_levels_of_labels_are_in_the_order_in_which_they_override() -> None:
    assert [level.name for level in LEVELS] == ["CONTEXT", "DOMAIN", "INDOM", "CLUSTER", "ITEM", "INSTANCES"]
    assert [level.value for level in LEVELS] == [1, 2, 4, 8, 16, 32]
    assert LabelType(0xC1) == LabelType.CONTEXT | LabelType.COMPOUND | LabelType.OPTIONAL
    assert LabelSet(-1).labels == ()


def test_event_flags_are_those_of_the_protocol() -> None:
    assert EventFlags(0x8000001F) == sum(EventFlags)
    assert EventRecord(5).flags is EventFlags.POINT
    assert EventArray() == EventArray((), highres=False)


def test_an_error_of_a_value_set_is_a_value_until_it_is_raised() -> None:
    assert ValueSet(5, error=UnknownPmid("29.9.9")).error is not None
