"""What the environment and a host specification ask for."""

import errno

import pytest

from pypcp.errors import OsError
from pypcp.ipc.address import TcpEndpoint, UnixEndpoint, parse_hostspec
from pypcp.pmapi.connection import Backoff, Patience, wishes_of
from pypcp.pmapi.operations.connect import Security


def test_waits_come_from_the_environment_where_they_are_numbers() -> None:
    assert Patience.from_environment({}) == Patience(5.0, 10.0, (5, 10, 20, 40, 80))
    told = {"PMCD_CONNECT_TIMEOUT": "2.5", "PMCD_REQUEST_TIMEOUT": "x", "PMCD_RECONNECT_TIMEOUT": "1,no,2,-3"}
    assert Patience.from_environment(told) == Patience(2.5, 10.0, (1.0, 2.0))


def test_the_wait_grows_with_each_failure_in_a_row_and_stays_at_the_last() -> None:
    backoff = Backoff((5.0, 10.0))
    now = 100.0
    for wait in (5.0, 10.0, 10.0):
        backoff.check(now)
        backoff.failed(now)
        with pytest.raises(OsError) as early:
            backoff.check(now + wait - 0.1)
        assert early.value.code == -errno.ETIMEDOUT
        now += wait
    backoff.succeeded()
    backoff.failed(now)
    backoff.check(now + 5.0)


@pytest.mark.parametrize(
    ("spec", "environment", "security"),
    [
        ("host", {}, Security.NONE),
        ("pcps://host", {}, Security.ENFORCED),
        ("host?secure=relaxed", {}, Security.RELAXED),
        ("host", {"PCP_SECURE_SOCKETS": "relaxed"}, Security.RELAXED),
        ("host", {"PCP_SECURE_SOCKETS": "enforce"}, Security.ENFORCED),
        ("host?secure=none", {"PCP_SECURE_SOCKETS": "enforce"}, Security.NONE),
    ],
)
def test_security_is_asked_for_by_scheme_attribute_or_environment(
    spec: str, environment: dict[str, str], security: Security
) -> None:
    wishes = wishes_of(parse_hostspec(spec, {}), TcpEndpoint("host", 44321), "", environment)
    assert wishes.security is security


def test_the_container_of_the_caller_goes_before_that_of_the_specification_and_the_environment() -> None:
    endpoint = TcpEndpoint("host", 44321)
    spec, environment = parse_hostspec("host?container=web", {}), {"PCP_CONTAINER": "db"}
    assert wishes_of(spec, endpoint, "mine", environment).container == "mine"
    assert wishes_of(spec, endpoint, "", environment).container == "web"
    assert wishes_of(parse_hostspec("host", {}), endpoint, "", environment).container == "db"


def test_credentials_are_sent_only_where_they_are_given() -> None:
    endpoint = TcpEndpoint("host", 44321)
    assert wishes_of(parse_hostspec("host", {}), endpoint, "", {}).credentials is None
    given = wishes_of(parse_hostspec("host?username=jo&password=pw&method=plain", {}), endpoint, "", {}).credentials
    assert given is not None
    assert (given.username, given.password, given.method) == ("jo", "pw", "plain")
    assert "pw" not in repr(given)


@pytest.mark.parametrize(
    ("spec", "endpoint", "local", "unix"),
    [
        ("local:", UnixEndpoint("/run/pcp/pmcd.socket"), True, True),
        ("local:", TcpEndpoint("localhost", 44321), True, False),
        ("localhost", TcpEndpoint("localhost", 44321), True, False),
        ("host", TcpEndpoint("host", 44321), False, False),
    ],
)
def test_a_peer_on_this_host_is_local(spec: str, endpoint: object, local: bool, unix: bool) -> None:
    wishes = wishes_of(parse_hostspec(spec, {}), endpoint, "", {})
    assert (wishes.local, wishes.unix) == (local, unix)
