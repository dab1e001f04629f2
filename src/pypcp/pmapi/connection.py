"""What a context keeps from one connection to the next: where to connect, what to ask for, how long to wait."""

from __future__ import annotations

import errno
import itertools
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pypcp.errors import PcpError, TlsError, from_code
from pypcp.ipc.address import Endpoint, HostSpec, UnixEndpoint, parse_hostspec
from pypcp.ipc.configuration import ConfigurationError
from pypcp.ipc.paths import Paths
from pypcp.ipc.tls import TlsSettings, client_context
from pypcp.pmapi.link import Link, Moves
from pypcp.pmapi.operations.connect import Security, Wishes, connect
from pypcp.pmapi.operations.sasl import Credentials
from pypcp.pmapi.operations.state import ContextState
from pypcp.wire.versions import Channel

_BACKOFF_S = (5, 10, 20, 40, 80)
_CREDENTIALS = ("username", "password", "method", "authname")
_HANDLES = itertools.count()  # of contexts in this process; none is used twice


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for a connection, for each reply, and between attempts to connect again."""

    connect_s: float = 5.0
    request_s: float = 10.0
    reconnect_s: tuple[float, ...] = _BACKOFF_S

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Patience:
        """``PMCD_CONNECT_TIMEOUT``, ``PMCD_REQUEST_TIMEOUT`` (seconds), ``PMCD_RECONNECT_TIMEOUT`` (a comma list).

        What is no positive number is passed over. See: PCPIntro(1).
        """
        backoff = [_positive(part) for part in environment.get("PMCD_RECONNECT_TIMEOUT", "").split(",")]
        return cls(
            _positive(environment.get("PMCD_CONNECT_TIMEOUT", "")) or cls.connect_s,
            _positive(environment.get("PMCD_REQUEST_TIMEOUT", "")) or cls.request_s,
            tuple(seconds for seconds in backoff if seconds) or _BACKOFF_S,
        )


def _positive(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


class Backoff:
    """When a lost connection may be tried again: later with each failure in a row. See: pmReconnectContext(3)."""

    def __init__(self, waits_s: tuple[float, ...]) -> None:
        self._waits_s = waits_s
        self._failures = 0
        self._not_before_s = 0.0

    def check(self, now_s: float) -> None:
        """Raises ``-ETIMEDOUT``, as the C library does, when it is too early."""
        if now_s < self._not_before_s:
            raise from_code(-errno.ETIMEDOUT, f"pmcd is tried again in {self._not_before_s - now_s:.1f} s")

    def failed(self, now_s: float) -> None:
        """An attempt failed."""
        self._not_before_s = now_s + self._waits_s[min(self._failures, len(self._waits_s) - 1)]
        self._failures += 1

    def succeeded(self) -> None:
        """We are connected."""
        self._failures, self._not_before_s = 0, 0.0


def wishes_of(spec: HostSpec, endpoint: object, container: str, environment: Mapping[str, str] = os.environ) -> Wishes:
    """What a host specification, and ``PCP_SECURE_SOCKETS`` and ``PCP_CONTAINER``, ask for. See: pmNewContext(3)."""
    told = dict(spec.attributes)
    username, password, method, authname = (told.get(name, "") for name in _CREDENTIALS)
    return Wishes(
        security=_security(spec, environment),
        credentials=Credentials(username, password, method, authname) if told.keys() & set(_CREDENTIALS) else None,
        container=container or told.get("container") or environment.get("PCP_CONTAINER", ""),
        local=spec.transport != "tcp" or "localhost" in spec.host,
        unix=isinstance(endpoint, UnixEndpoint),
        pid=os.getpid(),
    )


def _security(spec: HostSpec, environment: Mapping[str, str]) -> Security:
    asked = "enforce" if spec.secure else spec.attribute("secure")
    if asked is None:
        asked = environment.get("PCP_SECURE_SOCKETS", "none")
    known = {"none": Security.NONE, "relaxed": Security.RELAXED}
    return known.get(asked, Security.ENFORCED)


class Line:
    """What a context has besides a stream, and keeps from one connection to the next."""

    def __init__(self, host: str, container: str, patience: Patience | None, tls: ssl.SSLContext | None) -> None:
        self.spec = parse_hostspec(host)
        self.patience = patience or Patience.from_environment()
        self.state = ContextState(Channel(), handle=next(_HANDLES))
        self.link = Link(self.state.channel)
        self._container = container
        self._tls = tls
        self._backoff = Backoff(self.patience.reconnect_s)

    def endpoints(self) -> list[Endpoint]:
        """Where to try to connect, in this order."""
        return self.spec.endpoints(Paths.find().pmcd_sockets)

    @contextmanager
    def attempt(self, clock: Callable[[], float]) -> Iterator[None]:
        """Around an attempt to connect: refused while it is too early, and counted when it fails."""
        self._backoff.check(clock())
        try:
            yield
        except PcpError:
            self._backoff.failed(clock())
            raise
        self._backoff.succeeded()

    def open(self, endpoint: object) -> Moves[None]:
        """The opening of the conversation on a new connection to ``endpoint``."""
        self.state.channel = Channel(socket=True)
        self.link = Link(self.state.channel)
        return self.link.perform(self.state, connect(self.state, wishes_of(self.spec, endpoint, self._container)))

    def tls(self) -> ssl.SSLContext:
        """Whom to trust, and who we are: what the caller gave, else what ``tls.conf`` says, else the system."""
        if self._tls is None:
            try:
                settings = TlsSettings.load(Paths.find().config_file("tls.conf", "PCP_TLSCONF_PATH"))
                self._tls = client_context(settings)
            except (ConfigurationError, OSError) as error:
                raise TlsError(str(error)) from error
        return self._tls
