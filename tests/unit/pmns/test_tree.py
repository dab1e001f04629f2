import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypcp.errors import NotLeaf, PmnsError, UnknownName, UnknownPmid
from pypcp.model.ids import Pmid, dynamic_root
from pypcp.pmns.tree import Tree, check_name

LOAD = Pmid.build(60, 2, 0)
USER = Pmid.build(60, 0, 20)
NICE = Pmid.build(60, 0, 21)
MMV = dynamic_root(70)


@pytest.fixture
def tree() -> Tree:
    tree = Tree()
    tree.insert("kernel.all.load", LOAD)
    tree.insert("kernel.all.cpu.user", USER)
    tree.insert("kernel.all.cpu.nice", NICE)
    tree.insert("mmv", MMV)
    return tree


def test_a_leaf_is_found_by_its_name(tree):
    assert tree.lookup("kernel.all.cpu.user") == USER


@pytest.mark.parametrize(
    "name", ["nosuch", "kernel.nosuch", "kernel.all.load.x", "", "kernel.", ".kernel", "kernel..all"]
)
def test_an_unknown_name_is_an_error_for_every_question(tree, name):
    with pytest.raises(UnknownName):
        tree.lookup(name)
    if name:
        for question in (tree.children, tree.traverse, tree.remove):
            with pytest.raises(UnknownName):
                question(name)


def test_looking_up_a_node_that_has_names_below_it_says_so(tree):
    with pytest.raises(NotLeaf):
        tree.lookup("kernel.all")


@pytest.mark.parametrize("name", ["mmv", "mmv.control", "mmv.a.b.c"])
def test_a_name_at_or_below_a_dynamic_root_yields_the_marker(tree, name):
    assert tree.lookup(name) == MMV
    assert tree.find_root(name) == ("mmv", MMV)


@pytest.mark.parametrize("name", ["", "kernel", "kernel.all.load", "kernel.all.load.x", "nosuch", "nosuch.mmv"])
def test_other_names_have_no_dynamic_root(tree, name):
    assert tree.find_root(name) is None


def test_a_dynamic_root_deep_in_the_tree_is_found():
    tree = Tree()
    tree.insert("sample.secret", dynamic_root(29))
    tree.insert("sample.load", Pmid.build(29, 0, 4))
    assert tree.find_root("sample.secret.foo.one") == ("sample.secret", dynamic_root(29))
    assert tree.children("sample") == [("secret", False), ("load", True)]


def test_children_come_in_the_order_of_insertion_with_dynamic_roots_as_no_leaves(tree):
    assert tree.children("") == [("kernel", False), ("mmv", False)]
    assert tree.children("kernel.all") == [("load", True), ("cpu", False)]


def test_a_leaf_has_no_children(tree):
    assert tree.children("kernel.all.load") == []


def test_a_traversal_is_depth_first_and_gives_dynamic_roots_as_leaves(tree):
    tree.insert("kernel.all.nusers", Pmid.build(60, 25, 0))
    assert [name for name, _ in tree.traverse()] == [
        "kernel.all.load",
        "kernel.all.cpu.user",
        "kernel.all.cpu.nice",
        "kernel.all.nusers",
        "mmv",
    ]
    assert tree.traverse("kernel.all.cpu") == [("kernel.all.cpu.user", USER), ("kernel.all.cpu.nice", NICE)]


def test_a_traversal_of_a_leaf_gives_the_leaf(tree):
    assert tree.traverse("kernel.all.load") == [("kernel.all.load", LOAD)]


def test_a_traversal_of_an_empty_name_space_gives_nothing():
    assert Tree().traverse() == []
    assert Tree().children("") == []


def test_aliases_are_listed_last_inserted_first(tree):
    tree.insert("alias.load", LOAD)
    assert tree.names(LOAD) == ["alias.load", "kernel.all.load"]
    tree.remove("kernel.all.load")
    assert tree.names(LOAD) == ["alias.load"]


def test_a_pmid_without_a_name_is_unknown(tree):
    with pytest.raises(UnknownPmid, match=r"60\.9\.9"):
        tree.names(Pmid.build(60, 9, 9))


def test_removal_leaves_no_empty_nodes_behind(tree):
    tree.remove("kernel.all.cpu.user")
    assert tree.children("kernel.all") == [("load", True), ("cpu", False)]
    tree.remove("kernel.all.cpu.nice")
    assert tree.children("kernel.all") == [("load", True)]
    tree.remove("kernel.all.load")
    assert tree.children("") == [("mmv", False)]
    assert "kernel" not in tree
    with pytest.raises(UnknownPmid):
        tree.names(LOAD)


def test_only_leaves_can_be_removed(tree):
    with pytest.raises(NotLeaf):
        tree.remove("kernel.all")
    assert len(tree) == 4


def test_the_length_is_the_number_of_leaves(tree):
    assert len(tree) == 4
    tree.remove("mmv")
    assert len(tree) == 3


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("kernel.all.load", "kernel.all.load is 60.2.0 already"),
        ("kernel.all", "kernel.all is there already"),
        ("kernel.all.load.one", "kernel.all.load is 60.2.0 already"),
        ("mmv.control", "mmv is 511.70.0 already"),
        ("kernel..x", "a component is empty"),
        ("", "a component is empty"),
    ],
)
def test_a_refused_insertion_says_why_and_changes_nothing(tree, name, why):
    before = tree.traverse()
    with pytest.raises(PmnsError, match=why):
        tree.insert(name, Pmid.build(1, 1, 1))
    assert tree.traverse() == before
    assert len(tree) == len(before)
    assert not tree.has_pmid(Pmid.build(1, 1, 1))


@pytest.mark.parametrize("name", ["a", "kernel.all.load", "A9_.b_c"])
def test_names_of_letters_digits_and_underscores_pass_the_check(name):
    check_name(name)


@pytest.mark.parametrize(
    ("name", "part"), [("a.9b", "9b"), ("_a", "_a"), ("a.b-c.d", "b-c"), ("", "''"), ("a..b", "''")]
)
def test_other_names_are_refused_with_the_component_that_is_wrong(name, part):
    with pytest.raises(PmnsError, match=part):
        check_name(name)


def test_a_name_may_be_deeper_than_the_interpreter_recurses():
    tree = Tree()
    name = ".".join(["a"] * 50_000)
    tree.insert(name, LOAD)
    assert tree.traverse() == [(name, LOAD)]
    tree.remove(name)
    assert tree.children("") == []


def test_one_name_more_or_less_costs_the_same_beside_twenty_thousand_siblings():
    def seconds(siblings: int) -> float:
        tree = Tree()
        for number in range(siblings):
            tree.insert(f"flat.n{number}", Pmid.build(100, number >> 10, number & 1023))
        best = float("inf")
        for _ in range(50):
            start = time.perf_counter()
            tree.insert("flat.more", LOAD)
            tree.remove("flat.more")
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(20_000) < 20 * seconds(20)


NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)


@given(st.lists(st.tuples(st.booleans(), NAMES, st.integers(0, 3)), max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_tree_holds_what_a_dictionary_of_names_would(steps):
    tree, model = Tree(), {}
    for insert, name, pmid in steps:
        before = dict(model)
        try:
            if insert:
                tree.insert(name, pmid)
                model[name] = pmid
            else:
                tree.remove(name)
                del model[name]
        except (PmnsError, UnknownName, NotLeaf):
            assert model == before
            taken = [
                known for known in model if f"{known}.".startswith(f"{name}.") or f"{name}.".startswith(f"{known}.")
            ]
            assert bool(taken) if insert else name not in model
    assert dict(tree.traverse()) == model
    assert len(tree) == len(model)
    for pmid in set(model.values()):
        assert set(tree.names(pmid)) == {name for name in model if model[name] == pmid}
    assert sorted(part for part, _ in tree.children("")) == sorted({name.partition(".")[0] for name in model})
