"""Identifiers of metrics and instance domains."""

import pytest

from pypcp.model.ids import PM_ID_NULL, PM_INDOM_NULL, InDom, Pmid, dynamic_root, is_dynamic_root


def test_a_pmid_is_domain_cluster_and_item() -> None:
    pmid = Pmid.build(29, 0, 3)
    assert pmid == 0x07400003
    assert (pmid.domain, pmid.cluster, pmid.item) == (29, 0, 3)
    assert (str(pmid), repr(pmid)) == ("29.0.3", "Pmid(29.0.3)")
    assert Pmid.parse("29.0.3") == pmid


def test_an_instance_domain_is_domain_and_serial() -> None:
    indom = InDom.build(29, 1)
    assert indom == 0x07400001
    assert (indom.domain, indom.serial) == (29, 1)
    assert (str(indom), repr(indom)) == ("29.1", "InDom(29.1)")
    assert InDom.parse("29.1") == indom


def test_a_plain_number_finds_an_identifier_in_a_dictionary() -> None:
    assert {Pmid.build(1, 2, 3): "found"}[1 << 22 | 2 << 10 | 3] == "found"


def test_the_top_bit_is_no_part_of_the_domain() -> None:
    assert Pmid(0x80000000 | Pmid.build(253, 1, 2)).domain == 253
    assert InDom(0x80000000 | InDom.build(253, 2)).domain == 253


def test_the_null_identifiers_have_names() -> None:
    assert (str(PM_ID_NULL), str(PM_INDOM_NULL)) == ("PM_ID_NULL", "PM_INDOM_NULL")
    assert Pmid.parse("PM_ID_NULL") == PM_ID_NULL
    assert InDom.parse("PM_INDOM_NULL") == PM_INDOM_NULL


@pytest.mark.parametrize("parts", [(512, 0, 0), (0, 4096, 0), (0, 0, 1024), (-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_a_part_out_of_range_makes_no_pmid(parts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no pmid"):
        Pmid.build(*parts)


@pytest.mark.parametrize("parts", [(512, 0), (0, 1 << 22), (-1, 0), (0, -1)])
def test_a_part_out_of_range_makes_no_instance_domain(parts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no instance domain"):
        InDom.build(*parts)


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.1024"])
def test_what_is_no_pmid_does_not_parse(text: str) -> None:
    with pytest.raises(ValueError):  # int() and unpacking have their own words
        Pmid.parse(text)


def test_the_root_of_a_dynamic_subtree_names_the_domain_that_serves_it() -> None:
    root = dynamic_root(250)
    assert (root.domain, root.cluster, root.item) == (511, 250, 0)
    assert is_dynamic_root(root)
    assert not is_dynamic_root(Pmid.build(511, 250, 1))
    assert not is_dynamic_root(Pmid.build(250, 0, 0))
    assert not is_dynamic_root(PM_ID_NULL)
