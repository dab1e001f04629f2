"""``pypcp pmcd``: the collector with stock's options and files. See: pmcd(1)."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from pypcp.errors import BadArgument, PcpError
from pypcp.ipc.configuration import ConfigurationError
from pypcp.ipc.listeners import ANY_ADDRESS, Listeners
from pypcp.ipc.paths import PMCD_SOCKET, Paths
from pypcp.pmcd import debug_flags, journal, logfile
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.daemonize import daemonize
from pypcp.pmcd.gate import rules_of
from pypcp.pmcd.limits import Limits
from pypcp.pmcd.options import LOOPBACK, PMCD_PORT, Options, Places
from pypcp.pmcd.privileged import Helper
from pypcp.pmcd.process import Mode, Process
from pypcp.pmcd.running import LOOPS, run
from pypcp.pmcd.security import Security
from pypcp.pmcd.sources import Sources
from pypcp.pmcd.trace import TraceFlag
from pypcp.tools.user import accounts_file

log = logging.getLogger(__name__)

_USUAL: Final = Limits()
_T = TypeVar("_T")
_TROUBLE: Final = (PcpError, ConfigurationError, OSError)


def main(argv: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM, in the foreground or in a daemon; the exit status of this process."""
    given = _parser().parse_args(argv)
    try:
        paths = Paths.find()
        if given.verify:
            return _verify(given, paths)
        process = Process.plan(given.mode, paths, log=given.log, username=given.username, words=argv)
    except _TROUBLE as error:
        return _not_started(str(error), given)
    start = partial(_start, given, process)
    failure = daemonize(start) if process.mode is Mode.BACKGROUND else start(lambda: None)
    return _not_started(failure, given, process.log) if failure else 0


def _not_started(why: str, given: argparse.Namespace, log: Path | None = None) -> int:
    """Say why, where -x wants it too; the exit status."""
    print(f"pmcd: {why}", file=sys.stderr)
    if given.fatal is not None:
        try:
            given.fatal.write_text(logfile.not_started(why, log))
        except OSError as error:
            print(f"pmcd: {error}", file=sys.stderr)
    return 1


def _start(given: argparse.Namespace, process: Process, serves: Callable[[], None]) -> str:
    """Serve, and call ``serves`` when clients can come; "" after an orderly end, else why there was none."""
    try:
        options = _options(given, process)
        # Before the log, which may be that of the daemon that has the ports already.
        with (
            Listeners.open(addresses=options.addresses, ports=options.ports, unix_path=options.socket) as listeners,
            _log(given, process),
            process,
        ):
            _run(given, options, process, listeners, serves)
    except _TROUBLE as error:
        return str(error)
    return ""


@contextmanager
def _log(given: argparse.Namespace, process: Process) -> Iterator[None]:
    """The log, on standard error or in its file, with its first and last lines."""
    with process.open_log() as stream:
        logging.root.addHandler(logfile.handler(stream, structured=given.structured_log))
        logging.root.setLevel(logging.INFO)
        stream.write(f"{logfile.started(given.hostname or socket.gethostname(), time.time())}\n")
        try:
            yield
        except _TROUBLE as error:
            if process.log is not None:  # else it is said there anyway
                log.critical("%s", error)
            raise
        finally:
            stream.write(f"{logfile.finished(time.time())}\n")


def _checked(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """The value of an option; what is none is an error in the use of the command."""

    def checked(text: str) -> _T:
        try:
            return read(text)
        except BadArgument as error:
            raise argparse.ArgumentTypeError(error.detail) from None

    return checked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pypcp pmcd", description="Run the collector with stock's options and files.")
    add = parser.add_argument
    modes = parser.add_mutually_exclusive_group()
    mode = partial(modes.add_argument, dest="mode", action="store_const", default=Mode.BACKGROUND)
    mode("-f", "--foreground", const=Mode.FOREGROUND, help="stay in the foreground, without pid file, as who calls it")
    mode("-F", "--managed", const=Mode.MANAGED, help="stay in the foreground, with pid file and as the account of -U")
    add("-A", action="store_true", help="no mDNS advertisement (there is none in any case)")
    add("-c", "--config", type=Path, help="configuration (default: pmcd/pmcd.conf in the configuration directories)")
    add("-C", "--maxctx", type=int, default=_USUAL.contexts, metavar="N", help="contexts of one client")
    add(
        *("-D", "--debug"),
        type=_checked(debug_flags.flags_of),
        default=frozenset(),
        metavar="FLAGS",
        help="log more: names of pmdbg(1) with commas between, or a number",
    )
    add("-H", "--hostname", default="", help="value of pmcd.hostname")
    add("-i", "--interface", action="append", metavar="ADDR", help="address to listen on, may be repeated")
    add("-l", "--log", type=Path, help="log file (default: pmcd/pmcd.log of the log directory; -f, -F: standard error)")
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
    add(
        *("-T", "--trace"),
        dest="traced",
        type=_checked(TraceFlag.of),
        default=TraceFlag.NOTHING,
        metavar="BITS",
        help="trace 1: connections, 2: PDUs; 256: and log them at once",
    )
    add("-U", "--username", metavar="USER", help="account that root's daemon becomes (default: PCP_USER, which is pcp)")
    add("-x", dest="fatal", type=Path, metavar="FILE", help="where it is written too why it did not start")
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


def _run(
    given: argparse.Namespace, options: Options, process: Process, listeners: Listeners, serves: Callable[[], None]
) -> None:
    paths = process.paths
    traced = given.traced | debug_flags.switch_on(given.debug)
    if process.mode is Mode.FOREGROUND and given.username:
        log.warning("-U has no effect with -f: it goes on as who called it")
    security = Security.load(
        paths.config_file("tls.conf", "PCP_TLSCONF_PATH"),
        accounts_file(paths),
        credentials_required=given.reqauth,
        certificate_required=given.remotecert,
    )
    # Agents are started in the log directory, as stock's are: many write their logs where they stand.
    directory = process.directory(process.log.parent if process.log is not None else paths.log_dir)
    state = process.private_directory(paths.state_dir / "instances")
    daemon = Daemon(
        options,
        (),
        _sources(given, paths),
        security=security,
        state=state,
        directory=directory,
        helper=_helper(paths),
    )
    daemon.trace.begin(traced, daemon.statistics)
    daemon.reloaded = partial(journal.reloaded, daemon)

    def ready() -> None:
        process.serves()
        journal.opened(daemon, listeners)
        serves()

    run(daemon, listeners, given.loop, ready)


def _helper(paths: Paths) -> Helper | None:
    """pmdaroot, where we are told (by a helper that started us) or where stock has it; PMCD_ROOT_AGENT=0: none."""
    if os.environ.get("PMCD_ROOT_AGENT") == "0":
        return None
    if told := os.environ.get("PMDA_ROOT_SOCKET"):
        return Helper(Path(told))
    return Helper(Path(paths.settings.get("PCP_VAR_DIR", "/var/lib/pcp")) / "pmcd" / "root.socket")


def _options(given: argparse.Namespace, process: Process) -> Options:
    ports = given.port or [os.environ.get("PMCD_PORT", str(PMCD_PORT))]
    usual = LOOPBACK if os.environ.get("PMCD_LOCAL") == "1" else ANY_ADDRESS
    return Options(
        ports=tuple(int(port) for listed in ports for port in listed.split(",")),
        addresses=tuple(given.interface or usual),
        socket=given.socket or process.directory(process.paths.run_dir) / PMCD_SOCKET,
        hostname=given.hostname,
        limits=Limits(
            pdu_bytes=given.maxbytes,
            agent_hello_s=given.agent_hello_s,
            contexts=given.maxctx,
            metrics=given.maxmetric,
            agent_restarts=os.environ.get("PMCD_RESTART_AGENTS") != "0",
        ).with_exchange_s(given.exchange_s),
        places=Places.of(process.paths),
    )
