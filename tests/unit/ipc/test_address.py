import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypcp.errors import BadArgument
from pypcp.ipc.address import HostSpec, TcpEndpoint, UnixEndpoint, parse_hostspec

USUAL = ["/run/user/1/pypcp/pmcd.socket", "/run/pcp/pmcd.socket"]


def parsed(text: str, **environ: str) -> HostSpec:
    return parse_hostspec(text, environ)


def refusal(text: str) -> str:
    with pytest.raises(BadArgument) as caught:
        parsed(text)
    return caught.value.detail


# The examples of PCPIntro(1) and pmNewContext(3).


@pytest.mark.parametrize(
    ("text", "host", "ports", "proxy", "proxy_ports"),
    [
        (
            "nas1.acme.com:44321,4321@firewall.acme.com:44322",
            "nas1.acme.com",
            (44321, 4321),
            "firewall.acme.com",
            (44322,),
        ),
        ("nas1.acme.com:44321@firewall.acme.com:44322", "nas1.acme.com", (44321,), "firewall.acme.com", (44322,)),
        ("nas1.acme.com:44321@firewall.acme.com", "nas1.acme.com", (44321,), "firewall.acme.com", (44322,)),
        ("nas1.acme.com@firewall.acme.com", "nas1.acme.com", (44321,), "firewall.acme.com", (44322,)),
        ("nas1.acme.com:44321", "nas1.acme.com", (44321,), "", (44322,)),
        ("[fe80::2ad2:44ff:fe88:e4f1%p2p1]", "fe80::2ad2:44ff:fe88:e4f1%p2p1", (44321,), "", (44322,)),
        ("192.168.0.103", "192.168.0.103", (44321,), "", (44322,)),
        ("app23:14321,4321@firewall.example.com:11111", "app23", (14321, 4321), "firewall.example.com", (11111,)),
    ],
)
def test_documented_specifications_of_hosts_and_proxies(text, host, ports, proxy, proxy_ports):
    assert parsed(text) == HostSpec(text, "tcp", host, ports, proxy_host=proxy, proxy_ports=proxy_ports)


@pytest.mark.parametrize(
    ("text", "secure", "attributes"),
    [
        ("pcps://app2.acme.com?container=cae8e6edc0d5", True, {"container": "cae8e6edc0d5"}),
        ("pcps://nas1.acme.com:44321?username=tanya&method=gssapi", True, {"username": "tanya", "method": "gssapi"}),
        ("pcps://nas2.acme.com@firewalls.r.us?method=plain", True, {"method": "plain"}),
        ("pcp://nas3.acme.com", False, {}),
        (
            "192.168.0.103?container=cae8e6edc0d5,method=scram-sha-256",
            False,
            {"container": "cae8e6edc0d5", "method": "scram-sha-256"},
        ),
    ],
)
def test_documented_specifications_with_attributes(text, secure, attributes):
    spec = parsed(text)
    assert (spec.secure, dict(spec.attributes)) == (secure, attributes)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("unix:", ""),
        ("unix://", ""),
        ("unix:///run/pcp/pmcd.socket", "/run/pcp/pmcd.socket"),
        ("unix://run/x", "/run/x"),
        ("unix:/run/x", "/run/x"),
        ("unix:run/x", "/run/x"),
        ("unix:///a/b@c?container=x", "/a/b@c"),
    ],
)
def test_a_unix_socket_can_be_written_with_any_number_of_slashes(text, path):
    spec = parsed(text)
    assert (spec.transport, spec.socket_path) == ("unix", path)
    assert parsed(text.replace("unix", "local")).transport == "local"


# Where a specification leads.


def test_a_host_is_tried_port_by_port():
    assert parsed("web:1,2").endpoints(USUAL) == [TcpEndpoint("web", 1), TcpEndpoint("web", 2)]


def test_unix_means_the_usual_sockets_and_nothing_else():
    assert parsed("unix:").endpoints(USUAL) == [UnixEndpoint(USUAL[0]), UnixEndpoint(USUAL[1])]
    assert parsed("unix:/a").endpoints(USUAL) == [UnixEndpoint("/a")]


def test_local_means_a_socket_and_then_localhost():
    assert parsed("local:").endpoints(USUAL[1:]) == [UnixEndpoint(USUAL[1]), TcpEndpoint("localhost", 44321)]


def test_behind_a_proxy_every_port_is_asked_for_at_the_proxy():
    assert parsed("web:1,2@gate:3").endpoints(USUAL) == [
        TcpEndpoint("gate", 3, ("web", 1)),
        TcpEndpoint("gate", 3, ("web", 2)),
    ]


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (TcpEndpoint("web", 1), "web:1"),
        (TcpEndpoint("::1", 1), "[::1]:1"),
        (TcpEndpoint("gate", 3, ("web", 1)), "web:1 by way of gate:3"),
        (UnixEndpoint("/a"), "unix:/a"),
    ],
)
def test_endpoints_are_shown_as_people_write_them(endpoint, text):
    assert str(endpoint) == text


# What the environment adds.


@pytest.mark.parametrize(("value", "ports"), [("1", (1,)), ("1,2", (1, 2)), ("x,70000,0,3", (3,)), ("x", (44321,))])
def test_the_ports_of_the_environment_are_for_specifications_without_any(value, ports):
    assert parsed("web", PMCD_PORT=value).ports == ports
    assert parsed("local:", PMCD_PORT=value).ports == ports
    assert parsed("web:9", PMCD_PORT=value).ports == (9,)


def test_the_proxy_of_the_environment_is_for_specifications_without_one():
    spec = parsed("web", PMPROXY_HOST="gate", PMPROXY_PORT="7")
    assert (spec.proxy_host, spec.proxy_ports) == ("gate", (7,))
    assert parsed("web@other", PMPROXY_HOST="gate", PMPROXY_PORT="7").endpoints([]) == [
        TcpEndpoint("other", 7, ("web", 44321))
    ]


def test_without_an_environment_given_ours_counts(monkeypatch):
    monkeypatch.setenv("PMCD_PORT", "5")
    assert parse_hostspec("web").ports == (5,)


# Attributes.


def test_values_may_have_any_character_as_percent_and_two_digits():
    assert parsed("web?username=a%20b&password=%26%C3%A9").attributes == (("username", "a b"), ("password", "&é"))


def test_a_comma_separates_only_where_an_attribute_follows():
    assert parsed("web?password=a,b,method=plain").attributes == (("password", "a,b"), ("method", "plain"))


def test_an_attribute_needs_no_value_and_empty_ones_count_for_nothing():
    spec = parsed("web/?&compress&")
    assert (spec.attribute("compress"), spec.attribute("secure")) == ("", None)
    assert parsed("web?").attributes == parsed("web/").attributes == ()


# What is wrong.


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "character 1: the host name is missing"),
        ("pcp://", "character 7: the host name is missing"),
        ("web:", "character 5: a port is a number from 1 to 65535 (and an IPv6 address must be in brackets)"),
        ("web:abc", "character 5: a port is a number from 1 to 65535 (and an IPv6 address must be in brackets)"),
        ("web:0", "character 5: a port is a number from 1 to 65535 (and an IPv6 address must be in brackets)"),
        ("web:65536", "character 5: a port is a number from 1 to 65535 (and an IPv6 address must be in brackets)"),
        ("web:1,", "character 7: a port is a number from 1 to 65535 (and an IPv6 address must be in brackets)"),
        ("fe80::1", "character 6: a port is a number from 1 to 65535 (and an IPv6 address must be in brackets)"),
        ("::1", "character 1: an IPv6 address must be in brackets"),
        ("[::1", "character 1: the closing ']' or the address is missing"),
        ("[]", "character 1: the closing ']' or the address is missing"),
        ("[::1]4", "character 6: '4' is not expected here"),
        ("web@", "character 5: the name of the proxy is missing"),
        ("@gate", "character 1: the host name is missing"),
        ("web@a@b", "character 6: '@' is not expected here"),
        ("web/path", "character 4: '/' is not expected here"),
        ("web\nHOST", "character 4: a blank or control character"),
        ("unix:/a:1", "character 8: a socket has no port, and its path no ':'"),
        ("unix:/" + "a" * 107, "character 6: the path of a socket has at most 107 bytes"),
        ("web?username=a&username=b", "character 16: username is given twice"),
        ("web?container=a%20b", "character 5: a container's name is letters, digits, '.', '_' and '-'"),
        ("web?container=", "character 5: a container's name is letters, digits, '.', '_' and '-'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, detail):
    assert refusal(text) == f"host specification {text!r}, {detail}"


@pytest.mark.parametrize("value", ["%", "%2", "%zz", "%ff"])
def test_an_escape_that_is_none_is_refused(value):
    assert "character 5: the value of username has a '%'" in refusal(f"web?username={value}")


def test_an_unknown_attribute_is_answered_with_the_known_ones():
    assert "character 5: no attribute 'user'; there are secure, compress, userauth" in refusal("web?user=x")


@given(
    st.lists(
        st.sampled_from(["web", ":", "1", ",", "@", "[", "]", "?", "=", "&", "%", "unix:", "//"]) | st.text(max_size=2)
    )
)
@settings(max_examples=300, deadline=None)
def test_any_text_leads_somewhere_or_is_refused_with_its_place(pieces):
    text = "".join(pieces)
    try:
        spec = parse_hostspec(text, {})
    except BadArgument as error:
        assert re.search(r"character \d+: .", error.detail)
    else:
        assert spec.text == text
        assert spec.endpoints(USUAL)
