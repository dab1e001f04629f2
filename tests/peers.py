"""The peers of the tests: stock PCP's programs, and our own daemon as a process of its own.

Every daemon here is private: a free port, a socket, directories and agents of its own under one temporary directory,
so that no test meets the machine's pmcd and two test runs never meet each other.
"""

import abc
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import pytest

from waiting import wait_until

REQUIRED = os.environ.get("PYPCP_REQUIRE_PEERS") == "1"
STOCK_PATH = "/usr/bin:/usr/lib/pcp/bin:/bin:/usr/sbin:/sbin"
STOCK_PMCD = "/usr/lib/pcp/bin/pmcd"
PMDAS = "/var/lib/pcp/pmdas"
PMNS = "/var/lib/pcp/pmns"
CHALLENGE_BYTES = 20
STOP_LIMIT_S = 10.0


def require(condition: object, what: str) -> None:
    """Skip the test when `what` is missing on this machine, or fail it where CI promised every peer."""
    if not condition:
        missing(what)


def missing(what: str) -> NoReturn:
    if REQUIRED:
        pytest.fail(f"PYPCP_REQUIRE_PEERS=1, but this machine lacks {what}", pytrace=False)
    pytest.skip(f"needs {what}")


def clean_environment(**more: str) -> dict[str, str]:
    """What a program sees when nobody has configured anything: no PCP setting of the caller, messages in English."""
    kept = {name: os.environ[name] for name in ("HOME", "USER") if name in os.environ}
    return kept | {"PATH": STOCK_PATH, "PCP_PYTHON_PROG": "/usr/bin/python3", "LC_ALL": "C.UTF-8", "TZ": "UTC"} | more


def stock(
    tool: str, *arguments: object, timeout_s: float = 30.0, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of stock's programs to its end. A non-zero status is the caller's to judge; a hang fails the test."""
    program = shutil.which(tool, path=STOCK_PATH)
    require(program, f"stock's {tool} (Debian packages pcp and python3-pcp)")
    command = [str(program), *map(str, arguments)]
    process = subprocess.Popen(
        command,
        env=clean_environment(),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            out, err = process.communicate(stdin, timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"no end after {timeout_s} s: {' '.join(command)}\n{out}\n{err}")
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def free_port() -> int:
    """A TCP port that nobody listens on, by IPv4 or by IPv6."""
    with socket.create_server(("", 0)) as listener:
        return int(listener.getsockname()[1])


class Daemon(abc.ABC):
    """One daemon as a child process, ready to answer when the `with` block begins and gone when it ends.

    `directory` holds everything it writes; `log` is what it had to say, by any way.
    """

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="pypcp-")
        self.directory = Path(self._temporary.name)
        self.port = free_port()
        self.socket = self.directory / "pmcd.socket"
        self._output = self.directory / "output"

    @abc.abstractmethod
    def command(self) -> Sequence[str]:
        """The command line; called once, with `directory` in place."""

    @property
    def tcp(self) -> str:
        """Where clients find it by TCP, as they want it after -h."""
        return f"localhost:{self.port}"

    @property
    def unix(self) -> str:
        """Where clients find it on this machine, as they want it after -h."""
        return f"unix:{self.socket}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has said so far, on its output and in its log file."""
        written = [path for path in (self._output, self.directory / "pmcd.log") if path.exists()]
        return "".join(path.read_text(errors="replace") for path in written)

    def environment(self) -> dict[str, str]:
        """Its own directories (instance numbers, agents' logs, sockets), and no help from the machine's pmdaroot."""
        places = {"PCP_VAR_DIR": "var", "PCP_TMP_DIR": "tmp", "PCP_RUN_DIR": "run", "PCP_LOG_DIR": "log"}
        for name in (*places.values(), "var/config/pmda"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        own = {name: str(self.directory / where) for name, where in places.items()}
        return clean_environment(PMCD_ROOT_AGENT="0", PMCD_LOCAL="1", **own)

    def __enter__(self) -> Self:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._stop()
            self._temporary.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            stopped = self._stop()
            log = self.log
        finally:
            self._temporary.cleanup()
        if error is None:
            self.check_end(stopped, log)

    def check_end(self, stopped: bool, log: str) -> None:  # noqa: B027 - stock's daemon is not what the tests judge
        """Called after a test that passed; `stopped` is False where SIGTERM alone did not end it."""

    def _wait_until_it_answers(self) -> None:
        wait_until(lambda: self._process.poll() is not None or self._answers(), lambda: self.log)
        if self._process.poll() is not None:
            pytest.fail(f"{self._process.args!r} ended with status {self._process.returncode}\n{self.log}")

    def _answers(self) -> bool:
        """True once a client is greeted, which is later than listening: stock starts its agents in between."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return len(connection.recv(CHALLENGE_BYTES, socket.MSG_WAITALL)) == CHALLENGE_BYTES
        except OSError:
            return False

    def _stop(self) -> bool:
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # its agents, should one have survived it
            self._process.wait()
        return True


class OurDaemon(Daemon):
    """`pypcp up` (or `pypcp pmcd`) with further options, on one of the two event loops.

    A test that passed still fails where the daemon did not end on SIGTERM, or left a traceback in its log.
    """

    def __init__(self, *options: object, tool: str = "up", loop: str = "asyncio") -> None:
        super().__init__()
        self.tool = tool
        self.loop = loop
        self.options = tuple(map(str, options))

    def command(self) -> Sequence[str]:
        where = {
            # Root splits it in two; what tests look at is one process, wherever they run.
            "up": ["--port", str(self.port), "--socket", str(self.socket), "--account", "root"],
            "pmcd": ["-f", "-p", str(self.port), "-s", str(self.socket)],
        }[self.tool]
        main = [sys.executable, "-W", "error", "-m", "pypcp.tools.main"]
        return [*main, self.tool, *where, "--loop", self.loop, *self.options]

    def check_end(self, stopped: bool, log: str) -> None:
        if not stopped:
            pytest.fail(f"SIGTERM did not end pypcp {self.tool} within {STOP_LIMIT_S} s\n{log}")
        if "Traceback" in log:
            pytest.fail(f"pypcp {self.tool} wrote a traceback\n{log}")


@dataclass(frozen=True)
class StockAgent:
    """One of stock's agents: its line in pmcd.conf and its part of the name space."""

    line: str
    names: str


STOCK_AGENTS = {
    "pmcd": StockAgent(f"2 dso pmcd_init {PMDAS}/pmcd/pmda_pmcd.so", f"{PMNS}/root_pmcd"),
    "linux": StockAgent(f"60 pipe binary {PMDAS}/linux/pmdalinux", f"{PMNS}/root_linux"),
    "proc": StockAgent(f"3 pipe binary {PMDAS}/proc/pmdaproc -d 3", f"{PMNS}/root_proc"),
    "mmv": StockAgent(f"70 dso mmv_init {PMDAS}/mmv/pmda_mmv.so", f"{PMNS}/root_mmv"),
    "pmproxy": StockAgent(f"4 dso pmproxy_init {PMDAS}/mmv/pmda_mmv.so", f"{PMNS}/root_pmproxy"),
    "sample": StockAgent("29 pipe binary /usr/lib/pcp/pmdas/sample/pmdasample -d 29", f"{PMDAS}/sample/root"),
    "sampledso": StockAgent("30 dso sample_init /usr/lib/pcp/pmdas/sample/pmda_sample.so", f"{PMDAS}/sample/root"),
    "simple": StockAgent("253 pipe binary {compiled} -d 253", f"{PMDAS}/simple/root"),
    "trivial": StockAgent("250 pipe binary {compiled} -d 250", f"{PMDAS}/trivial/root"),
}


class StockPmcd(Daemon):
    """Stock's pmcd with the agents named (keys of STOCK_AGENTS) and whatever lines of configuration follow them."""

    def __init__(self, agents: Iterable[str] = ("pmcd", "linux"), *options: object, configuration: str = "") -> None:
        require(os.access(STOCK_PMCD, os.X_OK), "stock's pmcd (Debian package pcp)")
        require(Path(PMNS, "stdpmid").exists(), f"stock's name space: start its pmcd once, or run {PMNS}/Rebuild -u")
        super().__init__()
        self.agents = tuple(agents)
        self.options = tuple(map(str, options))
        self.configuration = configuration

    def command(self) -> Sequence[str]:
        configuration, names = self.directory / "pmcd.conf", self.directory / "names"
        configuration.write_text("".join(self._line(name) for name in self.agents) + self.configuration)
        sources = dict.fromkeys(STOCK_AGENTS[name].names for name in self.agents)
        merged = stock("pmnsmerge", "-a", *sources, names)
        if merged.returncode != 0:
            pytest.fail(f"pmnsmerge refused the agents' name spaces\n{merged.stderr}")
        where = ["-p", str(self.port), "-s", str(self.socket), "-l", str(self.directory / "pmcd.log")]
        return [STOCK_PMCD, "-f", "-A", *where, "-c", str(configuration), "-n", str(names), *self.options]

    def _line(self, name: str) -> str:
        line = STOCK_AGENTS[name].line
        return f"{name} {line.format(compiled=compiled_agent(name)) if 'compiled' in line else line}\n"


@functools.cache
def compiled_agent(name: str) -> Path:
    """Build the agent that stock ships as one C source file only; once in a test run."""
    source = Path(PMDAS, name, f"{name}.c")
    compiler = shutil.which("gcc", path=STOCK_PATH)
    require(compiler and source.exists() and Path("/usr/include/pcp/pmda.h").exists(), "gcc and libpcp-pmda3-dev")
    program = Path(_build_directory().name, f"pmda{name}")
    command = [str(compiler), "-o", str(program), str(source), "-lpcp_pmda", "-lpcp"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return program


@functools.cache
def _build_directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pypcp-agents-", ignore_cleanup_errors=True)
