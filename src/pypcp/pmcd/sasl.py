"""A client says who it is, the daemon's side: SASL's PLAIN (RFC 4616) and SCRAM-SHA-256 (RFC 5802, RFC 7677).

No I/O: messages in, messages out. A mechanism is a generator that yields a challenge, is sent the client's response,
and returns the name of the user.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Generator
from typing import Final

from pypcp.errors import SASL_BASE, AuthenticationError
from pypcp.pmcd.accounts import Accounts, prepared
from pypcp.wire.attribute import SASL_LIMIT

_NO_MECHANISM: Final = SASL_BASE - 4
_BAD_PROTOCOL: Final = SASL_BASE - 5
_BAD_AUTHENTICATION: Final = SASL_BASE - 13
_NO_AUTHORIZATION: Final = SASL_BASE - 14
_ENCRYPTION_NEEDED: Final = SASL_BASE - 16

_Mechanism = Generator[bytes, bytes, str]


def _fresh_nonce() -> str:
    return base64.b64encode(secrets.token_bytes(24)).decode()


class Exchange:
    """One client's way to prove who it is. A step with PLAIN hashes for milliseconds: call :meth:`start` and
    :meth:`step` in a thread where others wait.

    ``private``: nobody can listen (TLS, or a socket of this host), so a password may be asked for in clear. Any failure
    is an ``AuthenticationError`` and ends the exchange; its code does not tell an unknown user from a wrong password.
    """

    def __init__(self, accounts: Accounts, *, private: bool, nonce: Callable[[], str] = _fresh_nonce) -> None:
        self.username: str | None = None
        """Who it is, once a step has given None."""
        self._accounts = accounts
        self._private = private
        self._nonce = nonce
        self._mechanism: _Mechanism | None = None
        self._known = {"PLAIN": self._plain, "SCRAM-SHA-256": self._scram_sha_256}

    @property
    def mechanisms(self) -> bytes:
        """What the daemon offers: the first message, to the client."""
        return b" ".join(name.encode() for name in self._known if self._private or name != "PLAIN")

    def start(self, message: bytes) -> bytes | None:
        """The client's choice: name, NUL, first response. Gives the challenge to send, None when it is all done."""
        _check_size(message)
        choice, _, response = message.partition(b"\0")
        name = choice.decode("ascii", "replace").upper()
        if name not in self._known:
            raise AuthenticationError(_NO_MECHANISM, f"{name!r:.40}")
        if name == "PLAIN" and not self._private:
            raise AuthenticationError(_ENCRYPTION_NEEDED, "PLAIN without TLS")
        self._mechanism = self._known[name]()
        challenge = next(self._mechanism)
        return self.step(response) if response else challenge

    def step(self, response: bytes) -> bytes | None:
        """The client's next response. Gives the challenge to send, None when it is all done."""
        _check_size(response)
        if self._mechanism is None or self.username is not None:
            raise AuthenticationError(_BAD_PROTOCOL, "a response that was not asked for")
        try:
            return self._mechanism.send(response)
        except StopIteration as end:
            self.username = str(end.value)
            return None

    def _plain(self) -> _Mechanism:
        parts = (yield b"").split(b"\0")
        if len(parts) != 3:
            raise AuthenticationError(_BAD_PROTOCOL, "a PLAIN response has three parts")
        act_as, name, password = (_text(part) for part in parts)
        if not self._accounts.verifier(name).matches(password):
            raise AuthenticationError(_BAD_AUTHENTICATION, f"user {name!r:.80}")
        return _authorized(name, act_as)

    def _scram_sha_256(self) -> _Mechanism:
        first = _ClientFirst((yield b""))
        nonce = first.nonce + self._nonce()
        verifier = self._accounts.verifier(first.name)
        salt = base64.b64encode(verifier.salt).decode()
        server_first = f"r={nonce},s={salt},i={verifier.rounds}"
        final = _text((yield server_first.encode()))
        without_proof, _, proof = final.rpartition(",p=")
        if without_proof != f"c={base64.b64encode(first.header.encode()).decode()},r={nonce}":
            raise AuthenticationError(_BAD_PROTOCOL, "a SCRAM proof for another exchange")
        signed = ",".join((first.bare, server_first, without_proof)).encode()
        if not _proves(verifier.stored_key, signed, _unbase64(proof)):
            raise AuthenticationError(_BAD_AUTHENTICATION, f"user {first.name!r:.80}")
        name = _authorized(first.name, first.act_as)
        yield b"v=" + base64.b64encode(hmac.digest(verifier.server_key, signed, "sha256"))
        return name


_FIRST: Final = re.compile(r"([ny],(?:a=([^,]*))?,)(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]{1,256})(?:,[^m,][^,]*)*)")


class _ClientFirst:
    """The first SCRAM message: ``header`` (GS2), ``bare`` (the rest), and what is in them."""

    def __init__(self, message: bytes) -> None:
        match = _FIRST.fullmatch(_text(message))
        if match is None:
            raise AuthenticationError(_BAD_PROTOCOL, "no first SCRAM message without channel binding")
        self.header, act_as, self.bare, name, self.nonce = match.groups()
        self.name, self.act_as = _unescaped(name), _unescaped(act_as or "")


def _check_size(message: bytes) -> None:
    if len(message) >= SASL_LIMIT:
        raise AuthenticationError(_BAD_PROTOCOL, f"a message of {len(message)} bytes")


def _authorized(name: str, act_as: str) -> str:
    """A user may act as nobody else."""
    if act_as and prepared(act_as) != prepared(name):
        raise AuthenticationError(_NO_AUTHORIZATION, f"{name!r:.80} as {act_as!r:.80}")
    return prepared(name)


def _proves(stored_key: bytes, signed: bytes, proof: bytes) -> bool:
    """Whoever made the proof has the client key, of which ``stored_key`` is the hash."""
    signature = hmac.digest(stored_key, signed, "sha256")
    if len(proof) != len(signature):
        return False
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key)


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError as error:
        raise AuthenticationError(_BAD_PROTOCOL, "a message that is not UTF-8") from error


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AuthenticationError(_BAD_PROTOCOL, "bad base64") from error


def _unescaped(name: str) -> str:
    if re.search("=(?!2C|3D)", name):
        raise AuthenticationError(_BAD_PROTOCOL, "a name with a bare =")
    return name.replace("=2C", ",").replace("=3D", "=")
