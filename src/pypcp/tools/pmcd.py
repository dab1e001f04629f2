"""``pypcp pmcd``: the collector with stock's options and files. See: pmcd(1)."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, TextIO

from pypcp.errors import BadArgument, PcpError
from pypcp.ipc.configuration import ConfigurationError
from pypcp.ipc.listeners import ANY_ADDRESS, Listeners
from pypcp.ipc.paths import PMCD_SOCKET, Paths
from pypcp.pmcd import journal, logfile
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.gate import rules_of
from pypcp.pmcd.limits import Limits
from pypcp.pmcd.options import LOOPBACK, PMCD_PORT, Options, Places
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.running import LOOPS, run
from pypcp.pmcd.security import Security
from pypcp.pmcd.sources import Sources
from pypcp.tools.user import accounts_file

_USUAL: Final = Limits()


def main(argv: Sequence[str]) -> int:
    """Run in the foreground until SIGINT or SIGTERM; the exit status."""
    given = _parser().parse_args(argv)
    try:
        if given.verify:
            return _verify(given, Paths.find())
        if not given.foreground:
            raise BadArgument(
                "pypcp pmcd stays in the foreground: give -f, and let systemd or a shell put it elsewhere"
            )
        with _log(given) as stream:
            _run(given)
            stream.write(f"{logfile.finished(time.time())}\n")
    except (PcpError, ConfigurationError, OSError) as error:
        print(f"pmcd: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _log(given: argparse.Namespace) -> Iterator[TextIO]:
    """The log, on standard error or in its file, with its first line."""
    with nullcontext(sys.stderr) if given.log is None else given.log.open("w") as stream:
        logging.root.addHandler(logfile.handler(stream, structured=given.structured_log))
        logging.root.setLevel(logging.INFO)
        stream.write(f"{logfile.started(given.hostname or socket.gethostname(), time.time())}\n")
        yield stream


class _Absent(argparse.Action):
    """An option of stock's that is not there: say so instead of doing nothing."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: object) -> NoReturn:
        parser.error(f"{self.option_strings[0]} is not supported; see docs/reference/compatibility.md")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pypcp pmcd", description="Run the collector with stock's options and files.")
    add = parser.add_argument
    add("-f", "--foreground", action="store_true", help="stay in the foreground (needed: there is no other way)")
    add("-A", action="store_true", help="no mDNS advertisement (there is none in any case)")
    add("-c", "--config", type=Path, help="configuration (default: pmcd/pmcd.conf in the configuration directories)")
    add("-C", "--maxctx", type=int, default=_USUAL.contexts, metavar="N", help="contexts of one client")
    add("-H", "--hostname", default="", help="value of pmcd.hostname")
    add("-i", "--interface", action="append", metavar="ADDR", help="address to listen on, may be repeated")
    add("-l", "--log", type=Path, help="log file (default: standard error)")
    add("-L", "--maxbytes", type=int, default=_USUAL.pdu_bytes, metavar="N", help="largest PDU taken from a client")
    add("-M", "--maxmetric", type=int, default=_USUAL.metrics, metavar="N", help="metrics in one fetch")
    add("-n", "--namespace", type=Path, help="name space; several names of one metric are allowed")
    add("-N", "--uniqnames", type=Path, help="name space; each metric has one name")
    add("-p", "--port", action="append", help="TCP ports, comma separated, may be repeated")
    add(
        "-q", dest="agent_hello_s", type=float, default=_USUAL.agent_hello_s, metavar="SEC", help="for an agent's hello"
    )
    add("-s", "--socket", type=Path, help="path of the UNIX socket")
    add(
        "-t", dest="exchange_s", type=float, default=_USUAL.agent_s, metavar="SEC", help="for one exchange; 0: no limit"
    )
    add("-v", "--verify", action="store_true", help="say what is wrong with the configuration, and exit")
    add("--structured-log", action="store_true", help="log a JSON object a line")
    add("--loop", choices=LOOPS, default="auto", help="event loop (default: uvloop where installed)")
    add("-Q", "--remotecert", action="store_true", help="clients of other hosts need a certificate")
    add("-S", "--reqauth", action="store_true", help="every client must say who it is")
    for absent in ("-D", "-F", "-T", "-U", "-x"):
        add(absent, action=_Absent, nargs="?", help=argparse.SUPPRESS)
    return parser


def _sources(given: argparse.Namespace, paths: Paths) -> Sources:
    return Sources(
        configuration=given.config or paths.config_file("pmcd/pmcd.conf", "PCP_PMCDCONF_PATH"),
        # Without stock's file the names are those of the agents here.
        name_space=given.namespace or given.uniqnames or (paths.name_space if paths.name_space.exists() else None),
        include_dirs=(paths.name_space.parent,),
        unique_names=given.uniqnames is not None,
    )


def _verify(given: argparse.Namespace, paths: Paths) -> int:
    """Read what a start would read; the errors name file and line."""
    rules = rules_of(_sources(given, paths).read_configuration().statements)
    for warning in rules.warnings:
        print(f"pmcd: {warning}", file=sys.stderr)
    return 0


def _run(given: argparse.Namespace) -> None:
    paths = Paths.find()
    options = _options(given, paths)
    security = Security.load(
        paths.config_file("tls.conf", "PCP_TLSCONF_PATH"),
        accounts_file(paths),
        credentials_required=given.reqauth,
        certificate_required=given.remotecert,
    )
    # Agents are started in the log directory, as stock's are: many write their logs where they stand.
    directory = paths.make(given.log.parent if given.log is not None else paths.log_dir)
    state = paths.state_dir / "instances"
    with Listeners.open(addresses=options.addresses, ports=options.ports, unix_path=options.socket) as listeners:
        daemon = Daemon(
            options,
            (),
            _sources(given, paths),
            security=security,
            state=state,
            directory=directory,
            helper=_helper(paths),
        )
        daemon.reloaded = partial(journal.reloaded, daemon)
        run(daemon, listeners, given.loop, partial(journal.opened, daemon, listeners))


def _helper(paths: Paths) -> Helper | None:
    """pmdaroot, where we are told (by a helper that started us) or where stock has it; PMCD_ROOT_AGENT=0: none."""
    if os.environ.get("PMCD_ROOT_AGENT") == "0":
        return None
    if told := os.environ.get("PMDA_ROOT_SOCKET"):
        return Helper(Path(told))
    return Helper(Path(paths.settings.get("PCP_VAR_DIR", "/var/lib/pcp")) / "pmcd" / "root.socket")


def _options(given: argparse.Namespace, paths: Paths) -> Options:
    ports = given.port or [os.environ.get("PMCD_PORT", str(PMCD_PORT))]
    usual = LOOPBACK if os.environ.get("PMCD_LOCAL") == "1" else ANY_ADDRESS
    return Options(
        ports=tuple(int(port) for listed in ports for port in listed.split(",")),
        addresses=tuple(given.interface or usual),
        socket=given.socket or paths.make(paths.run_dir) / PMCD_SOCKET,
        hostname=given.hostname,
        limits=Limits(
            pdu_bytes=given.maxbytes,
            agent_hello_s=given.agent_hello_s,
            contexts=given.maxctx,
            metrics=given.maxmetric,
            agent_restarts=os.environ.get("PMCD_RESTART_AGENTS") != "0",
        ).with_exchange_s(given.exchange_s),
        places=Places.of(paths),
    )
