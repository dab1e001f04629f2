"""The grammar of access control."""

import pytest

from pypcp.ipc.configuration import ConfigurationError
from pypcp.pmcd.access_statements import ALL_OPERATIONS, NO_OPERATION, Kind, Operation, Permissions
from pypcp.pmcd.config import parse

FETCH, STORE = Operation.FETCH, Operation.STORE


def statements(text: str) -> list[tuple[Kind, tuple[str, ...], Permissions]]:
    parsed = parse(f"[access]\n{text}", "f").statements
    return [(statement.kind, statement.names, statement.permissions) for statement in parsed]


def problem(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(f"[access]\n{text}", "f")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "permissions"),
    [
        ("allow * : fetch;", Permissions(FETCH, NO_OPERATION)),
        ("disallow * : store;", Permissions(STORE, STORE)),
        ("allow * : fetch, store;", Permissions(ALL_OPERATIONS, NO_OPERATION)),
        ("ALLOW * : All ;", Permissions(ALL_OPERATIONS, NO_OPERATION)),
        ("disallow * : all;", Permissions(ALL_OPERATIONS, ALL_OPERATIONS)),
        ("allow * : all except store;", Permissions(ALL_OPERATIONS, STORE)),
        ("disallow * : all except store;", Permissions(ALL_OPERATIONS, FETCH)),
        ("allow * : all except fetch, store;", Permissions(ALL_OPERATIONS, ALL_OPERATIONS)),
        ("allow * : maximum 3 connections;", Permissions(NO_OPERATION, NO_OPERATION, 3)),
        ("allow * : all, maximum 3 connections;", Permissions(ALL_OPERATIONS, NO_OPERATION, 3)),
        ("allow * : maximum 2 connections, all except fetch;", Permissions(ALL_OPERATIONS, FETCH, 2)),
    ],
)
def test_operations_say_what_is_specified_and_what_is_denied(text: str, permissions: Permissions) -> None:
    assert statements(text) == [(Kind.HOST, ("*",), permissions)]


def test_a_statement_names_hosts_users_or_groups_and_may_span_lines() -> None:
    text = """allow users root, "a b" : fetch; allow group
      wheel # comment
      : fetch ; disallow "fe80::1","unix:" : store;allow hosts users : fetch;"""
    assert [(kind, names) for kind, names, _ in statements(text)] == [
        (Kind.USER, ("root", "a b")),
        (Kind.GROUP, ("wheel",)),
        (Kind.HOST, ("fe80::1", "unix:")),
        (Kind.HOST, ("users",)),
    ]


def test_the_heading_may_have_blanks_and_statements_on_its_line() -> None:
    parsed = parse(" [ Access ] allow * : all; # x", "f").statements
    assert [statement.names for statement in parsed] == [("*",)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("permit * : all;", '"permit" begins no statement'),
        ("allow : all;", '":" stands where a name must'),
        ("allow host: all;", '":" stands where a name must'),
        ("allow a, : all;", '":" stands where a name must; put addresses with colons in quotes'),
        ("allow fe80::1 : all;", '":" is no operation'),
        ("allow a b : all;", "\"b\" follows \"a\", where ',' or ':' must"),
        ("allow a : ;", '";" is no operation'),
        ("allow a : fetch,;", '";" is no operation'),
        ("allow a : fetch", "the file ends where ';' should be"),
        ("allow a : fetch store;", "\"store\" follows \"fetch\", where ',' or ';' must"),
        ("allow a : read;", '"read" is no operation'),
        ("allow a : all, fetch;", '"all" and "fetch" do not go together'),
        ("allow a : fetch, all;", '"all" does not go together with single operations'),
        ("allow a : all except all;", '"all" cannot follow "all except"'),
        ("allow a : all except maximum 3 connections;", '"maximum" cannot follow "all except"'),
        ("allow a : all except;", '";" cannot follow "all except"'),
        ("allow a : maximum 0 connections;", '"0" is no limit'),
        ("allow a : maximum 99999999999 connections;", '"99999999999" is no limit'),
        ("allow a : maximum 3 connection;", '"connection" stands where "connections" must'),
        ("allow a : maximum 3", 'the file ends where "connections" should be'),
        ("allow a : maximum 3 connections, maximum 4 connections;", "limited twice"),
        ("disallow a : maximum 3 connections;", "put the limit into an allow statement"),
    ],
)
def test_a_mistake_is_named(text: str, expected: str) -> None:
    found = problem(text)
    assert found.startswith("f:2: ")
    assert expected in found


def test_a_section_without_any_statement_is_a_mistake() -> None:
    assert problem("# nothing") == "f:1: the section [access] is empty; write a statement, or take the heading away"


def test_a_section_with_another_name_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match=r'f:1: "accesses" stands where "access" of \[access\] must'):
        parse("[accesses]\nallow * : all;", "f")


def test_after_a_mistake_reading_goes_on_with_the_next_statement() -> None:
    found = problem("allow a b : fetch, store;\nallow c : read;\nallow d : all;\n").splitlines()
    assert [line[:4] for line in found] == ["f:2:", "f:3:"]
