"""`pypcp pmcd` as a daemon: started, found by its pid file, and ended with the test."""

import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import pypcp
from peers import STOP_LIMIT_S, clean_environment, free_port, require
from waiting import LIMIT_S

PCP_USER = "pcp"
_PLACES = {"PCP_VAR_DIR": "var", "PCP_TMP_DIR": "tmp", "PCP_RUN_DIR": "run", "PCP_LOG_DIR": "log"}


class Background:
    """The place of one daemon. Whoever the tests are, it stays the same account unless ``options`` say otherwise."""

    def __init__(self, *, python: str = sys.executable, source: Path | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="pypcp-")
        self.directory = Path(self._temporary.name)
        self.directory.chmod(0o755)
        self.port = free_port()
        self.run = self.directory / "run"
        self.pid_file = self.run / "pmcd.pid"
        self.socket = self.run / "pmcd.socket"
        self.log_file = self.directory / "log" / "pmcd" / "pmcd.log"
        self.configuration = self.directory / "pmcd.conf"
        self.configuration.write_text("")
        self.names = self.directory / "names"
        self.names.write_text("root {\n}\n")
        self.python = python
        self.environment = clean_environment(
            PMCD_ROOT_AGENT="0",
            PMCD_LOCAL="1",
            **({"PYTHONPATH": str(source)} if source else {}),
            **{name: str(self.directory / where) for name, where in _PLACES.items()},
        )

    def command(self, *options: object) -> list[str]:
        where = ["-p", str(self.port), "-c", str(self.configuration), "-n", str(self.names)]
        main = [self.python, "-W", "error", "-m", "pypcp.tools.main"]
        return [*main, "pmcd", *where, *map(str, options)]

    def start(self, *options: object) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, which is the daemon's beginning, as the account of the tests."""
        stays = ["-U", "root"] if os.geteuid() == 0 and "-U" not in options and "-f" not in options else []
        return self.run_to_end(*stays, *options)

    def run_to_end(self, *options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options),
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def stop(self) -> None:
        """End it and see it gone; whose child it is by now is not ours to know."""
        ended = os.pidfd_open(self.pid)
        try:
            signal.pidfd_send_signal(ended, signal.SIGTERM)
            if not select.select([ended], [], [], STOP_LIMIT_S)[0]:
                signal.pidfd_send_signal(ended, signal.SIGKILL)
                raise AssertionError(f"SIGTERM did not end it\n{self.log}")
        finally:
            os.close(ended)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self.pid_file.exists():
                self.stop()
            if error is None:
                assert "Traceback" not in self.log, self.log
        finally:
            self._temporary.cleanup()


def program_for_all(directory: Path) -> tuple[str, Path]:
    """A Python that every account can run, and a copy of our package that each can read: the tests' own may be in
    somebody's home.
    """
    require(_is_account(PCP_USER), "the account pcp (Debian package pcp)")
    python = next((each for each in (sys.executable, "/usr/bin/python3") if _runs_as(PCP_USER, each)), "")
    require(python, "a Python 3.11 that the account pcp can run (Debian package python3)")
    source = directory / "source"
    shutil.copytree(Path(pypcp.__file__).parent, source / "pypcp", ignore=shutil.ignore_patterns("__pycache__"))
    return python, source


def _is_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _runs_as(user: str, python: str) -> bool:
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", check], user=user, cwd="/", capture_output=True).returncode == 0
    except OSError:
        return False
