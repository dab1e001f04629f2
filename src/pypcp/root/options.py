"""The command line of pmdaroot: stock's options, and ours with long names."""

from __future__ import annotations

import argparse
import os

STOCK_SOCKET = "pmcd/root.socket"


def parser() -> argparse.ArgumentParser:
    """Every option, with what it does."""
    options = argparse.ArgumentParser(
        prog="pmdaroot", description="Privileged services for pmcd and its agents. See: pmdaroot(1).", add_help=False
    )
    add = options.add_argument
    add("-?", "-h", "--help", action="help", help="show this text")
    add("-d", "--domain", type=int, default=1, metavar="NUM", help="domain of the containers.* metrics (1)")
    add("-l", "--log", metavar="FILE", help="write the log to FILE (default: root.log under pmcd, else standard error)")
    add("-s", "--socket", default=default_socket(), metavar="PATH", help="UNIX socket to serve (%(default)s)")
    add("-f", "--foreground", action="store_true", help="started by hand: no daemon speaks on standard input")
    add("--policy", metavar="FILE", help="who may ask for what (TOML, root's alone); without it only pmcd.conf counts")
    add(
        "--audit",
        metavar="FILE",
        help="put every start, stop and refusal on record in FILE (default: syslog, authpriv)",
    )
    add("--agents-folder", metavar="DIR", help="where started agents stand and log (default: /var/log/pypcp/agents)")
    add("--require-sandbox", action="store_true", help="refuse to serve where a confinement cannot be had")
    add("--trust-environment", action="store_true", help="development: run although others could change this program")
    add("--daemon-account", default="pcp", metavar="NAME", help="who the daemon given after -- runs as (%(default)s)")
    add(
        "daemon",
        nargs="*",
        metavar="COMMAND",
        help="a daemon to start and restart, without privileges, beside the helper",
    )
    return options


def default_socket() -> str:
    """Where stock's clients look: ``$PCP_VAR_DIR/pmcd/root.socket``."""
    return os.path.join(var_dir(), STOCK_SOCKET)


def var_dir() -> str:
    """Stock's ``PCP_VAR_DIR``."""
    return os.environ.get("PCP_VAR_DIR", "/var/lib/pcp")
