"""The options of ``pypcp pmcd``, which are stock's. See: pmcd(1)."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from pypcp.errors import BadArgument
from pypcp.pmcd import debug_flags
from pypcp.pmcd.limits import Limits
from pypcp.pmcd.process import Mode
from pypcp.pmcd.running import LOOPS
from pypcp.pmcd.trace import TraceFlag

_USUAL: Final = Limits()
_LEAST_PDU: Final = 1024
_T = TypeVar("_T")


def _checked(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """The value of an option; what is none is an error in the use of the command."""

    def checked(text: str) -> _T:
        try:
            return read(text)
        except BadArgument as error:
            raise argparse.ArgumentTypeError(error.detail) from None

    return checked


def _number(least: float, *, whole: bool = True) -> Callable[[str], Any]:
    """The value of an option that is a number, ``least`` or more."""

    def number(text: str) -> int | float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = float("nan")
        if not least <= value < 2**31:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {2**31 - 1}")
        return value

    return number


def ports(text: str) -> tuple[int, ...]:
    """Ports with commas between them."""
    if not all(port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536 for port in text.split(",")):
        raise BadArgument(f"{text!r} is no list of ports: numbers from 1 to 65535, with commas between them")
    return tuple(int(port) for port in text.split(","))


def parser() -> argparse.ArgumentParser:
    """The command line of the daemon."""
    made = argparse.ArgumentParser(prog="pypcp pmcd", description="Run the collector with stock's options and files.")
    add = made.add_argument
    modes = made.add_mutually_exclusive_group()
    mode = partial(modes.add_argument, dest="mode", action="store_const", default=Mode.BACKGROUND)
    mode("-f", "--foreground", const=Mode.FOREGROUND, help="stay in the foreground, without pid file, as who calls it")
    mode("-F", "--managed", const=Mode.MANAGED, help="stay in the foreground, with pid file and as the account of -U")
    add("-A", action="store_true", help="no mDNS advertisement (there is none in any case)")
    add("-c", "--config", type=Path, help="configuration (default: pmcd/pmcd.conf in the configuration directories)")
    add("-C", "--maxctx", type=_number(1), default=_USUAL.contexts, metavar="N", help="contexts of one client")
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
    add(
        "-L",
        "--maxbytes",
        type=_number(_LEAST_PDU),
        default=_USUAL.pdu_bytes,
        metavar="N",
        help="largest PDU taken from a client",
    )
    add("-M", "--maxmetric", type=_number(1), default=_USUAL.metrics, metavar="N", help="metrics in one fetch")
    add("-n", "--namespace", type=Path, help="name space; several names of one metric are allowed")
    add("-N", "--uniqnames", type=Path, help="name space; each metric has one name")
    add("-p", "--port", action="append", type=_checked(ports), help="TCP ports, comma separated, may be repeated")
    add(
        "-q",
        dest="agent_hello_s",
        type=_number(0.001, whole=False),
        default=_USUAL.agent_hello_s,
        metavar="SEC",
        help="for an agent's hello",
    )
    told = os.environ.get("PMCD_SOCKET") or None
    add("-s", "--socket", type=Path, default=told, help="path of the UNIX socket")
    add(
        "-t",
        dest="exchange_s",
        type=_number(0, whole=False),
        default=_USUAL.agent_s,
        metavar="SEC",
        help="for one exchange; 0: no limit",
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
    return made
