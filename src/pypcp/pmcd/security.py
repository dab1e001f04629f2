"""Who clients have to be and who can listen: TLS, accounts, and what the daemon insists on."""

from __future__ import annotations

import pwd
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pypcp.errors import BadArgument
from pypcp.ipc.tls import TlsSettings, server_context
from pypcp.pmcd.accounts import AccountsFile
from pypcp.pmcd.threads import LimitedThreads
from pypcp.wire.pdu import Feature

T = TypeVar("T")

_HASHED_AT_ONCE = 2
"""Checking a password costs milliseconds of a processor by design."""

_LOOKED_UP_AT_ONCE = 8
"""A directory service that says nothing keeps a thread for each account that it is asked for."""


@dataclass
class Security:
    """``tls`` is the server's context, None without a certificate; ``accounts`` are those of SASL.

    ``credentials_required``: pmcd -S. ``strict_tls`` is the context for clients of other hosts where these need a
    certificate: pmcd -Q.
    """

    tls: ssl.SSLContext | None = None
    strict_tls: ssl.SSLContext | None = None
    accounts: AccountsFile = field(default_factory=lambda: AccountsFile(None))
    credentials_required: bool = False
    _hashing: LimitedThreads = field(default_factory=lambda: LimitedThreads(_HASHED_AT_ONCE))
    _looking_up: LimitedThreads = field(default_factory=lambda: LimitedThreads(_LOOKED_UP_AT_ONCE))

    @classmethod
    def load(
        cls,
        tls_conf: Path | None,
        accounts: Path | None,
        *,
        credentials_required: bool = False,
        certificate_required: bool = False,
    ) -> Security:
        """As the files say. ``OSError``, ``ConfigurationError``."""
        settings = TlsSettings.load(tls_conf)
        strict = server_context(settings, certificate_required=True) if certificate_required else None
        if certificate_required and strict is None:
            raise BadArgument("-Q asks clients for certificates; give the daemon one of its own in tls.conf first")
        return cls(server_context(settings), strict, AccountsFile(accounts), credentials_required)

    def context(self, *, local: bool) -> ssl.SSLContext | None:
        """The context for a client of this host, or of another one; None where there is no TLS."""
        return self.tls if local or self.strict_tls is None else self.strict_tls

    async def hashed(self, step: Callable[[bytes], T], response: bytes) -> T:
        """What a step of a login gives, taken in a thread, when it is its turn."""
        return await self._hashing.call(step, response)

    async def identified(self, username: str) -> tuple[int | None, int | None]:
        """See :func:`identify`; in a thread, when it is its turn."""
        return await self._looking_up.call(identify, username)

    @property
    def features(self) -> Feature:
        """What of this a challenge tells; nothing that is not there."""
        features = Feature.NONE
        if self.tls is not None:
            features |= Feature.SECURE | Feature.SECURE_ACK
        if self.accounts.current():
            features |= Feature.AUTH
        if self.strict_tls is not None:
            features |= Feature.CERT_REQD
        return features


def identify(username: str) -> tuple[int | None, int | None]:
    """The user and group id of an account of this host; None for a user that SASL alone knows.

    May take as long as whoever knows the accounts: a directory service may have to be asked.
    """
    try:
        account = pwd.getpwnam(username)
    except (KeyError, ValueError):
        return None, None
    return account.pw_uid, account.pw_gid
