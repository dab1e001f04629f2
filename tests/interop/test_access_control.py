"""The same access statements, given to stock's pmcd and to our rules: the same tables, the same refusals."""

import os
import pwd
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from peers import STOCK_PATH, Daemon, StockPmcd, clean_environment, require, stock
from pypcp.errors import PermissionDenied
from pypcp.ipc.blocking import BlockingStream
from pypcp.ipc.configuration import ConfigurationError
from pypcp.model.ids import Pmid
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmcd.access import AccessRules, Connections
from pypcp.pmcd.access_compiler import compile_rules
from pypcp.pmcd.access_names import SystemAccounts, hosts
from pypcp.pmcd.access_statements import Operation
from pypcp.pmcd.config import load, parse
from pypcp.pmcd.logfile import access_tables
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Feature, decode, encode
from pypcp.wire.result import Result

REGISTER = Pmid.build(2, 0, 8)

STATEMENTS = {
    "as stock ships it": 'disallow ".*" : store; disallow ":*" : store; allow "local:*" : all;',
    "wildcards of every form": """
        allow * : all except store;
        disallow 10.1.2.3 : fetch;  allow 10.1.2.* : all, maximum 5 connections;  disallow 10.1.* : store;
        disallow 10.* : all except store;  disallow "fe80::1" : all;  allow "1:2:*", "1::3:*", "fd00::*" : store;
        allow "1:2:3:4:5:6:7:*" : fetch;
    """,
    "localhost may fetch, the rest nothing": 'disallow .*:all; allow localhost : fetch; disallow "unix:/x" : store;',
    "only the Unix socket": 'allow "unix:" : all; disallow * : all;',
    "nothing for this host": "disallow localhost : all;",
    "statements that add up": "allow 127.0.0.1 : store; disallow 127.0.0.1 : fetch; allow .* : maximum 9 connections;",
    "users": "disallow user * : store; allow users root, nobody : all; disallow user daemon : fetch, store;",
    "an implicit wildcard": "allow users daemon, nobody : fetch;",
    "groups": "allow groups root, daemon : all, maximum 20 connections; disallow group nogroup : store;",
    "users, groups and hosts": "allow user root : all; disallow group root : store; disallow host .* : fetch;",
}


def compiled(statements: str) -> AccessRules:
    return compile_rules(parse(f"[access]\n{statements}", "f").statements, hosts(), SystemAccounts())


@pytest.fixture(scope="module", params=STATEMENTS.values(), ids=STATEMENTS.keys())
def both(request: pytest.FixtureRequest) -> object:
    """A stock pmcd with the statements, and our rules of them."""
    rules = compiled(request.param)
    with StockPmcd(("pmcd",), configuration=f"[access]\n{request.param}\n") as daemon:
        daemon.directory.chmod(0o755)
        yield daemon, rules


def operations(daemon: Daemon, address: str | None) -> str:
    """What a client from this address, or on the Unix socket, can do: "refused", or of f(etch) and s(tore)."""
    sock = socket.socket(socket.AF_UNIX if address is None else socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.connect(str(daemon.socket) if address is None else (address, daemon.port))
    with BlockingStream(sock) as stream:
        challenge = decode(stream.receive(5))
        assert isinstance(challenge, Challenge)
        if challenge.code:
            assert challenge.code == PermissionDenied.code
            return "refused"
        stream.send(encode(Creds()))
        if address and challenge.features & Feature.CREDS_REQD:
            refusal = decode(stream.receive(5))
            assert isinstance(refusal, Error)
            assert refusal.code == PermissionDenied.code
            return "refused"
        return _can_fetch(stream) + _can_store(stream)


def _can_fetch(stream: BlockingStream) -> str:
    stream.send(encode(DescRequest(REGISTER)))
    reply = decode(stream.receive(5))
    if isinstance(reply, Error) and reply.code == PermissionDenied.code:
        return ""
    assert isinstance(reply, DescReply)
    return "f"


def _can_store(stream: BlockingStream) -> str:
    stream.send(encode(Result(0, [ValueSet(REGISTER, [0], [1], type=ValueType.I32)])))
    reply = decode(stream.receive(5))
    assert isinstance(reply, Error)
    assert reply.code in (0, PermissionDenied.code)
    return "" if reply.code else "s"


def predicted(rules: AccessRules, address: str | None, uid: int | None, gid: int | None) -> str:
    host, account = rules.for_host(address).denied, rules.for_account(uid, gid).denied
    if host == ~Operation(0) or (address and account == ~Operation(0)):
        return "refused"
    return "".join(
        letter for letter, op in (("f", Operation.FETCH), ("s", Operation.STORE)) if not op & (host | account)
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", None])
def test_the_same_operations_are_refused(both: tuple[StockPmcd, AccessRules], address: str | None) -> None:
    daemon, rules = both
    ids = (os.geteuid(), os.getegid()) if address is None else (None, None)
    assert operations(daemon, address) == predicted(rules, address, *ids)


@pytest.mark.parametrize("name", ["root", "nobody", "daemon", "bin"])
def test_the_same_accounts_may_fetch(both: tuple[StockPmcd, AccessRules], name: str) -> None:
    daemon, rules = both
    require(os.geteuid() == 0, "root, to become other users")
    account = pwd.getpwnam(name)
    uid, gid = account.pw_uid, account.pw_gid
    probe = [str(shutil.which("pminfo", path=STOCK_PATH)), "-h", daemon.unix, "-d", "pmcd.numagents"]
    run = subprocess.run(
        probe, user=uid, group=gid, extra_groups=[], env=clean_environment(), capture_output=True, timeout=20
    )
    assert (run.returncode == 0) == predicted(rules, None, uid, gid).startswith("f"), run.stdout + run.stderr


def test_the_tables_in_the_log_are_the_same(both: tuple[StockPmcd, AccessRules]) -> None:
    daemon, rules = both
    match = re.search(r"\nHost access list.*?(?=\n\npmcd: PID)", daemon.log, re.DOTALL)
    assert match
    assert _without_counts(access_tables(rules, Connections())) == _without_counts(match[0])


def _without_counts(tables: str) -> list[str]:
    return [line[:6] + line[12:] if re.match(" [yn ] ", line) else line for line in tables.splitlines()]


REFUSED = [
    "allow 1.2.3.4 : fetch; disallow 1.2.3.4 : fetch;",
    "allow * : maximum 3 connections; allow * : maximum 4 connections, fetch;",
    'disallow * : fetch; allow "unix:" : fetch;',
    "allow users nosuchuser : all;",
    "allow 1.2.*.* : fetch;",
    "allow 12* : fetch;",
    'allow "ffff1:*" : fetch;',
    "allow 1.2.3.4 : all, fetch;",
    "allow 1.2.3.4 : all except all;",
    "allow 1.2.3.4 : all except maximum 3 connections;",
    "disallow 1.2.3.4 : maximum 3 connections;",
    "allow 1.2.3.4 : maximum 0 connections;",
    "allow 1.2.3.4, : fetch;",
    "allow 1.2.3.4 : fetch",
    "allow host : all;",
    "allow fe80::1 : all;",
    "disallow nosuch.invalid : all;",
    "",
]


@pytest.mark.parametrize("statements", REFUSED)
def test_what_stock_refuses_is_refused(statements: str, tmp_path: Path) -> None:
    (tmp_path / "pmcd.conf").write_text(f"pmcd 2 dso pmcd_init /x.so\n[access]\n{statements}\n")
    assert stock("pmcd", "-v", "-c", tmp_path / "pmcd.conf").returncode == 1
    with pytest.raises(ConfigurationError):
        compile_rules(load(tmp_path / "pmcd.conf").statements, hosts(), SystemAccounts())


AGENTS_REFUSED = [
    "x 3 pipe text /bin/x",
    "x 3 pipe binary notready",
    "x 3 dso a b",
    "x 3 dso a /b c",
    "x 511 dso a /b",
    "x 0x3 dso a /b",
    "x",
    "x 3 exec y",
    "x 3 socket tcp 33",
    "x 3 socket inet nosuchservice",
    "x 3 dso a /b\ny 3 dso a /b",
    'x 3 dso a "/b',
    "[accesses]",
]


@pytest.mark.parametrize("lines", AGENTS_REFUSED)
def test_agents_that_stock_refuses_are_refused(lines: str, tmp_path: Path) -> None:
    (tmp_path / "pmcd.conf").write_text(f"{lines}\n")
    assert stock("pmcd", "-v", "-c", tmp_path / "pmcd.conf").returncode == 1
    with pytest.raises(ConfigurationError):
        load(tmp_path / "pmcd.conf")
