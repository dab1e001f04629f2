"""``pypcp agent serve``: run an agent for a daemon, with the options of stock's agents. See: pmdaGetOptions(3)."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from pypcp.errors import PcpError
from pypcp.ipc.account import Account
from pypcp.ipc.paths import Paths
from pypcp.pmda.finding import find_agent
from pypcp.pmda.logfile import agent_log
from pypcp.pmda.mistakes import mistake_in
from pypcp.pmda.serve import Wires, serve
from pypcp.pmda.wires import take_pipe
from pypcp.tools.agent import agent_parser

log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Run until the daemon ends the conversation, or SIGTERM; the exit status."""
    given = _parser().parse_args(argv)
    on_pipe = given.inet is None and given.ipv6 is None and given.unix is None
    wires = take_pipe() if on_pipe else None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _terminate)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with agent_log(Path(given.agent).stem, given.log, verbose=given.debug is not None):
        try:
            _serve(given, wires)
        except (PcpError, OSError) as error:
            log.error("%s: %s", given.agent, mistake_in(error))
            return 1
        except Exception as error:
            log.exception("%s cannot be run: %s", given.agent, error)
            return 1
    return 0


def _terminate(number: int, frame: FrameType | None) -> None:
    # An exception and not the default, so that what is to be remembered is saved.
    sys.exit(128 + number)


def _serve(given: argparse.Namespace, wires: Wires | None) -> None:
    # What the author's code does when it is imported must find everything in its place: log, user, standard output.
    if wires is None:
        wires = _accept(given)
    if given.user is not None:
        Account.named(given.user).become()
    agent = find_agent(given.agent, domain=given.domain, state=given.state or Paths.find().state_dir / "instances")
    serve(agent, wires, starts_not_ready=given.notready)


def _accept(given: argparse.Namespace) -> Wires:
    from pypcp.pmda.listening import accept_inet, accept_unix  # most agents are on a pipe

    if given.unix is not None:
        return accept_unix(given.unix)
    return accept_inet(given.inet or given.ipv6, by_ipv6=given.inet is None)


def _parser() -> argparse.ArgumentParser:
    parser = agent_parser("serve", "Run an agent for a daemon. Without a transport it talks on its standard input.")
    add = parser.add_argument
    add("-d", "--domain", type=int, metavar="N", help="use this domain instead of the agent's own")
    add("-l", "--log", type=Path, metavar="FILE", help="log file (default: standard error)")
    add("-U", "--username", dest="user", metavar="USER", help="become this user")
    add("-D", "--debug", metavar="SPEC", help="log more, whatever SPEC says (stock's agents choose by it)")
    add("--notready", action="store_true", help="the agent's line in pmcd.conf says notready")
    add("--state", type=Path, metavar="DIR", help="where numbers of instances and names are kept")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("-p", "--pipe", action="store_true", help="talk on standard input and output (the default)")
    ways.add_argument("-i", "--inet", metavar="PORT", help="wait for the daemon on this port of 127.0.0.1")
    ways.add_argument("-6", "--ipv6", metavar="PORT", help="wait for the daemon on this port of ::1")
    ways.add_argument("-u", "--unix", type=Path, metavar="PATH", help="wait for the daemon on this socket")
    return parser
