"""What the client tools have in common on their command lines, and the way from there to a connection."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import NoReturn

from pypcp import __version__
from pypcp.errors import PcpError
from pypcp.pmapi.blocking import BlockingContext
from pypcp.pmapi.calls import BlockingCalls

_SIGINT_STATUS = 130
_SIGPIPE_STATUS = 141
_NOT_HERE = "archives (-a), stock's agents here (-K), own name spaces (-n), derived metrics are left to stock's tools"


class ClientParser(argparse.ArgumentParser):
    """The command line of a client tool: stock's letters, errors in one line, status 1.

    ``-h`` is the host as in all of PCP's tools, so help is ``-?`` or ``--help``.
    """

    def __init__(self, tool: str, usage: str, purpose: str, *, version_letter: str = "-V") -> None:
        super().__init__(f"pypcp {tool}", usage=f"pypcp {tool} {usage}", description=purpose, add_help=False)
        self.epilog = f"Stock's options for {_NOT_HERE}."
        self.add_argument("-h", "--host", metavar="HOST", default="local:", help="ask the pmcd of this host")
        self.add_argument("--container", metavar="NAME", default="", help="ask about one container")
        self.add_argument("-L", "--local-PMDA", dest="local", action="store_true", help="ask agents here, no pmcd")
        self.add_argument(
            "--agent",
            action="append",
            metavar="AGENT",
            help="with -L: an agent's file or name (default: linux and mmv)",
        )
        self.add_argument("--json", action="store_true", help="print JSON")
        self.add_argument("-?", "--help", action="help", help="show this and end")
        self.add_argument(version_letter, "--version", action="version", version=f"%(prog)s {__version__}")

    def add_timezone(self) -> None:
        """``-z`` and ``-Z``, for tools that print times."""
        self.add_argument("-Z", "--timezone", metavar="TZ", help="print times in this zone")
        self.add_argument("-z", "--hostzone", action="store_true", help="print times in the zone of the host")

    def flags(self, letters: Iterable[tuple[str, str, str]]) -> None:
        """Options without a value: letter, long name, purpose."""
        for letter, name, purpose in letters:
            self.add_argument(f"-{letter}", f"--{name}", action="store_true", help=purpose)

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """The options; an error ends the program."""
        options, unknown = self.parse_known_args(argv)
        if getattr(options, "timezone", None) is not None and options.hostzone:
            self.error("at most one of -Z and -z allowed")
        if unknown and not unknown[0].startswith("-"):
            self.error(f"too many arguments, from {unknown[0]!r} on")
        if unknown:
            self.error(f"there is no option {unknown[0]} here; {_NOT_HERE}")
        return options

    def error(self, message: str) -> NoReturn:
        """One line, status 1 as with stock."""
        fail(self.prog, f"{message} (--help lists the options)")


def guarded(program: str, work: Callable[[], int]) -> int:
    """Run a tool's work; its exit status. A lost connection is one line, a reader that went away is no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        status = work()
        sys.stdout.flush()
    except PcpError as error:
        fail(program, str(error))
    except BrokenPipeError:
        # Nobody reads any more: what is still buffered must not raise once again at the very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _SIGPIPE_STATUS
    except KeyboardInterrupt:
        return _SIGINT_STATUS
    return status


def fail(program: str, message: str) -> NoReturn:
    """End the program with an error."""
    complain(f"{program}: {message}")
    raise SystemExit(1)


def complain(message: str) -> None:
    """One line on standard error, after what was printed before it."""
    sys.stdout.flush()
    print(message, file=sys.stderr)


def open_context(program: str, options: argparse.Namespace) -> BlockingCalls:
    """Connect as the options say, or with ``-L`` start the agents; a failure ends the program with stock's sentence."""
    if options.local:
        from pypcp.pmcd.local_context import LocalContext  # the half of the daemon, for few

        try:
            return LocalContext(options.agent) if options.agent else LocalContext()
        except Exception as error:  # noqa: BLE001 - the code of agents' authors
            from pypcp.pmda.mistakes import mistake_in

            fail(program, mistake_in(error))
    try:
        return BlockingContext(options.host, container=options.container)
    except PcpError as error:
        fail(program, f'Cannot connect to PMCD on host "{options.host}": {error}')


def apply_timezone(context: BlockingCalls, options: argparse.Namespace) -> str:
    """Make ``-Z`` or ``-z`` the zone of the times to be printed; the zone, empty where it stays ours."""
    zone: str = options.timezone or ""
    if options.hostzone and not zone:
        result = context.fetch([context.lookup_name("pmcd.timezone")])
        zone = str(result.value_sets[0].value or "")
    if zone:
        os.environ["TZ"] = zone
        time.tzset()
    return zone


def positive_int(text: str) -> int:
    """For options that count something."""
    number = count(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def count(text: str) -> int:
    """For options that count something, of which there may be none."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def print_json(data: object) -> None:
    """Data as JSON, one document."""
    print(json.dumps(data, indent=2, ensure_ascii=False))
