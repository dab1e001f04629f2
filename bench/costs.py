"""What access control, labels and TLS cost a fetch: our daemon with each of them beside one with none, in one run.

    python bench/costs.py [--pairs 10] [--seconds 0.5]

A client of stock's library fetches the dashboard of 20 metrics, on the core of the daemon. Needs what `make bench`
needs, and openssl.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from run import DASHBOARD, compile_client, pin  # isort: skip - makes the tests' peers importable

from interop.test_secure_daemon import SecureDaemon
from peers import clean_environment

CORE = 0
AGENTS = "pmcd 2 dso pmcd_init /none.so\nlinux 60 dso linux_init /none.so\n"
STRANGERS = "".join(f"disallow 192.0.2.{number} : store;\n" for number in range(1, 51))
ACCESS = f"""[access]
{STRANGERS}allow "localhost" : all, maximum 1000 connections;
"""


class Configured(SecureDaemon):
    """A daemon with a certificate, further lines of configuration, and so many files with labels of its context."""

    def __init__(self, configuration: str = "", label_files: int = 0) -> None:
        super().__init__(loop="uvloop")
        self._configuration, self._label_files = AGENTS + configuration, label_files

    def environment(self) -> dict[str, str]:
        environment = super().environment()
        (self.directory / "pmcd.conf").write_text(self._configuration)
        labels = self.directory / "etc" / "labels"
        labels.mkdir()
        for number in range(self._label_files):
            (labels / f"{number}.json").write_text(json.dumps({f"name{number}": {"text": "x" * 200, "list": [1, 2]}}))
        return environment


@dataclass(frozen=True)
class Way:
    """A daemon, and how a client comes to it."""

    daemon: Configured
    host: str
    environment: Mapping[str, str]

    def p50_us(self, client: str, seconds: float) -> float:
        """Microseconds of a fetch, the median of one sample."""
        pin(self.daemon, CORE)
        command = ["taskset", "-c", str(CORE), client, "-h", self.host, "-s", str(seconds), *DASHBOARD]
        ran = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60 + seconds)
        if ran.returncode != 0:
            sys.exit(ran.stderr.strip())
        return float(json.loads(ran.stdout)["p50_us"])


def ways(stack: contextlib.ExitStack) -> dict[str, Way]:
    """All ways by name; the first is the one without anything."""

    def clear(daemon: Configured) -> Way:
        return Way(stack.enter_context(daemon), daemon.tcp, clean_environment())

    plain = clear(Configured())
    trusting = clean_environment(PCP_TLSCONF_PATH=str(plain.daemon.tls), PCP_SECURE_SOCKETS="enforce")
    return {
        "nothing": plain,
        "nothing again": plain,
        "51 access rules": clear(Configured(ACCESS)),
        "10 files of labels": clear(Configured(label_files=10)),
        "TLS": Way(plain.daemon, f"pcps://{plain.host}", trusting),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10, help="rounds (default 10)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one sample (default 0.5)")
    chosen = parser.parse_args()
    client = str(compile_client())
    with contextlib.ExitStack() as stack:
        there = ways(stack)
        rounds = [
            {name: way.p50_us(client, chosen.seconds) for name, way in there.items()} for _ in range(chosen.pairs)
        ]
    print(f"{'':20} p50 us   over nothing (range)")
    for name in there:
        ratios = [each[name] / each["nothing"] for each in rounds]
        p50 = statistics.median([each[name] for each in rounds])
        print(f"{name:20} {p50:6.1f}   {statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})")


if __name__ == "__main__":
    main()
