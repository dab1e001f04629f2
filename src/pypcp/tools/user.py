"""``pypcp user``: who can log in to pmcd by SASL, and with what password."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from pypcp.errors import PcpError, in_words
from pypcp.ipc.configuration import ConfigurationError
from pypcp.ipc.paths import Paths
from pypcp.pmcd.accounts import Verifier, change, checked_name, read

ACCOUNTS_FILE = "pmcd/users"
"""The accounts, in a configuration directory."""


def main(argv: Sequence[str]) -> int:
    """Run one subcommand; the exit status."""
    given = _parser().parse_args(argv)
    try:
        given.run(given, given.file or accounts_file())
    except (OSError, ValueError, PcpError, ConfigurationError) as error:
        print(f"pypcp user: {in_words(error)}", file=sys.stderr)
        return 1
    return 0


def accounts_file(paths: Paths | None = None) -> Path:
    """Where the accounts are kept: where a file of them is, else in the first configuration directory."""
    paths = paths or Paths.find()
    return paths.config_file(ACCOUNTS_FILE) or paths.config_dirs[0] / ACCOUNTS_FILE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pypcp user", description="Who can log in to pmcd, and with what password.")
    parser.add_argument("--file", type=Path, help="the file of accounts (default: pmcd/users of the configuration)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser(
        "add", help="add a user, or give one another password; it is asked for, or read from a pipe"
    )
    remove = commands.add_parser("remove", help="take a user away")
    for command, run in ((add, _add), (remove, _remove)):
        command.add_argument("name", help="the user's name")
        command.set_defaults(run=run)
    commands.add_parser("list", help="print the names").set_defaults(run=_list)
    return parser


def _add(given: argparse.Namespace, path: Path) -> None:
    name = checked_name(given.name)
    verifier = Verifier.of(_password(name))
    change(path, lambda verifiers: verifiers.update({name: verifier}))


def _remove(given: argparse.Namespace, path: Path) -> None:
    name = checked_name(given.name)

    def forget(verifiers: dict[str, Verifier]) -> None:
        if verifiers.pop(name, None) is None:
            raise ValueError(f"there is no user {name!r} in {path}; pypcp user list tells who is")

    change(path, forget)


def _list(given: argparse.Namespace, path: Path) -> None:
    for name in sorted(read(path).verifiers) if path.exists() else ():
        print(name)


def _password(name: str) -> str:
    """From the terminal, twice; from a pipe, its first line."""
    if not sys.stdin.isatty():
        password = sys.stdin.readline().removesuffix("\n")
    elif (password := getpass.getpass(f"Password for {name}: ")) != getpass.getpass("The same again: "):
        raise ValueError("the passwords differ; nothing was changed")
    if not password or "\0" in password:
        raise ValueError("a password has at least one character, and no NUL; nothing was changed")
    return password
