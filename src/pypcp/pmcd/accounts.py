"""Who can log in by SASL: salted verifiers of passwords in a file of root's. See: docs/howto/authentication.md.

A line an account, ``NAME SCRAM-SHA-256$ROUNDS:SALT$STORED:SERVER`` with base64 for bytes: what RFC 5802 says a server
keeps. It proves a password, but whoever reads it cannot log in with it. ``!secret`` makes unknown names look known.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from pypcp.ipc.configuration import ConfigurationError, Problem, read_text

log = logging.getLogger(__name__)

ROUNDS: Final = 20_000
"""Hashing a password takes some milliseconds: of the client with SCRAM, of the daemon (in a thread) with PLAIN."""
_MAX_ROUNDS: Final = 1_000_000
_SALT_BYTES: Final = 18
_DIGEST_BYTES: Final = 32
_SECRET: Final = "!secret"
_NAME: Final = re.compile(r"[^\s!#:\x00-\x1f\x7f][^\s#:\x00-\x1f\x7f]{0,254}")
_VERIFIER: Final = re.compile(r"SCRAM-SHA-256\$([0-9]{1,7}):([\w+/=]+)\$([\w+/=]+):([\w+/=]+)", re.ASCII)
_HEADING: Final = "# Who can log in to pmcd, and how to check it. Change it with: pypcp user\n"


def prepared(text: str) -> str:
    """A name or password as both sides take it: the part of SASLprep (RFC 4013) that matters in practice."""
    return unicodedata.normalize("NFKC", text)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What proves a password (RFC 5802): H(client key) and the server key, of a salt and a number of rounds."""

    salt: bytes = field(repr=False)
    rounds: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def of(cls, password: str, *, rounds: int = ROUNDS) -> Self:
        """A new one, with a salt of its own. Takes milliseconds."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(salt, rounds, *_keys(password, salt, rounds))

    def matches(self, password: str) -> bool:
        """Is this the password? Takes milliseconds, the same for right and wrong."""
        stored_key, _ = _keys(password, self.salt, self.rounds)
        return hmac.compare_digest(stored_key, self.stored_key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """As ``str()`` gives it; ``ValueError`` for anything else."""
        match = _VERIFIER.fullmatch(text)
        if match is None or not 0 < int(match[1]) <= _MAX_ROUNDS:
            raise ValueError("no verifier of the form SCRAM-SHA-256$ROUNDS:SALT$STORED:SERVER")
        try:
            salt, stored_key, server_key = (base64.b64decode(part, validate=True) for part in match.groups()[1:])
        except binascii.Error as error:
            raise ValueError(f"a verifier with bad base64 ({error})") from error
        if len(stored_key) != _DIGEST_BYTES or len(server_key) != _DIGEST_BYTES:
            raise ValueError("a verifier with keys of the wrong size")
        return cls(salt, int(match[1]), stored_key, server_key)

    def __str__(self) -> str:
        salt, stored, server = (
            base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.rounds}:{salt}${stored}:{server}"


def _keys(password: str, salt: bytes, rounds: int) -> tuple[bytes, bytes]:
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt, rounds)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256")


def _new_secret() -> bytes:
    return secrets.token_bytes(_DIGEST_BYTES)


@dataclass(frozen=True)
class Accounts:
    """The accounts of a file; ``bool()`` tells whether there are any."""

    verifiers: Mapping[str, Verifier] = field(default_factory=dict)
    secret: bytes = field(default_factory=_new_secret, repr=False)

    def __bool__(self) -> bool:
        return bool(self.verifiers)

    def verifier(self, name: str) -> Verifier:
        """What checks the password of ``name``; for an unknown name one that looks real and that nothing matches."""
        name = prepared(name)
        salt = hmac.digest(self.secret, name.encode(), "sha256")[:_SALT_BYTES]
        nobody = Verifier(salt, ROUNDS, secrets.token_bytes(_DIGEST_BYTES), secrets.token_bytes(_DIGEST_BYTES))
        return self.verifiers.get(name, nobody)

    @classmethod
    def parse(cls, text: str, file: str) -> Self:
        """The accounts in a text; ``ConfigurationError`` with everything that is wrong."""
        verifiers: dict[str, Verifier] = {}
        secret = b""
        problems = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, _, rest = line.partition(" ")
            try:
                if name == _SECRET:
                    secret = base64.b64decode(rest, validate=True)
                else:
                    verifiers[checked_name(name)] = Verifier.parse(rest.strip())
            except ValueError as error:
                problems.append(Problem(file, number, f"{error}; remove the line and add the user again"))
        if problems:
            raise ConfigurationError(problems)
        return cls(verifiers, secret or _new_secret())

    def __str__(self) -> str:
        lines = [f"{name} {verifier}\n" for name, verifier in sorted(self.verifiers.items())]
        return f"{_HEADING}{_SECRET} {base64.b64encode(self.secret).decode()}\n{''.join(lines)}"


def checked_name(name: str) -> str:
    """The name as it is kept; ``ValueError`` for one that no account can have."""
    name = prepared(name)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: no blanks, colons, # or control characters, no ! in front")
    return name


# The file.


class AccountsFile:
    """The file of accounts, read again when it has changed. ``path`` None: there are no accounts."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._identity: object = None
        self._accounts = Accounts()
        if path is not None:
            self._read(path)

    def current(self) -> Accounts:
        """The accounts now. A file that has become unreadable or bad is logged once, and the accounts stay."""
        if self.path is not None and _identity(self.path) != self._identity:
            try:
                self._read(self.path)
            except (OSError, ConfigurationError) as error:
                log.warning("the accounts stay as they were: %s", error)
        return self._accounts

    def _read(self, path: Path) -> None:
        self._identity = _identity(path)
        self._accounts = read(path) if self._identity is not None else Accounts()


def _identity(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read(path: Path) -> Accounts:
    """The accounts of a file. ``OSError``; ``ConfigurationError`` also for a file that others can read or change."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()):
        raise ConfigurationError([Problem(str(path), 0, "is not a regular file of root or of us; chown it")])
    if stat.S_IMODE(found.st_mode) & 0o027:
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigurationError([Problem(str(path), 0, f"is open to others (mode {mode:04o}); chmod it to 0600")])
    return Accounts.parse(read_text(path), str(path))


def change(path: Path, edit: Callable[[dict[str, Verifier]], None]) -> None:
    """Let ``edit`` change the verifiers by name, and replace the file as a whole; two at a time wait for each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        old = read(path) if path.exists() else Accounts()
        verifiers = dict(old.verifiers)
        edit(verifiers)
        _replace(path, str(Accounts(verifiers, old.secret)))


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """A reader sees the old file or the new one; the new one has the owner and mode of the old."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            if path.exists():
                old = path.stat()
                os.fchown(descriptor, old.st_uid, old.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
