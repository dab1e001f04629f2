"""SASL, the daemon's side: the examples of the RFCs, our own client, and everything that must not let anybody in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypcp.errors import SASL_BASE, AuthenticationError
from pypcp.pmapi.operations.sasl import Credentials, _plain, _scram_sha_256
from pypcp.pmcd.accounts import Accounts, Verifier
from pypcp.pmcd.sasl import Exchange

RFC_7677 = Verifier.parse(
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
ACCOUNTS = Accounts({"user": RFC_7677, "a=b,c": Verifier.of("pencil", rounds=10)}, b"secret")
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

NO_MECHANISM, BAD_PROTOCOL, BAD_AUTHENTICATION, NO_AUTHORIZATION, ENCRYPTION_NEEDED = -4, -5, -13, -14, -16


def exchange(*, private: bool = True) -> Exchange:
    return Exchange(ACCOUNTS, private=private, nonce=lambda: SERVER_NONCE)


def refusal(*messages: bytes, private: bool = True) -> int:
    """The SASL code with which the last of the messages is refused."""
    server = exchange(private=private)
    challenge: bytes | None = None
    for message in messages[:-1]:
        challenge = server.start(message) if challenge is None else server.step(message)
    with pytest.raises(AuthenticationError) as caught:
        if challenge is None:
            server.start(messages[-1])
        else:
            server.step(messages[-1])
    assert server.username is None
    return caught.value.code - SASL_BASE


def log_in(method: str, name: str, password: str, act_as: str = "") -> str | None:
    """Our own client against our own server."""
    credentials = Credentials(act_as or name, password, method, authname=name)
    client = {"PLAIN": _plain, "SCRAM-SHA-256": _scram_sha_256}[method](credentials)
    server = Exchange(ACCOUNTS, private=True)
    challenge = server.start(method.encode() + b"\0" + next(client))
    while challenge is not None:
        challenge = server.step(client.send(challenge))
    return server.username


FIRST = b"SCRAM-SHA-256\0n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
FINAL = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="


def test_the_example_of_rfc_7677_is_answered_as_it_says() -> None:
    server = exchange()
    assert server.start(FIRST) == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert server.step(FINAL) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert server.username is None
    assert server.step(b"") is None
    assert server.username == "user"


def test_plain_is_done_with_its_first_response() -> None:
    server = exchange()
    assert server.start(b"PLAIN\0user\0user\0pencil") is None
    assert server.username == "user"


def test_a_mechanism_without_a_first_response_asks_for_it() -> None:
    server = exchange()
    assert server.start(b"plain\0") == b""
    assert server.step(b"\0user\0pencil") is None
    assert server.username == "user"


@pytest.mark.parametrize("method", ["PLAIN", "SCRAM-SHA-256"])
def test_our_client_logs_in(method: str) -> None:
    assert log_in(method, "user", "pencil") == "user"
    assert log_in(method, "a=b,c", "pencil") == "a=b,c"


@pytest.mark.parametrize("method", ["PLAIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize(
    ("name", "password"), [("user", "Pencil"), ("nobody", "pencil"), ("user", ""), ("USER", "pencil")]
)
def test_a_wrong_password_and_an_unknown_user_are_refused_alike(method: str, name: str, password: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        log_in(method, name, password)
    assert caught.value.code - SASL_BASE == BAD_AUTHENTICATION


@pytest.mark.parametrize("method", ["PLAIN", "SCRAM-SHA-256"])
def test_a_user_cannot_act_as_another(method: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        log_in(method, "user", "pencil", act_as="root")
    assert caught.value.code - SASL_BASE == NO_AUTHORIZATION


def test_an_unknown_user_is_challenged_like_a_known_one_and_always_the_same() -> None:
    known, unknown = (
        [exchange().start(f"SCRAM-SHA-256\0n,,n={name},r=abc".encode()) or b"" for _ in range(2)]
        for name in ("a=3Db=2Cc", "nobody")
    )
    assert unknown[0] == unknown[1]
    assert [len(part) for part in unknown[0].split(b",")][:2] == [len(part) for part in known[0].split(b",")][:2]


def test_a_password_in_clear_is_neither_offered_nor_taken_where_others_could_listen() -> None:
    assert exchange(private=True).mechanisms == b"PLAIN SCRAM-SHA-256"
    assert exchange(private=False).mechanisms == b"SCRAM-SHA-256"
    assert refusal(b"PLAIN\0user\0user\0pencil", private=False) == ENCRYPTION_NEEDED


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([b""], NO_MECHANISM),
        ([b"GSSAPI\0x"], NO_MECHANISM),
        ([b"SCRAM-SHA-256-PLUS\0p=tls-unique,,n=user,r=x"], NO_MECHANISM),
        ([b"PLAIN\0user"], BAD_PROTOCOL),
        ([b"PLAIN\0a\0b\0c\0d"], BAD_PROTOCOL),
        ([b"PLAIN\0\0\xff\0x"], BAD_PROTOCOL),
        ([b"PLAIN\0\0user\0" + b"x" * 4000], BAD_PROTOCOL),
        ([b"SCRAM-SHA-256\0n=user,r=x"], BAD_PROTOCOL),
        ([b"SCRAM-SHA-256\0p=tls-unique,,n=user,r=x"], BAD_PROTOCOL),
        ([b"SCRAM-SHA-256\0n,,m=x,n=user,r=x"], BAD_PROTOCOL),
        ([b"SCRAM-SHA-256\0n,,n=user,r="], BAD_PROTOCOL),
        ([b"SCRAM-SHA-256\0n,,n=us=er,r=x"], BAD_PROTOCOL),
        ([b"SCRAM-SHA-256\0n,,n=user,r=" + b"x" * 300], BAD_PROTOCOL),
        ([FIRST, b""], BAD_PROTOCOL),
        ([FIRST, FINAL.replace(b"biws", b"eSws")], BAD_PROTOCOL),
        ([FIRST, FINAL.replace(b"%hvY", b"%hvZ")], BAD_PROTOCOL),
        ([FIRST, FINAL.replace(b"p=dHzb", b"p=")], BAD_AUTHENTICATION),
        ([FIRST, FINAL.replace(b"p=d", b"p=?")], BAD_PROTOCOL),
        ([FIRST, FINAL.replace(b"p=dHzb", b"p=dHza")], BAD_AUTHENTICATION),
        ([FIRST, FINAL[: FINAL.index(b",p=")]], BAD_PROTOCOL),
    ],
)
def test_what_is_no_proof_lets_nobody_in(messages: list[bytes], code: int) -> None:
    assert refusal(*messages) == code


def test_after_the_end_nothing_more_is_taken() -> None:
    server = exchange()
    server.start(b"PLAIN\0\0user\0pencil")
    with pytest.raises(AuthenticationError):
        server.step(b"again")


def test_a_response_before_the_choice_of_a_mechanism_is_refused() -> None:
    with pytest.raises(AuthenticationError):
        exchange().step(FINAL)


def test_a_nonce_is_never_used_again() -> None:
    challenges = {Exchange(ACCOUNTS, private=True).start(FIRST) for _ in range(20)}
    assert len(challenges) == 20


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([FIRST, FINAL, b"SCRAM-SHA-256\0", b""]), min_size=1, max_size=4)
)
def test_whatever_is_sent_the_only_error_is_a_refusal_and_nobody_gets_in(messages: list[bytes]) -> None:
    server = Exchange(ACCOUNTS, private=False)
    try:
        challenge = server.start(messages[0])
        for message in messages[1:]:
            if challenge is not None:
                challenge = server.step(message)
    except AuthenticationError:
        pass
    assert server.username is None
