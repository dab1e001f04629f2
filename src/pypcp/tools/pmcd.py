"""``pypcp pmcd``: the collector with stock's options and files. See: pmcd(1)."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from pypcp.errors import PcpError
from pypcp.ipc.configuration import ConfigurationError
from pypcp.ipc.listeners import ANY_ADDRESS, Listeners
from pypcp.ipc.paths import PMCD_SOCKET, Paths
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.limits import Limits
from pypcp.pmcd.options import LOOPBACK, PMCD_PORT, Options
from pypcp.pmcd.running import LOOPS, run
from pypcp.pmcd.security import Security
from pypcp.pmcd.sources import Sources
from pypcp.tools.user import accounts_file

_USUAL: Final = Limits()


def main(argv: Sequence[str]) -> int:
    """Run in the foreground until SIGINT or SIGTERM; the exit status."""
    given = _parser().parse_args(argv)
    logging.basicConfig(filename=given.log, format="[%(asctime)s] pmcd(%(process)d) %(levelname)s: %(message)s")
    try:
        _run(given)
    except (PcpError, ConfigurationError, OSError) as error:
        print(f"pmcd: {error}", file=sys.stderr)
        return 1
    return 0


class _Absent(argparse.Action):
    """An option of stock's that is not there: say so instead of doing nothing."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: object) -> NoReturn:
        parser.error(f"{self.option_strings[0]} is not supported; see docs/reference/compatibility.md")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pypcp pmcd", description="Run the collector with stock's options and files.")
    add = parser.add_argument
    add("-f", "--foreground", action="store_true", required=True, help="stay in the foreground")
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
    add("-t", dest="exchange_s", type=float, default=_USUAL.agent_s, metavar="SEC", help="for one exchange")
    add("--loop", choices=LOOPS, default="auto", help="event loop (default: uvloop where installed)")
    add("-Q", "--remotecert", action="store_true", help="clients of other hosts need a certificate")
    add("-S", "--reqauth", action="store_true", help="every client must say who it is")
    for absent in ("-D", "-F", "-T", "-U", "-v", "-x"):
        add(absent, action=_Absent, nargs="?", help=argparse.SUPPRESS)
    return parser


def _run(given: argparse.Namespace) -> None:
    paths = Paths.find()
    options = _options(given, paths)
    file = given.config or paths.config_file("pmcd/pmcd.conf", "PCP_PMCDCONF_PATH")
    sources = Sources(
        configuration=file,
        name_space=given.namespace or given.uniqnames or paths.name_space,
        include_dirs=(paths.name_space.parent,),
        unique_names=given.uniqnames is not None,
    )
    security = Security.load(
        paths.config_file("tls.conf", "PCP_TLSCONF_PATH"),
        accounts_file(paths),
        credentials_required=given.reqauth,
        certificate_required=given.remotecert,
    )
    state = paths.state_dir / "instances"
    with Listeners.open(addresses=options.addresses, ports=options.ports, unix_path=options.socket) as listeners:
        daemon = Daemon(options, (), sources, security=security, state=state)
        run(daemon, listeners, given.loop, lambda: None)


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
            pdu_s=given.exchange_s,
            agent_s=given.exchange_s,
            agent_hello_s=given.agent_hello_s,
            contexts=given.maxctx,
            metrics=given.maxmetric,
        ),
    )
