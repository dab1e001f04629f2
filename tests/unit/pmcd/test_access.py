"""Access control: what stock's pmcd was seen to allow and to refuse."""

from collections.abc import Mapping

import pytest

from pypcp.errors import ConnectionLimit, PermissionDenied
from pypcp.ipc.configuration import ConfigurationError
from pypcp.pmcd.access import AccessRules, Connections
from pypcp.pmcd.access_compiler import compile_rules
from pypcp.pmcd.access_hosts import Family, Hosts
from pypcp.pmcd.access_statements import Operation
from pypcp.pmcd.config import parse

OWN = ("192.0.2.2", "fd00::2")
HOSTS = {"vm": OWN, "two": ("10.0.0.1", "10.0.0.2")}

USERS: dict[str, tuple[int, Mapping[int, str]]] = {
    "root": (0, {0: "root"}),
    "ua": (2001, {3001: "ga", 3002: "gb", 3003: "gc"}),
    "ub": (2002, {3002: "gb", 3003: "gc"}),
    "uc": (2003, {3001: "ga"}),
}
GROUPS: dict[str, tuple[int, Mapping[int, str]]] = {
    "root": (0, {0: "root"}),
    "ga": (3001, {2001: "ua", 2003: "uc"}),
    "gb": (3002, {2001: "ua", 2002: "ub"}),
    "gc": (3003, {2001: "ua", 2002: "ub"}),
}
PRIMARY = {"root": (0, 0), "ua": (2001, 3001), "ub": (2002, 3002), "uc": (2003, 3001), "nobody": (65534, 65534)}


class TestAccounts:
    def user(self, name: str) -> tuple[int, Mapping[int, str]]:
        return USERS[name]

    def group(self, name: str) -> tuple[int, Mapping[int, str]]:
        return GROUPS[name]


def resolve(name: str) -> tuple[str, ...]:
    if name not in HOSTS:
        raise OSError("name or service not known")
    return HOSTS[name]


def rules(text: str, own: tuple[str, ...] = OWN) -> AccessRules:
    return compile_rules(parse(f"[access]\n{text}", "f").statements, Hosts(resolve, own), TestAccounts())


def problem(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        rules(text)
    return str(caught.value)


def may(denied: Operation) -> str:
    return "".join(operation.name[0].lower() for operation in Operation if not operation & denied and operation.name)


def from_hosts(text: str, *addresses: str | None) -> list[str]:
    compiled = rules(text)
    return [may(compiled.for_host(address).denied) for address in addresses]


def from_accounts(text: str, host: str | None = None) -> str:
    """What each of root, ua, ub, uc and nobody may, on a Unix socket."""
    compiled = rules(text)
    denied = [compiled.for_account(*PRIMARY[name]).denied | compiled.for_host(host).denied for name in PRIMARY]
    return " ".join(may(operations) or "-" for operations in denied)


# Hosts. Each list was observed: clients from 127.0.0.1, ::1, 192.0.2.2, fd00::2 and the Unix socket.

CLIENTS = ("127.0.0.1", "::1", "192.0.2.2", "fd00::2", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("disallow 192.0.2.* : all;", ["", "", "", "fs", "fs"]),
        ("disallow 127.0.0.1 : all;", ["fs", "fs", "fs", "fs", "fs"]),
        ('disallow "fd00::*" : all;', ["", "", "fs", "", "fs"]),
        ('disallow "::1" : all; disallow 192.0.2.2: all;', ["", "", "", "fs", "fs"]),
        ('disallow "local:" : all;', ["", "", "", "", ""]),
        ('disallow ".*" : store; disallow ":*" : store; allow "local:*" : all;', ["fs", "fs", "fs", "fs", "fs"]),
        ('allow "unix:" : all; disallow * : all;', ["", "", "", "", "fs"]),
        ("disallow .* : all; allow localhost : fetch;", ["f", "f", "f", "fs", "fs"]),
        ('disallow .* : all; allow "fd00::2" : all;', ["", "", "", "fs", "fs"]),
        ('allow ":*" : all; disallow * : all;', ["", "", "", "fs", ""]),
        (
            'allow * : all; disallow 192.0.* : fetch; allow "fd00:*" : store; disallow "fd00:0:*" : all;',
            ["", "", "s", "", "fs"],
        ),
        (
            "allow 192.* : all; allow 192.0.* : fetch; disallow 192.0.2.* : store; allow vm: maximum 3 connections;",
            ["f", "f", "f", "fs", "fs"],
        ),
        ("disallow vm : all;", ["", "", "", "", "fs"]),
    ],
)
def test_narrower_statements_override_wider_ones(text: str, expected: list[str]) -> None:
    assert from_hosts(text, *CLIENTS) == expected


def test_without_statements_everybody_may_everything() -> None:
    compiled = AccessRules()
    assert compiled.for_host("10.0.0.1").denied == compiled.for_host(None).denied == 0
    assert compiled.for_account(None, None).denied == 0
    assert not compiled.needs_credentials


def test_a_client_whose_ipv4_address_came_by_ipv6_is_one_of_ipv4() -> None:
    assert from_hosts("disallow 10.1.* : all;", "::ffff:10.1.2.3", "::ffff:10.2.2.3") == ["", "fs"]


def test_the_scope_of_a_link_local_address_does_not_matter() -> None:
    assert from_hosts('disallow "fe80:*" : store;', "fe80::1%eth0", "fe81::1%eth0") == ["f", "fs"]


def test_a_name_stands_for_all_its_addresses() -> None:
    assert from_hosts("disallow two : all;", "10.0.0.1", "10.0.0.2", "10.0.0.3") == ["", "", "fs"]


def test_of_two_ipv6_wildcards_of_one_level_the_earlier_statement_wins() -> None:
    assert from_hosts('allow "1::*" : fetch; disallow "1:2:*" : all;', "1:2::5") == ["f"]
    assert from_hosts('disallow "1:2:*" : all; allow "1::*" : fetch;', "1:2::5") == [""]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("1.2.3.4", ("1.2.3.4", "255.255.255.255", 0)),
        ("10.1.*", ("10.1.0.0", "255.255.0.0", 2)),
        ("10.*", ("10.0.0.0", "255.0.0.0", 3)),
        (".*", ("0.0.0.0", "0.0.0.0", 4)),
        ("fe80::1", ("fe80::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0)),
        ("1:2:3:4:5:6:7:*", ("1:2:3:4:5:6:7:0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:0", 1)),
        ("1::3:*", ("1::3:0", "ffff::ffff:0", 5)),
        ("1:2:*", ("1:2::", "ffff:ffff::", 6)),
        ("fd00::*", ("fd00::", "ffff::", 6)),
        ("fd00:*", ("fd00::", "ffff::", 7)),
        ("::*", ("::", "::", 8)),
        (":*", ("::", "::", 8)),
        ("unix:", ("/", "/", 1)),
        ("unix:/some/path", ("/", "/", 1)),
    ],
)
def test_a_pattern_is_what_stocks_table_shows(name: str, pattern: tuple[str, str, int]) -> None:
    ((_, found),) = Hosts(resolve, OWN).patterns(name)
    assert (*found.texts(), found.level) == pattern


def test_star_is_every_family() -> None:
    families = [pattern.family for _, pattern in Hosts(resolve).patterns("*")]
    assert families == [Family.INET, Family.IPV6, Family.UNIX]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("*.melbourne", "is not its end"),
        ("129.127.*.*", "is not its end"),
        ("129.*.114.9", "is not its end"),
        ("129.127*", "is no IPv4 wildcard"),
        ("12*", "is no IPv4 wildcard"),
        ("1..*", "is no IPv4 wildcard"),
        ("1.2.3.4.*", "is no IPv4 wildcard"),
        ("300.1.*", "is no IPv4 wildcard"),
        ("fe80::223:14ff:*:*", "is not its end"),
        ("fe80::223:14ff:*:b62c", "is not its end"),
        ("fe80*", "is no IPv4 wildcard"),
        ("ffff1:*", "is no IPv6 wildcard"),
        ("1:2:3:4:5:6:7:8:*", "is no IPv6 wildcard"),
        ("1::2::*", "is no IPv6 wildcard"),
        ("::ffff:1.2.3.*", "is no IPv6 wildcard"),
    ],
)
def test_a_bad_wildcard_is_a_mistake(name: str, expected: str) -> None:
    found = problem(f'allow "{name}" : fetch;')
    assert found.startswith("f:2: ")
    assert expected in found


# Accounts. Each line was observed with clients on the Unix socket. "also" marks where stock lets in more.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("allow user ua : store; allow group gc : fetch;", "- fs - - -"),  # also: ub
        ("disallow user * : store; allow group * : all;", "f f f f f"),
        ("disallow user * : store; allow group gb : all;", "- f f - -"),
        ("allow group ga : fetch; disallow group gb : fetch;", "- s s fs -"),
        ("disallow group gb : fetch; allow group gc : fetch;", "- s s - -"),
        ("disallow group * : store;", "f f f f f"),
        ("disallow group * : store; disallow user ua : fetch;", "- - - - -"),
        ("allow user * : all; disallow user ua : fetch; disallow group ga : store;", "- - - - -"),
        ("allow user * : fetch;", "fs fs fs fs fs"),
        ("disallow user * : fetch; allow user ua : fetch;", "s fs s s s"),  # also: ub and uc may fetch
        ("disallow user * : all; allow user ua : fetch;", "- fs - - -"),  # also: ub and uc
        ("disallow user ua : store; allow user ub : all;", "- f f - -"),  # also: uc may fetch
        ("allow user * : all; disallow user ua : store;", "fs f f f fs"),
        ("disallow user ua : store; allow user * : all;", "fs f f f fs"),
        ('disallow host "unix:" : store; allow user ua : all;', "- f - - -"),  # also: ub and uc may fetch
        ('allow host "unix:" : store; disallow group * : store; allow group ga : fetch;', "f fs f fs f"),
    ],
)
def test_accounts_are_denied_what_any_entry_about_them_denies(text: str, expected: str) -> None:
    assert from_accounts(text) == expected


def test_a_client_without_an_account_is_refused_as_soon_as_accounts_are_named() -> None:
    compiled = rules("allow user ua : all;")
    assert compiled.needs_credentials
    assert may(compiled.for_account(None, None).denied) == ""
    assert may(compiled.for_host("10.0.0.1").denied) == "fs"


def test_a_user_of_several_groups_may_what_none_of_them_denies() -> None:
    compiled = rules("allow group gb : all;")
    assert may(compiled.for_account(2001, 3001).denied) == "fs"
    assert may(compiled.for_account(2003, 3001).denied) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("allow users nosuch : all;", "this host has no user 'nosuch'"),
        ("allow groups nosuch : all;", "this host has no group 'nosuch'"),
        ("allow user ua : fetch; disallow user ua : fetch;", "'ua' contradicts 'ua' of line 2"),
        ("allow 192.0.2.2 : all; disallow localhost : store;", "'localhost' contradicts '192.0.2.2' of line 2"),
        ('disallow * : fetch; allow "unix:" : fetch;', "'unix:' contradicts 'unix:' of line 2"),
        ("allow * : fetch; disallow * : fetch;", "'.*' contradicts '.*' of line 2"),
        ("allow .* : maximum 3 connections; allow .* : maximum 4 connections;", "limit connections differently"),
        ("disallow nosuch.invalid : all;", "no statement of the access section is left"),
    ],
)
def test_statements_that_make_no_sense_are_a_mistake(text: str, expected: str) -> None:
    assert expected in problem(text)


def test_statements_about_the_same_host_add_up() -> None:
    assert from_hosts("allow 1.2.3.4 : store; disallow 1.2.3.4 : fetch; disallow 1.2.3.4 : fetch;", "1.2.3.4") == ["s"]


def test_a_host_without_an_address_is_a_warning_and_the_other_names_count() -> None:
    compiled = rules("disallow nosuch.invalid, 10.0.0.1 : all;")
    (warning,) = compiled.warnings
    assert str(warning).startswith("f:2: the host 'nosuch.invalid' has no address")
    assert may(compiled.for_host("10.0.0.1").denied) == ""


def test_star_leaves_to_an_earlier_statement_what_that_is_about() -> None:
    compiled = rules('allow "unix:" : all; disallow * : all;')
    assert [warning.text for warning in compiled.warnings] == [
        "'unix:' contradicts 'unix:' of line 2; keep one of the two"
    ]


def test_a_loopback_address_that_no_client_has_is_a_warning() -> None:
    (warning,) = rules("disallow 127.0.0.1 : all;").warnings
    assert "clients on this host count as 192.0.2.2, fd00::2; write localhost" in str(warning)
    assert rules("disallow 127.0.0.1 : all;", own=("127.0.0.1",)).warnings == ()


# Connections.


def test_only_the_narrowest_entry_with_a_limit_refuses_but_all_count() -> None:
    compiled = rules("allow 10.0.0.1 : maximum 2 connections; allow .* : maximum 1 connections;")
    connections = Connections()
    narrow, wide = compiled.for_host("10.0.0.1"), compiled.for_host("10.0.0.9")
    connections.admit(narrow)
    connections.admit(narrow)
    with pytest.raises(ConnectionLimit):
        connections.admit(narrow)
    with pytest.raises(ConnectionLimit):
        connections.admit(wide)
    assert [connections.count(entry) for entry in compiled.hosts] == [2, 2]


def test_a_client_that_leaves_makes_room() -> None:
    compiled = rules("allow * : maximum 1 connections;")
    connections, access = Connections(), compiled.for_host("127.0.0.1")
    for _ in range(3):
        connections.admit(access)
        connections.release(access)
    assert [connections.count(entry) for entry in compiled.hosts] == [0, 0, 0]


def test_a_loopback_client_counts_once_for_an_entry_that_all_own_addresses_match() -> None:
    compiled = rules("allow localhost : maximum 2 connections; allow group gb: all, maximum 1 connections;")
    connections, host = Connections(), compiled.for_host("::1")
    connections.admit(host)
    assert {entry.name: connections.count(entry) for entry in compiled.hosts} == {"localhost": 1}


def test_a_group_shares_its_limit() -> None:
    compiled = rules("allow group gb : all, maximum 1 connections;")
    connections = Connections()
    connections.admit(compiled.for_account(2001, 3001))
    with pytest.raises(ConnectionLimit):
        connections.admit(compiled.for_account(2002, 3002))


def test_who_may_do_nothing_is_not_admitted_and_not_counted() -> None:
    compiled = rules("disallow .* : all; allow .* : maximum 3 connections;")
    connections = Connections()
    with pytest.raises(PermissionDenied):
        connections.admit(compiled.for_host("10.0.0.1"))
    assert connections.count(compiled.hosts[0]) == 0


def test_a_refused_address_is_worth_one_line_in_the_log() -> None:
    connections = Connections()
    assert [connections.first_refusal(address) for address in ("1.1.1.1", "1.1.1.1", None, None)] == [
        True,
        False,
        True,
        False,
    ]
