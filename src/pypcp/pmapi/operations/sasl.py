"""Who we are, told to pmcd with SASL: PLAIN and SCRAM-SHA-256 (RFC 4616, RFC 7677), the client's side."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from pypcp.errors import SASL_BASE, AuthenticationError, RemoteProtocolError, RequestError, from_code
from pypcp.pmapi.operations.steps import Ask, Operation, Tell, fitting, receive
from pypcp.wire.attribute import Attribute, AttributeKey

_NO_MECHANISM = SASL_BASE - 4
_SERVER_NOT_PROVEN = SASL_BASE - 10
_TOO_WEAK = SASL_BASE - 15
_MAX_ROUNDS = 1_000_000
"""RFC 7677 asks for 4096 rounds or more; a hostile server could ask for hours of hashing."""


def _fresh_nonce() -> str:
    return base64.b64encode(secrets.token_bytes(24)).decode()


@dataclass(frozen=True)
class Credentials:
    """A user's name and password, and how to present them.

    ``method`` is a mechanism's name, any case; empty: the best that pmcd offers. ``authname`` is who the password
    belongs to if that is not the user to act as.
    """

    username: str
    password: str = field(repr=False)
    method: str = ""
    authname: str = ""
    nonce: Callable[[], str] = field(default=_fresh_nonce, repr=False, compare=False)

    @property
    def identity(self) -> str:
        """Whose password it is."""
        return self.authname or self.username


_Mechanism = Generator[bytes, bytes, None]
"""Yields a response, is sent the server's next challenge; the first response is the initial one."""


def authenticate(credentials: Credentials, *, private: bool) -> Operation[None]:
    """Prove who we are, after CREDS with AUTH. There is no word of success: a failure may still arrive later.

    ``private``: nobody can listen, so a password may go in clear without being asked for by ``method=plain``.
    """
    offered = (yield from receive(Attribute)).value.decode("ascii", "replace").upper().split()
    name = _choose(offered, credentials, private=private)
    responses = _MECHANISMS[name](credentials)
    message = name.encode() + b"\0" + next(responses)
    while True:
        if name == "PLAIN" or message == b"":
            yield Tell(Attribute(AttributeKey.SASL, message))
            return
        challenge = fitting((yield Ask(Attribute(AttributeKey.SASL, message))), Attribute)
        message = responses.send(challenge.value)


def _choose(offered: list[str], credentials: Credentials, *, private: bool) -> str:
    wanted = credentials.method.upper()
    known = [wanted] if wanted else ["SCRAM-SHA-256", "PLAIN"]
    usable = [name for name in known if name in offered and name in _MECHANISMS]
    if not usable:
        raise from_code(_NO_MECHANISM, f"pmcd offers {', '.join(offered)}; we can do {', '.join(_MECHANISMS)}")
    if usable[0] == "PLAIN" and not (wanted or private):
        raise from_code(_TOO_WEAK, "pmcd wants the password in clear; use pcps://, or say method=plain to allow it")
    return usable[0]


def _plain(credentials: Credentials) -> _Mechanism:
    yield "\0".join((credentials.username, credentials.identity, _prepared(credentials.password))).encode()


def _scram_sha_256(credentials: Credentials) -> _Mechanism:
    header = f"n,a={_escaped(credentials.username)},"
    nonce = credentials.nonce()
    first = f"n={_escaped(credentials.identity)},r={nonce}"
    server_first = yield (header + first).encode()
    parts = _attributes(server_first)
    _check_challenge(parts, nonce)
    without_proof = f"c={base64.b64encode(header.encode()).decode()},r={parts['r']}"
    salted = _salted(credentials.password, parts)
    signed = ",".join((first, server_first.decode(), without_proof)).encode()
    server_final = _attributes((yield f"{without_proof},p={_proof(salted, signed)}".encode()))
    expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
    if not hmac.compare_digest(_unbase64(server_final.get("v", "")), expected):
        raise AuthenticationError(_SERVER_NOT_PROVEN)
    yield b""


_MECHANISMS: dict[str, Callable[[Credentials], _Mechanism]] = {"SCRAM-SHA-256": _scram_sha_256, "PLAIN": _plain}


def _attributes(message: bytes) -> dict[str, str]:
    try:
        return dict(part.split("=", 1) for part in message.decode().split(","))
    except ValueError:
        raise RemoteProtocolError("a SASL challenge that is no SCRAM message") from None


def _check_challenge(parts: dict[str, str], nonce: str) -> None:
    if not parts.get("r", "").startswith(nonce) or "s" not in parts or not parts.get("i", "").isdecimal():
        raise RemoteProtocolError("a SCRAM challenge without our nonce, a salt or a count")
    if not 0 < int(parts["i"]) <= _MAX_ROUNDS:
        raise RemoteProtocolError(f"a SCRAM challenge that asks for {parts['i']} rounds; at most {_MAX_ROUNDS}")


def _salted(password: str, parts: dict[str, str]) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", _prepared(password).encode(), _unbase64(parts["s"]), int(parts["i"]))


def _proof(salted: bytes, signed: bytes) -> str:
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
    return base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise RemoteProtocolError("a SCRAM message with bad base64") from None


def _escaped(name: str) -> str:
    return name.replace("=", "=3D").replace(",", "=2C")


def _prepared(password: str) -> str:
    """The form in which both sides hash a password (the part of SASLprep that matters in practice)."""
    if "\0" in password:
        raise RequestError("a password cannot contain NUL")
    return unicodedata.normalize("NFKC", password)
