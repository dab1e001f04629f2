"""SASL where it goes wrong; where it goes right is held to captures in test_conversations."""

import pytest

from pypcp.errors import AuthenticationError, PcpError, RemoteProtocolError, RequestError
from pypcp.pmapi.operations.sasl import Credentials, authenticate
from pypcp.pmapi.operations.steps import Ask, Receive, Tell
from pypcp.pmcd.accounts import Accounts, Verifier
from pypcp.pmcd.sasl import Exchange
from pypcp.wire.attribute import Attribute
from unit.pmapi.transcript import replies

NONCE = "fixed"
SALT = "F5BRXJfF9uNN1go0qvSdmGHJVOn8owotcsXRCfMcPXk="


def login(*messages: bytes, method: str = "", password: str = "pw", private: bool = False) -> None:
    credentials = Credentials("jo", password, method, nonce=lambda: NONCE)
    replies(*(Attribute(0, message) for message in messages))(authenticate(credentials, private=private))


def sasl_code(error: PcpError) -> int:
    return error.code + 21344


@pytest.mark.parametrize(("offer", "method"), [(b"GSSAPI", ""), (b"PLAIN", "scram-sha-256"), (b"", ""), (b"\xff", "")])
def test_without_a_common_mechanism_nothing_is_sent(offer: bytes, method: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        login(offer, method=method)
    assert sasl_code(caught.value) == -4


def test_a_password_goes_in_clear_only_where_nobody_listens_or_it_was_asked_for() -> None:
    with pytest.raises(AuthenticationError) as caught:
        login(b"PLAIN")
    assert sasl_code(caught.value) == -15
    login(b"PLAIN", private=True)
    login(b"PLAIN", method="plain")


def test_a_server_that_does_not_know_the_password_is_found_out() -> None:
    with pytest.raises(AuthenticationError) as caught:
        login(b"SCRAM-SHA-256", f"r={NONCE}server,s={SALT},i=4096".encode(), b"v=" + SALT.encode())
    assert sasl_code(caught.value) == -10


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        f"r=another,s={SALT},i=4096".encode(),
        f"r={NONCE}server,i=4096".encode(),
        f"r={NONCE}server,s={SALT}".encode(),
        f"r={NONCE}server,s={SALT},i=0".encode(),
        f"r={NONCE}server,s={SALT},i=-1".encode(),
        f"r={NONCE}server,s={SALT},i=1000001".encode(),
        f"r={NONCE}server,s=???,i=4096".encode(),
    ],
)
def test_a_challenge_that_is_none_is_a_protocol_error(challenge: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        login(b"SCRAM-SHA-256", challenge)


def test_a_password_with_a_nul_is_refused_here() -> None:
    with pytest.raises(RequestError):
        login(b"PLAIN", password="a\0b", private=True)


@pytest.mark.parametrize(("method", "username"), [("plain", "anna"), ("scram-sha-256", "anna"), ("", "comma,and=sign")])
def test_our_daemon_believes_our_client(method: str, username: str) -> None:
    exchange = Exchange(Accounts({username: Verifier.of("s3cret", rounds=4096)}), private=True)
    operation = authenticate(Credentials(username, "s3cret", method), private=True)
    assert isinstance(next(operation), Receive)
    challenge: bytes | None = exchange.mechanisms
    take = exchange.start
    while challenge is not None:
        step = operation.send(Attribute(0, challenge))
        assert isinstance(step, Ask | Tell) and isinstance(step.pdu, Attribute)
        challenge, take = take(step.pdu.value), exchange.step
    assert exchange.username == username
