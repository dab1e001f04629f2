import os
import re
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypcp.errors import PmnsError
from pypcp.pmns import preprocessor
from pypcp.pmns.parser import parse


def names(text: str, **options: object) -> list[str]:
    return [f"{name} {pmid}" for name, pmid in parse(text, **options).traverse()]


def included(files: Mapping[str, str]):
    def include(name: str) -> str:
        if name not in files:
            raise FileNotFoundError(2, os.strerror(2))
        return files[name]

    return include


def refusal(text: str, **options: object) -> str:
    with pytest.raises(PmnsError) as caught:
        parse(text, file="names", **options)
    return caught.value.detail


def test_blocks_may_come_in_any_order():
    text = "b.c {\n d 1:2:4\n}\nroot {\n a 1:2:3\n b\n}\nb {\n c\n}\n"
    assert names(text) == ["a 1.2.3", "b.c.d 1.2.4"]


def test_the_order_of_the_tree_is_the_order_within_the_blocks():
    assert names("root {\n z 1:1:1\n m\n a 1:1:2\n}\nm {\n y 1:1:3\n b 1:1:4\n}\n") == [
        "z 1.1.1",
        "m.y 1.1.3",
        "m.b 1.1.4",
        "a 1.1.2",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "root { a 1:2:3 }",
        "root\n{\na\n1:2:3\n}\n",
        "root {\r\n a\t1 : 2 :3\r\n}\r\n",
        "root { /* why */ a 1:/* so */2:3 }",
        "/* a\n comment\n */ root { a 01:002:3 }",
        '# 17 "elsewhere"\nroot { a 1:2:3 }',
    ],
)
def test_blanks_comments_and_line_marks_do_not_matter(text):
    assert names(text) == ["a 1.2.3"]


def test_stars_make_a_dynamic_root():
    tree = parse("root { a 70:*:* b 70:*:* }", duplicates=False)
    assert tree.find_root("b.c") == ("b", 511 << 22 | 70 << 10)


def test_the_largest_pmid_is_accepted():
    assert names("root { a 510:4095:1023 }") == ["a 510.4095.1023"]


def test_an_empty_block_is_no_node():
    tree = parse("root {\n a\n b 1:1:1\n}\na {\n}\n")
    assert tree.children("") == [("b", True)]


def test_names_of_one_pmid_are_allowed_unless_told_otherwise():
    text = "root {\n a 1:2:3\n b 1:2:3\n}\n"
    assert names(text) == ["a 1.2.3", "b 1.2.3"]
    assert refusal(text, duplicates=False) == "names:3: b has the same pmid 1.2.3 as a"


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "names:1: there is no block 'root { ... }'"),
        ("a { b 1:1:1 }", "names:1: there is no block 'root { ... }'"),
        ("root { a 1:2:3", "names:1: the block of root has no '}'"),
        ("root {\n a\n}\n", "names:2: a has no pmid, so it needs a block 'a { ... }', and there is none"),
        ("root {\n root\n}\n", "names:2: root has no pmid, so it needs a block 'root { ... }', and there is none"),
        (
            "root {\n a 1:1:1\n}\nb {\n c 1:1:2\n}\n",
            "names:4: the block of b belongs nowhere: no block above names it without a pmid",
        ),
        ("root {\n a 1:1:1\n a 1:1:2\n}\n", "names:3: a is named twice in the block of root"),
        ("root {\n}\nroot {\n}\n", "names:3: a second block for root; the first is in line 1"),
        ("root{ a 1:1:1 }", "names:1: 'root{' found where the full name of a block should be"),
        ("root a 1:1:1 }", "names:1: '{' should follow root"),
        ("root { 1:1:1 }", "names:1: '1:1:1' found where a name or '}' should be"),
        ("root { a 1:1:1 2:2:2 }", "names:1: '2:2:2' found where a name or '}' should be"),
        ("root { _a 1:1:1 }", "names:1: '_a' found where a name or '}' should be"),
        (
            "root {\n a b-c\n}",
            "names:2: 'b-c' found where a name, '}' or a pmid (d:c:i or d:*:*) should be",
        ),
        ("root { a 1:2 }", "names:1: '1:2' found where a name, '}' or a pmid (d:c:i or d:*:*) should be"),
        ("root { a 1:2:* }", "names:1: '1:2:*' found where a name, '}' or a pmid (d:c:i or d:*:*) should be"),
        ("root { a 511:2:3 }", "names:1: the domain of pmid 511:2:3 is above 510"),
        ("root { a 511:*:* }", "names:1: the domain of pmid 511:*:* is above 510"),
        ("root { a 1:4096:3 }", "names:1: the cluster of pmid 1:4096:3 is above 4095"),
        ("root { a 1:2:1024 }", "names:1: the item of pmid 1:2:1024 is above 1023"),
        ("root {\n a 1:1:1\n}\n/* never\nends", "names:4: a comment begins here and never ends"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, detail):
    assert refusal(text) == detail


def test_the_error_is_stocks_sentence_with_the_place_behind_it():
    with pytest.raises(PmnsError, match=r"^Problems parsing PMNS definitions: names:1: there is no block"):
        parse("", file="names")


def test_macros_are_replaced_wherever_they_are_words():
    text = "#define D 7\n#define C 8\n#define node sub\nroot { node\n a_D D:C:D }\nnode { D_ D : C : 1 }\n"
    assert names(text) == ["sub.D_ 7.8.1", "a_D 7.8.7"]


def test_a_macro_can_hold_several_words_in_quotes():
    assert names("#define BOTH 'a 1:1:1 b 1:1:2'\nroot {\n BOTH\n}\n") == ["a 1.1.1", "b 1.1.2"]


def test_what_a_macro_gives_is_not_searched_for_macros():
    assert "'B:1:1'" in refusal("#define B 9\n#define A B\nroot { a A:1:1 }")


def test_a_macros_value_may_stand_after_a_tab_and_have_blanks():
    assert names('#define BOTH\t"a 1:1:1 b 1:1:2"\nroot {\n BOTH\n}\n') == ["a 1.1.1", "b 1.1.2"]


def test_macros_can_be_defined_by_the_caller():
    assert names("root { a SAMPLE:0:1 }", defines={"SAMPLE": "29"}) == ["a 29.0.1"]


CHOICE = "#ifdef X\nroot { x 1:1:1 }\n#else\nroot { y 1:1:1 }\n#endif\n"


def test_conditions_choose_by_whether_a_macro_is_defined():
    assert names(CHOICE) == ["y 1.1.1"]
    assert names("#define X\n" + CHOICE) == ["x 1.1.1"]
    assert names("#define X\n#undef X\n" + CHOICE) == ["y 1.1.1"]
    assert names(CHOICE.replace("ifdef", "ifndef")) == ["x 1.1.1"]


def test_conditions_nest_and_nothing_counts_in_a_branch_not_taken():
    text = "#ifdef X\n#ifndef Y\nroot { x 1:1:1 }\n#else\n}}\n#endif\n#include <nosuch>\n#define 9\n#endif\n" + CHOICE
    assert names(text) == ["y 1.1.1"]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("#if 0\n", "names:1: unknown directive #if"),
        ("#\n", "names:1: unknown directive #"),
        ("#ifdef A\n#ifdef B\n#endif\n", "names:1: #endif is missing for this condition"),
        ("\n#endif\n", "names:2: #endif without #ifdef or #ifndef"),
        ("#else\n", "names:1: #else without #ifdef or #ifndef"),
        ("#ifdef A\n#else\n#else\n#endif\n", "names:3: a second #else for one condition"),
        ("#ifdef A\n#endif A\n", "names:2: nothing may follow #endif"),
        ("#ifdef\n#endif\n", "names:1: the name of a macro is missing"),
        ("#ifdef A B\n", "names:1: bad macro name 'A B': a letter or underscore, then letters, digits, underscores"),
        ("#define 9A 1\n", "names:1: bad macro name '9A': a letter or underscore, then letters, digits, underscores"),
        ("#define A 1 2\n", "names:1: the value of macro A must be one word, or be quoted"),
        ("#define A 1\n#define A 2\n", "names:2: macro A is defined already; #undef it first"),
        ("#include nosuch\n", 'names:1: #include needs "file" or <file>'),
        ("#include <nosuch>\n", "names:1: cannot include nosuch: nosuch: nothing can be included here"),
        (
            "#shell 'id'\n",
            "names:1: #shell is not supported: a name space does not run commands; #include its output",
        ),
    ],
)
def test_what_is_wrong_with_a_directive_is_said_with_its_place(text, detail):
    assert refusal(text) == detail


def test_included_files_share_macros_with_the_file_that_includes_them():
    files = {"stdpmid": "#define D 7\n", "more": "sub { b D:E:2 }\n"}
    text = '#include <stdpmid>\n#define E 3\nroot { a D:0:1\n sub }\n#include "more"\n'
    assert names(text, include=included(files)) == ["a 7.0.1", "sub.b 7.3.2"]


def test_an_error_in_an_included_file_names_that_file():
    assert refusal("#include <bad>\n", include=included({"bad": "\nroot {"})) == "bad:2: the block of root has no '}'"


def test_a_condition_must_end_in_the_file_where_it_began():
    files = included({"open": "#ifdef A\n"})
    assert refusal("#include <open>\n#endif\n", include=files) == "open:1: #endif is missing for this condition"


def test_a_file_that_cannot_be_included_is_named():
    assert refusal("#include <gone>\n", include=included({})) == f"names:1: cannot include gone: {os.strerror(2)}"


def test_inclusion_goes_five_files_deep_and_no_deeper():
    files = {"2": "#include <3>", "3": "#include <4>", "4": "#include <5>", "5": "root { a 1:1:1 }"}
    assert names("#include <2>", include=included(files)) == ["a 1.1.1"]
    deeper = files | {"5": "#include <6>", "6": "root { a 1:1:1 }"}
    assert refusal("#include <2>", include=included(deeper)) == "5:1: #include is nested more than 5 files deep"


def test_the_text_read_in_all_is_bounded(monkeypatch):
    monkeypatch.setattr(preprocessor, "MAX_CHARACTERS", 1 << 20)
    files = included({"big": " " * (1 << 18)})
    assert "more than 1 million characters to read" in refusal("#include <big>\n" * 10, include=files)


def test_what_macros_expand_to_is_bounded(monkeypatch):
    monkeypatch.setattr(preprocessor, "MAX_CHARACTERS", 1 << 20)
    text = f"#define A {'x' * 10_000}\nroot {{ {'A ' * 1_000} }}"
    assert refusal(text) == "names:2: macros expand to more than 1 million characters"


def test_blocks_may_be_deeper_than_the_interpreter_recurses():
    paths = ["root", *(".".join(["a"] * depth) for depth in range(1, 1_500))]
    text = "".join(f"{path} {{ a }}\n" for path in paths) + ".".join(["a"] * 1_500) + " { a 1:1:1 }\n"
    assert len(parse(text)) == 1


PIECES = [
    "root",
    "a",
    "b.c",
    "{",
    "}",
    "1:2:3",
    "9:*:*",
    ":",
    "*",
    "/*",
    "*/",
    "#ifdef a",
    "#endif",
    "#else",
    "\n",
    " ",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_name_space_or_one_error_with_its_place(pieces):
    try:
        parse(" ".join(pieces), file="names")
    except PmnsError as error:
        assert re.match(r"(names|\S+):\d+: .", error.detail)
