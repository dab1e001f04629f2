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
from typing import Final

from pypcp.errors import PcpError, in_words
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
from pypcp.pmcd.running import run
from pypcp.pmcd.security import Security
from pypcp.pmcd.sources import Sources
from pypcp.pmda.finding import USUAL_AGENTS, find_agent
from pypcp.tools.pmcd_options import parser, ports
from pypcp.tools.user import accounts_file

log = logging.getLogger(__name__)

_TROUBLE: Final = (PcpError, ConfigurationError, OSError)


def main(argv: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM, in the foreground or in a daemon; the exit status of this process."""
    given = parser().parse_args(argv)
    try:
        paths = Paths.find()
        if given.verify:
            return _verify(given, paths)
        process = Process.plan(given.mode, paths, log=given.log, username=given.username, words=argv)
    except _TROUBLE as error:
        return _not_started(in_words(error), given)
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
            print(f"pmcd: {in_words(error)}", file=sys.stderr)
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
        return in_words(error)
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
                log.critical("%s", in_words(error))
            raise
        finally:
            stream.write(f"{logfile.finished(time.time())}\n")


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
    sources = _sources(given, paths)
    configuration = sources.read_configuration()
    rules_of(configuration.statements)  # which says its warnings itself
    sources.read_names()
    _security(given, paths)
    return 0


def _security(given: argparse.Namespace, paths: Paths) -> Security:
    return Security.load(
        paths.config_file("tls.conf", "PCP_TLSCONF_PATH"),
        accounts_file(paths),
        credentials_required=given.reqauth,
        certificate_required=given.remotecert,
    )


def _run(
    given: argparse.Namespace, options: Options, process: Process, listeners: Listeners, serves: Callable[[], None]
) -> None:
    paths = process.paths
    traced = given.traced | debug_flags.switch_on(given.debug)
    if process.mode is Mode.FOREGROUND and given.username:
        log.warning("-U has no effect with -f: it goes on as who called it")
    # Agents are started in the log directory, as stock's are: many write their logs where they stand.
    directory = process.directory(process.log.parent if process.log is not None else paths.log_dir)
    state = process.private_directory(paths.state_dir / "instances")
    sources = _sources(given, paths)
    usual = [find_agent(name, state=state) for name in USUAL_AGENTS] if sources.configuration is None else ()
    daemon = Daemon(
        options,
        usual,
        sources,
        security=_security(given, paths),
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
    named = [*(given.port or ()), *([ports(os.environ["PMCD_PORT"])] if os.environ.get("PMCD_PORT") else ())]
    unique = dict.fromkeys(port for listed in named for port in listed)
    usual = LOOPBACK if os.environ.get("PMCD_LOCAL") == "1" else ANY_ADDRESS
    return Options(
        ports=tuple(unique) or (PMCD_PORT,),
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
