"""pmcd.log: the form that people and stock's tools read, or a JSON object a line for programs. See: pmcd(1).

The functions make text of plain data; :func:`handler` makes the log itself.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from pypcp.pmcd.access import AccessRules, AccountEntry, Connections, HostEntry
from pypcp.pmcd.access_statements import Operation, Permissions


def started(host: str, when: float) -> str:
    """The first lines; ``when`` in seconds since 1970."""
    return f"Log for pmcd on {host} started {time.ctime(when)}\n"


def finished(when: float) -> str:
    """The last lines."""
    return f"\nLog finished {time.ctime(when)}"


def not_started(why: str, log: Path | None) -> str:
    """What is left in the file of ``pmcd -x``: the reason, and the log where it tells of this start and no other."""
    try:
        said = "" if log is None else log.read_text(errors="replace")
    except OSError:
        said = ""
    of_this = f'The log "{log}":\n{said}' if why.partition("\n")[0] in said else ""
    return f"NOTE: pmcd not started due to errors!\n{why}\n{of_this}"


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent. ``pid``: None for one in this process; ``descriptors``: where it is read and where written.

    ``protocol`` as :func:`dso`, :func:`pipe` and :func:`socket` give it.
    """

    label: str
    domain: int
    protocol: str
    pid: int | None = None
    descriptors: tuple[int, int] | None = None
    version: int = 2


def dso(path: str, entry: str, interface: int, address: int = 0) -> str:
    """The protocol column of an agent in this process; ``address`` is where its entry is."""
    return f"dso i:{interface}  lib={path} entry={entry} [{address:#x}]"


def pipe(command: Sequence[str]) -> str:
    """The protocol column of an agent on a pipe."""
    return f"bin pipe cmd={_command(command)}"


def socket(family: str, address: int | str, command: Sequence[str] = ()) -> str:
    """The protocol column of an agent on a socket: ``inet``, ``ipv6`` or ``unix``."""
    tail = f" cmd={_command(command)}" if command else ""
    return f"bin sock dom={family} port={address}{tail}"


def _command(words: Sequence[str]) -> str:
    escaped = (word.replace('"', '\\"') for word in words)
    return " ".join(f'"{word}"' if re.search(r"\s", word) else word for word in escaped)


def agent_table(agents: Iterable[AgentRow]) -> str:
    """Who answers for which domain, and how."""
    lines = [
        "",
        "active agent dom   pid  in out ver protocol parameters",
        "============ === ===== === === === ======== ==========",
    ]
    for agent in agents:
        pid = "" if agent.pid is None else agent.pid
        fds = f"{agent.descriptors[0]:3} {agent.descriptors[1]:3}" if agent.descriptors else f"{'':7}"
        lines.append(f"{agent.label:12} {agent.domain:3} {pid:>5} {fds} {agent.version:3} {agent.protocol}")
    return "\n".join(lines)


_WIDE: Final = "=" * 39
_OPERATIONS: Final = tuple(Operation)


def access_tables(rules: AccessRules, connections: Connections) -> str:
    """Who may do what, and who is connected: hosts, users, groups."""
    users = ("user", "uid", "group-list", rules.users)
    groups = ("group", "gid", "user-list", rules.groups)
    return "\n".join(
        [
            "",
            *_host_table(rules.hosts, connections),
            *_account_table(*users, connections),
            *_account_table(*groups, connections),
            "",
        ]
    )


def _host_table(hosts: Sequence[HostEntry], connections: Connections) -> list[str]:
    if not hosts:
        return ["Host access list empty: host-based access control turned off"]
    lines = [
        "Host access list:",
        f"00 01 Cur/MaxCons {'host-spec':39} {'host-mask':39} lvl host-name",
        f"== == =========== {_WIDE} {_WIDE} === ==============",
    ]
    for entry in hosts:
        address, mask = entry.pattern.texts()
        lines.append(f"{_columns(entry, connections)} {address:39} {mask:39} {entry.pattern.level:3} {entry.name}")
    return lines


def _account_table(
    kind: str, number: str, members: str, entries: Sequence[AccountEntry], connections: Connections
) -> list[str]:
    if not entries:
        return [f"{kind.capitalize()} access list empty: {kind}-based access control turned off"]
    lines = [
        f"{kind.capitalize()} access list:",
        f"00 01 Cur/MaxCons {number:>7} {kind + '-name':31} {members}",
        f"== == =========== ======= {'=' * 31} {'=' * 58}",
    ]
    for entry in reversed(entries):
        ident = "*" if entry.ident is None else entry.ident
        belonging = " " + ",".join(f"{key}({name})" for key, name in entry.members.items())
        lines.append(
            f"{_columns(entry, connections)} {ident:>7} {entry.name:31}{'' if entry.ident is None else belonging}"
        )
    return lines


def _columns(entry: HostEntry | AccountEntry, connections: Connections) -> str:
    may = " ".join(_may(entry.permissions, operation) for operation in _OPERATIONS)
    return f"{may} {connections.count(entry):5} {entry.permissions.maximum:5}"


def _may(permissions: Permissions, operation: Operation) -> str:
    if not operation & permissions.specified:
        return "  "
    return " n" if operation & permissions.denied else " y"


def process_line(pid: int) -> str:
    """Who wrote the log."""
    return f"\npmcd: PID = {pid}, PDU version = 2"


@dataclass(frozen=True, slots=True)
class PortRow:
    """One listening socket. ``family``: inet, ipv6 or unix; ``port`` None for a Unix socket."""

    fd: int
    family: str
    address: str
    port: int | None = None


def port_table(ports: Iterable[PortRow]) -> str:
    """Where clients can connect."""
    lines = ["pmcd request port(s):", "  sts fd   port  family address", "  === ==== ===== ====== ======="]
    for row in ports:
        port = "" if row.port is None else row.port
        lines.append(f"  ok  {row.fd:4} {port:>5} {row.family:6} {row.address}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One client: where it is, its protocol's version, what it may not do."""

    fd: int
    peer: str
    version: int
    denied: Operation


def restarted(when: float, clients: Iterable[ClientRow]) -> str:
    """The banner of a reload, and who is connected."""
    return "\n".join(
        [f"\n\npmcd RESTARTED at {time.ctime(when)}\n\n", "Current PMCD clients ...", *_client_table(clients)]
    )


def connected(when: float, clients: Iterable[ClientRow]) -> str:
    """Who is connected, when somebody wants to know."""
    return "\n".join([f"\n->Current PMCD clients at {time.ctime(when)}", *_client_table(clients)])


def _client_table(clients: Iterable[ClientRow]) -> list[str]:
    lines = [
        "     fd  client connection from                    ipc ver  operations denied",
        "     ==  ========================================  =======  =================",
    ]
    for client in clients:
        denied = "".join(f"{operation.name} " for operation in _OPERATIONS if operation & client.denied).lower()
        lines.append(f"    {client.fd:3}  {client.peer:40}  {client.version:7}  {denied}")
    return [*lines, ""]


# The log itself.

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


def block(log: logging.Logger, event: str, text: str, **fields: Any) -> None:
    """Log ``text`` as it stands, without a date before it; in a structured log ``event`` and ``fields`` instead."""
    log.info(text, extra={"event": event, "fields": fields, "block": True})


def handler(stream: TextIO, *, structured: bool = False) -> logging.Handler:
    """What writes a log to ``stream``: in stock's form, or a JSON object a line."""
    made = logging.StreamHandler(stream)
    made.setFormatter(StructuredFormatter() if structured else StockFormatter())
    return made


class StockFormatter(logging.Formatter):
    """``[Sat Nov 21 08:23:14] pmcd(PID) Info: text``; what peers may have put into the text cannot fake a line."""

    def format(self, record: logging.LogRecord) -> str:
        text = _with_traceback(self, record).translate(_CONTROL)
        if getattr(record, "block", False):
            return text
        level = record.levelname.capitalize()
        return f"[{time.ctime(record.created)[:19]}] pmcd({os.getpid()}) {level}: {_indented(text)}"


class StructuredFormatter(logging.Formatter):
    """An object a line: ``time`` (UTC, ISO 8601), ``level``, ``pid``, ``logger``, then ``event`` with its fields or
    ``message``.
    """

    def format(self, record: logging.LogRecord) -> str:
        seconds, _, fraction = f"{record.created:.3f}".partition(".")
        entry: dict[str, Any] = {
            "time": time.strftime(f"%Y-%m-%dT%H:%M:%S.{fraction}Z", time.gmtime(int(seconds))),
            "level": record.levelname.lower(),
            "pid": os.getpid(),
            "logger": record.name,
        }
        if event := getattr(record, "event", ""):
            entry |= {"event": event, **getattr(record, "fields", {})}
        else:
            entry["message"] = _with_traceback(self, record)
        return json.dumps(entry, default=str)


def _with_traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = record.getMessage()
    return f"{text}\n{formatter.formatException(record.exc_info)}" if record.exc_info else text


def _indented(text: str) -> str:
    """A line of its own begins at the margin; what continues one does not."""
    return text.replace("\n", "\n    ")
