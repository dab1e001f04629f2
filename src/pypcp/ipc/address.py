"""Host specifications of clients: ``host:port``, ``unix:``, ``pcps://host?container=web``... See: PCPIntro(1).

    [pcp: | pcps:][//] HOST[:PORT[,PORT]...][@PROXY[:PORT]...][?ATTRIBUTE=VALUE[&...]]
    unix:[//][PATH][?...]        local:[//][PATH][?...]

An IPv6 address is written in brackets. Values of attributes may have ``%XX`` for any character.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeAlias

from pypcp.errors import BadArgument

PMCD_PORT: Final = 44321
PMPROXY_PORT: Final = 44322
MAX_UNIX_PATH_BYTES: Final = 107
"""The longest path of a UNIX socket on Linux, without the NUL."""

# fmt: off
ATTRIBUTES: Final = (
    "secure", "compress", "userauth", "username", "authname", "password", "method", "realm",
    "unixsock", "userid", "groupid", "local", "processid", "container", "exclusive",
)
# fmt: on
"""The names of connection attributes that a specification may have. See: __pmParseHostAttrsSpec(3)."""

_SCHEME: Final = re.compile(r"(unix|local|pcps|pcp):(//)?")
_HOST: Final = re.compile(r"\[(?P<bracketed>[^\]]*)\]|(?P<plain>[^:@?/\[\]]*)")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_CONTAINER: Final = re.compile(r"[A-Za-z0-9._-]+")
# The manual also separates attributes by a comma; values may have one, so it counts only before another attribute.
_SEPARATOR: Final = re.compile(rf"&|,(?=(?:{'|'.join(ATTRIBUTES)})=)")
_ESCAPE: Final = re.compile(rb"%(..?)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    """A TCP address to connect to; ``beyond`` is the pmcd to ask for there where it is a pmproxy."""

    host: str
    port: int
    beyond: tuple[str, int] | None = None

    def __str__(self) -> str:
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"{self.beyond[0]}:{self.beyond[1]} by way of {where}" if self.beyond else where


@dataclass(frozen=True, slots=True)
class UnixEndpoint:
    """A UNIX socket to connect to."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Endpoint: TypeAlias = TcpEndpoint | UnixEndpoint


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A host specification taken apart.

    ``transport`` is ``unix`` (that or nothing), ``local`` (a UNIX socket, else TCP to localhost) or ``tcp``.
    ``socket_path`` is empty where the usual sockets are meant. ``ports`` and ``proxy_ports`` are tried in order and
    never empty. ``secure``: the scheme was ``pcps``. ``attributes`` are pairs in the order written; one without
    ``=`` has the value ``""``.
    """

    text: str
    transport: Literal["tcp", "unix", "local"]
    host: str = "localhost"
    ports: tuple[int, ...] = (PMCD_PORT,)
    socket_path: str = ""
    secure: bool = False
    proxy_host: str = ""
    proxy_ports: tuple[int, ...] = (PMPROXY_PORT,)
    attributes: tuple[tuple[str, str], ...] = ()

    def attribute(self, name: str) -> str | None:
        """The value of a connection attribute, None when it is not given."""
        return dict(self.attributes).get(name)

    def endpoints(self, usual_sockets: Sequence[str | Path]) -> list[Endpoint]:
        """Where to connect, in the order in which to try; see :attr:`pypcp.ipc.paths.Paths.pmcd_sockets`."""
        found: list[Endpoint] = []
        if self.transport != "tcp":
            found += [UnixEndpoint(str(path)) for path in ([self.socket_path] if self.socket_path else usual_sockets)]
        if self.transport != "unix":
            found += self._tcp_endpoints()
        return found

    def _tcp_endpoints(self) -> Iterator[TcpEndpoint]:
        for port in self.ports:
            if not self.proxy_host:
                yield TcpEndpoint(self.host, port)
            for proxy_port in self.proxy_ports if self.proxy_host else ():
                yield TcpEndpoint(self.proxy_host, proxy_port, (self.host, port))


def parse_hostspec(text: str, environ: Mapping[str, str] | None = None) -> HostSpec:
    """Take a host specification apart.

    What is not said comes from ``PMCD_PORT``, ``PMPROXY_HOST`` and ``PMPROXY_PORT`` in ``environ`` (by default ours),
    else from the standard ports. ``BadArgument`` names the character where the text is wrong, and why.
    """
    return _Parser(text, os.environ if environ is None else environ).parse()


class _Parser:
    def __init__(self, text: str, environ: Mapping[str, str]) -> None:
        self._text = text
        self._environ = environ
        self._at = 0

    def parse(self) -> HostSpec:
        for at, character in enumerate(self._text):
            if character.isspace() or not character.isprintable():
                self._fail("a blank or control character", at)
        scheme = _SCHEME.match(self._text)
        if scheme is None:
            return self._tcp(secure=False)
        self._at = scheme.end()
        if scheme[1] == "unix":
            return self._unix("unix")
        if scheme[1] == "local":
            return self._unix("local")
        return self._tcp(secure=scheme[1] == "pcps")

    def _tcp(self, secure: bool) -> HostSpec:
        host = self._host("the host name is missing")
        ports = self._ports() or self._usual_ports("PMCD_PORT", PMCD_PORT)
        proxy, proxy_ports = self._environ.get("PMPROXY_HOST", ""), self._usual_ports("PMPROXY_PORT", PMPROXY_PORT)
        if self._accept("@"):
            proxy = self._host("the name of the proxy is missing")
            proxy_ports = self._ports() or proxy_ports
        return HostSpec(
            text=self._text,
            transport="tcp",
            host=host,
            ports=ports,
            secure=secure,
            proxy_host=proxy,
            proxy_ports=proxy_ports,
            attributes=self._attributes(),
        )

    def _unix(self, transport: Literal["unix", "local"]) -> HostSpec:
        end = self._text.find("?", self._at)
        path = self._text[self._at : end if end >= 0 else len(self._text)]
        if ":" in path:
            self._fail("a socket has no port, and its path no ':'", self._at + path.index(":"))
        # unix:run/x and unix://run/x mean /run/x, as in stock.
        path = "/" + path.lstrip("/") if path.strip("/") else ""
        if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
            self._fail(f"the path of a socket has at most {MAX_UNIX_PATH_BYTES} bytes")
        self._at = end if end >= 0 else len(self._text)
        return HostSpec(
            text=self._text,
            transport=transport,
            ports=self._usual_ports("PMCD_PORT", PMCD_PORT),
            socket_path=path,
            attributes=self._attributes(),
        )

    def _host(self, missing: str) -> str:
        match = _HOST.match(self._text, self._at)
        host = (match["bracketed"] or match["plain"]) if match else ""
        if match is None or not host:
            why = {":": "an IPv6 address must be in brackets", "[": "the closing ']' or the address is missing"}
            self._fail(why.get(self._peek(), missing))
        self._at = match.end()
        return host

    def _ports(self) -> tuple[int, ...]:
        ports: list[int] = []
        while self._accept("," if ports else ":"):
            match = _PORT.match(self._text, self._at)
            if match is None or not 0 < int(match[0]) < 65536:
                self._fail("a port is a number from 1 to 65535 (and an IPv6 address must be in brackets)")
            self._at = match.end()
            ports.append(int(match[0]))
        return tuple(ports)

    def _usual_ports(self, variable: str, default: int) -> tuple[int, ...]:
        # Wrong elements of the variable are passed over, as stock does: here nobody typed them.
        parts = self._environ.get(variable, "").split(",")
        ports = tuple(int(part) for part in parts if _PORT.fullmatch(part) and 0 < int(part) < 65536)
        return ports or (default,)

    def _attributes(self) -> tuple[tuple[str, str], ...]:
        if self._text.startswith("/?", self._at) or self._text[self._at :] == "/":
            self._at += 1
        if self._at == len(self._text):
            return ()
        if not self._accept("?"):
            self._fail(f"{self._peek()!r} is not expected here")
        found: dict[str, str] = {}
        for start, part in self._attribute_parts():
            self._at = start
            name, _, value = part.partition("=")
            if name not in ATTRIBUTES:
                self._fail(f"no attribute {name[:50]!r}; there are {', '.join(ATTRIBUTES)}")
            if name in found:
                self._fail(f"{name} is given twice")
            found[name] = self._value(name, value)
        return tuple(found.items())

    def _attribute_parts(self) -> Iterator[tuple[int, str]]:
        start = self._at
        for match in [*_SEPARATOR.finditer(self._text, start), None]:
            end = match.start() if match else len(self._text)
            if end > start:
                yield start, self._text[start:end]
            start = match.end() if match else end

    def _value(self, name: str, text: str) -> str:
        try:
            value = _ESCAPE.sub(lambda match: bytes.fromhex((match[1] or b"?").decode()), text.encode()).decode()
        except ValueError:
            self._fail(f"the value of {name} has a '%' that two hexadecimal digits do not follow, or is not UTF-8")
        if name == "container" and not _CONTAINER.fullmatch(value):
            self._fail("a container's name is letters, digits, '.', '_' and '-'")
        return value

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _accept(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _fail(self, what: str, at: int | None = None) -> NoReturn:
        place = (self._at if at is None else at) + 1
        raise BadArgument(f"host specification {self._text[:200]!r}, character {place}: {what}")
