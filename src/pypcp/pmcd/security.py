"""Who clients have to be and who can listen: TLS, accounts, and what the daemon insists on."""

from __future__ import annotations

import asyncio
import pwd
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from pypcp.ipc.tls import TlsSettings, server_context
from pypcp.pmcd.accounts import AccountsFile
from pypcp.wire.pdu import Feature

_HASHING_AT_ONCE = 2
"""Checking a password costs milliseconds by design; strangers who try many wait for each other, and for nobody else."""


@dataclass
class Security:
    """``tls`` is the server's context, None without a certificate; ``accounts`` are those of SASL.

    ``credentials_required``: pmcd -S, ``certificate_required``: pmcd -Q.
    """

    tls: ssl.SSLContext | None = None
    accounts: AccountsFile = field(default_factory=lambda: AccountsFile(None))
    credentials_required: bool = False
    certificate_required: bool = False
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_HASHING_AT_ONCE))

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
        context = server_context(TlsSettings.load(tls_conf), certificate_required=certificate_required)
        return cls(context, AccountsFile(accounts), credentials_required, certificate_required)

    @property
    def features(self) -> Feature:
        """What of this a challenge tells; nothing that is not there."""
        features = Feature.NONE
        if self.tls is not None:
            features |= Feature.SECURE | Feature.SECURE_ACK
        if self.accounts.current():
            features |= Feature.AUTH
        if self.certificate_required:
            features |= Feature.CERT_REQD
        return features


def identify(username: str) -> tuple[int | None, int | None]:
    """The user and group id of an account of this host; None for a user that SASL alone knows."""
    try:
        account = pwd.getpwnam(username)
    except (KeyError, ValueError):
        return None, None
    return account.pw_uid, account.pw_gid
