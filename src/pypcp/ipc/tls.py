"""TLS as stock's ``tls.conf`` says it, for the daemon and for clients. See: pmcd(1), PCPIntro(1).

================================================ ==========================================================
``tls-cert-file`` ``tls-key-file``               the certificate (chain) and key of the daemon, PEM
``tls-ca-cert-file`` ``tls-ca-cert-dir``         whose certificates to trust, of daemons and of clients
``tls-client-cert-file`` ``tls-client-key-file`` the certificate and key of a client, for daemons that want one
``tls-verify-clients``                           ``true``: a client without a certificate is turned away
``tls-ciphers``                                  the ciphers up to TLS 1.2, in OpenSSL's notation
``tls-ciphersuites``                             those of TLS 1.3
================================================ ==========================================================

TLS 1.2 is the oldest version spoken. A client checks the daemon's name as well as its certificate.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pypcp.ipc.configuration import ConfigurationError, Problem, Setting, parse_settings, read_text

log = logging.getLogger(__name__)

_KEYS: Final = (
    "tls-cert-file",
    "tls-key-file",
    "tls-ca-cert-file",
    "tls-ca-cert-dir",
    "tls-client-cert-file",
    "tls-client-key-file",
    "tls-verify-clients",
    "tls-ciphers",
    "tls-ciphersuites",
)
_TRUTHS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True)
class TlsSettings:
    """What a ``tls.conf`` says. ``file`` is its name, empty where there is none."""

    file: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None) -> TlsSettings:
        """The settings in a file; none at all where ``path`` is None. ``OSError``, ``ConfigurationError``."""
        return cls() if path is None else cls.parse(read_text(path), str(path))

    @classmethod
    def parse(cls, text: str, file: str) -> TlsSettings:
        """The settings in a text; ``ConfigurationError`` with everything that is wrong."""
        settings = {name: found for section in parse_settings(text, file).values() for name, found in section.items()}
        problems = [
            Problem(file, setting.line, f"{name!r} is no setting; there are {', '.join(_KEYS)}")
            for name, setting in settings.items()
            if name not in _KEYS
        ]
        problems += [
            Problem(file, setting.line, f"{name!r} has no value; write one, or take the line away")
            for name, setting in settings.items()
            if not setting.value
        ]
        verify = settings.get("tls-verify-clients")
        if verify and verify.value.lower() not in _TRUTHS:
            problems.append(Problem(file, verify.line, f"{verify.value!r} is neither true nor false"))
        if problems:
            raise ConfigurationError(problems)
        return cls(file, settings)

    def value(self, name: str) -> str | None:
        """The value of a setting, None where it is not there."""
        setting = self.settings.get(name)
        return setting.value if setting else None

    @property
    def has_server(self) -> bool:
        """Is there anything of a certificate for the daemon? Without one it offers no TLS."""
        return "tls-cert-file" in self.settings or "tls-key-file" in self.settings

    @property
    def verify_clients(self) -> bool:
        """Must every client have a certificate?"""
        return _TRUTHS[(self.value("tls-verify-clients") or "false").lower()]

    def problem(self, name: str, text: str) -> ConfigurationError:
        """What is wrong with the setting ``name``."""
        setting = self.settings.get(name)
        return ConfigurationError([Problem(self.file or "tls.conf", setting.line if setting else 0, text)])


def server_context(settings: TlsSettings, *, certificate_required: bool = False) -> ssl.SSLContext | None:
    """The daemon's side of TLS, None where no certificate is configured.

    A client may have a certificate; if it has, it must be good. With ``certificate_required`` (pmcd -Q) or
    ``tls-verify-clients`` it must have one. ``ConfigurationError``: files that are missing or do not fit together.
    """
    if not settings.has_server:
        if certificate_required:
            raise settings.problem("", "client certificates are required (-Q), but tls-cert-file is not set; set it")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, settings)
    _load_certificate(context, settings, "tls-cert-file", "tls-key-file")
    trusts = _load_trust(context, settings)
    required = certificate_required or settings.verify_clients
    if required and not trusts:
        raise settings.problem(
            "tls-verify-clients", "clients need a certificate, but tls-ca-cert-file does not say whose; set it"
        )
    if trusts:
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """A client's side of TLS; without a CA in ``settings`` it trusts those that the system trusts.

    ``ConfigurationError``: files that are missing or do not fit together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context, settings)
    if not _load_trust(context, settings):
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if "tls-client-cert-file" in settings.settings or "tls-client-key-file" in settings.settings:
        _load_certificate(context, settings, "tls-client-cert-file", "tls-client-key-file")
    return context


def _harden(context: ssl.SSLContext, settings: TlsSettings) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if ciphers := settings.value("tls-ciphers"):
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError as error:
            raise settings.problem("tls-ciphers", f"OpenSSL knows none of the ciphers {ciphers!r}") from error
    if suites := settings.value("tls-ciphersuites"):
        _set_ciphersuites(context, settings, suites)


def _set_ciphersuites(context: ssl.SSLContext, settings: TlsSettings, suites: str) -> None:
    """Python can choose the suites of TLS 1.3 since 3.15. Before, what is not allowed is avoided with TLS 1.2."""
    choose = getattr(context, "set_ciphersuites", None)
    if choose is None:
        available = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.3"}
        if not available <= set(suites.split(":")):
            log.warning("%s: this Python cannot choose TLS 1.3 ciphersuites; TLS 1.2 is used instead", settings.file)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return
    try:
        choose(suites)
    except ssl.SSLError as error:
        raise settings.problem("tls-ciphersuites", f"OpenSSL does not know the suites {suites!r}") from error


def _load_certificate(context: ssl.SSLContext, settings: TlsSettings, certificate: str, key: str) -> None:
    for name, other in ((certificate, key), (key, certificate)):
        if name not in settings.settings:
            raise settings.problem(other, f"{other} is set but {name} is not; set both")
        _check_readable(settings, name)
    chain, private = settings.settings[certificate].value, settings.settings[key].value
    try:
        # Without a function for the password OpenSSL asks the terminal for it, and waits.
        context.load_cert_chain(chain, private, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise settings.problem(
            certificate,
            f"{chain} and the key {private} are no PEM certificate and its key without password ({reason})",
        ) from error


def _load_trust(context: ssl.SSLContext, settings: TlsSettings) -> bool:
    """Trust the configured CAs; False where there are none."""
    for name in ("tls-ca-cert-file", "tls-ca-cert-dir"):
        if not (where := settings.value(name)):
            continue
        _check_readable(settings, name)
        try:
            if name.endswith("dir"):
                context.load_verify_locations(capath=where)
            else:
                context.load_verify_locations(cafile=where)
        except ssl.SSLError as error:
            raise settings.problem(name, f"{where} holds no PEM certificates ({error.reason})") from error
    return "tls-ca-cert-file" in settings.settings or "tls-ca-cert-dir" in settings.settings


def _check_readable(settings: TlsSettings, name: str) -> None:
    path = Path(settings.settings[name].value)
    try:
        if name.endswith("dir"):
            next(path.iterdir(), None)
        else:
            path.open("rb").close()
    except OSError as error:
        raise settings.problem(name, f"{path} cannot be read: {error.strerror}") from error
