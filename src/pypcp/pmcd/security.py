"""Who clients have to be and who can listen: TLS, accounts, and what the daemon insists on."""

from __future__ import annotations

import asyncio
import pwd
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pypcp.errors import BadArgument
from pypcp.ipc.tls import TlsSettings, server_context
from pypcp.pmcd.accounts import AccountsFile
from pypcp.wire.pdu import Feature

T = TypeVar("T")

_HASHING_AT_ONCE = 2
"""Checking a password costs milliseconds by design; strangers who try many wait for each other, and for nobody else."""


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
    _hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_HASHING_AT_ONCE))

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
        """What a step of a login gives, taken in a thread, when it is its turn.

        Who goes away gives up his turn while he waits for it, but no thread: that one counts until it has done.
        """
        await self._hashing.acquire()
        working = asyncio.get_running_loop().run_in_executor(None, step, response)
        working.add_done_callback(lambda _: self._hashing.release())
        return await asyncio.shield(working)

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
