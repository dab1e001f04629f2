"""`pypcp up` as root, from an installation of its own: what runs as whom, and what is said where it cannot."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from containers.served import children, gone, open_folder, rights, status
from peers import clean_environment, free_port, require
from waiting import wait_until

pytestmark = pytest.mark.slow
PYTHON = "/usr/bin/python3"
PACKAGES = Path(sys.modules["pypcp"].__file__ or "").parents[1]


class Installation:
    """An environment that every account may use; whose it is decides what root does with it."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder = folder
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGES / "pypcp", folder / "packages" / "pypcp", ignore=ignored)
        [site] = (folder / "venv" / "lib").glob("python*/site-packages")
        (site / "pypcp.pth").write_text(f"{folder}/packages\n")
        for path in folder.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o022 | 0o044 | (0o011 if path.is_dir() else 0))
        subprocess.run(["chown", "-R", owner, folder / "packages"], check=True)


class Up:
    """`pypcp up` in a session of its own, between its banner and its end."""

    def __init__(self, installation: Installation, *options: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.folder = installation.folder
        self._output = self.folder / f"output-{self.port}"
        where = ["--port", str(self.port), "--socket", str(self.folder / "run" / "pmcd.socket")]
        self.command = [str(self.folder / "venv/bin/python"), "-m", "pypcp.tools.main", "up", *where, *options]

    def start(self) -> None:
        (self.folder / "var").mkdir(mode=0o755, exist_ok=True)
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd="/",
                env=clean_environment(PCP_VAR_DIR=str(self.folder / "var")),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        self.start()
        wait_until(lambda: "stop          Ctrl-C" in self.said or self.process.poll() is not None, "the banner", 30)
        assert self.process.poll() is None, self.said
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        before = self.said
        os.killpg(self.process.pid, signal.SIGINT)  # Ctrl-C
        assert self.process.wait(20) == 0, self.said
        assert self.said == before, "an end that was asked for needs no words"

    @property
    def said(self) -> str:
        return self._output.read_text()

    @property
    def collector(self) -> int:
        """The process that speaks with clients."""
        return int(self.said.partition("process ")[2].split(maxsplit=1)[0].strip(","))

    def has(self, name: str) -> bool:
        """Whether there are values of a metric."""
        asking = [sys.executable, "-m", "pypcp.tools.main", "info", "-h", f"localhost:{self.port}", "-f", name]
        return " value " in subprocess.run(asking, capture_output=True, text=True, timeout=30).stdout


def own_files(pid: int) -> set[str]:
    """The sockets, pipes and logs of a process: nobody else is to have them open."""
    files = {os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    return {file for file in files if file.startswith(("socket:", "pipe:", "/var/log"))}


@contextlib.contextmanager
def installation(owner: str) -> Iterator[Installation]:
    require(os.geteuid() == 0, "root, to give it up")
    with open_folder() as folder:
        yield Installation(folder, owner)


@pytest.fixture(scope="module")
def installed() -> Iterator[Installation]:
    with installation("root") as done:
        yield done


def test_root_becomes_a_helper_and_a_collector_that_cannot_get_back(installed: Installation) -> None:
    with Up(installed, "--account", "daemon") as up:
        account, none = pwd.getpwnam("daemon"), dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), "0" * 16)
        ids = {"Uid": " ".join([str(account.pw_uid)] * 4), "Gid": " ".join([str(account.pw_gid)] * 4)}
        groups = sorted(os.getgrouplist("daemon", account.pw_gid))
        expected = rights(os.getpid()) | none | ids | {"NoNewPrivs": "1", "Groups": " ".join(map(str, groups))}
        assert rights(up.collector) == expected
        guard, [starter] = up.process.pid, children(up.process.pid)
        assert not own_files(starter) & own_files(up.collector)
        assert "root cannot be had back" in up.said
        assert "reduced" not in up.said
        wait_until(lambda: up.has("containers.helper.confined"), "the helper's metrics", 20)
        shared = own_files(guard) & own_files(up.collector)
        assert [file[:5] for file in shared] == ["pipe:"] * 2  # on which it asks for the helper's metrics
        family = [up.process.pid, *children(up.process.pid), up.collector]
    wait_until(lambda: all(map(gone, family)), "the end of all")


def test_a_collector_that_died_comes_back_with_the_helpers_metrics(installed: Installation) -> None:
    with Up(installed, "--account", "daemon") as up:
        wait_until(lambda: up.has("containers.helper.confined"), "the helper's metrics", 20)
        os.kill(up.collector, signal.SIGKILL)
        wait_until(lambda: up.said.count("stop          Ctrl-C") == 2, "another banner", 20)
        wait_until(lambda: up.has("containers.helper.confined"), "the helper's metrics", 20)


def test_where_others_could_change_the_program_there_is_no_helper_and_the_way_to_one_is_said() -> None:
    with installation("games") as theirs:
        with Up(theirs, "--account", "daemon") as up:
            assert "no privileged helper" in up.said
            assert "pip install" in up.said
            assert "0" not in status(up.collector)["Uid"].split()
            assert up.has("kernel.all.load")
        with Up(theirs, "--account", "daemon", "--trust-environment") as up:
            assert "can become root" in up.said
            wait_until(lambda: up.has("containers.helper.confined"), "the helper's metrics", 20)


def test_where_no_account_could_collect_root_does_and_says_so(installed: Installation, tmp_path: Path) -> None:
    # Its own place, since nobody makes one for it: the others' is there only if one of them ran before.
    with Up(installed, "--account", "nosuch", "--socket", str(tmp_path / "pmcd.socket")) as up:
        assert "all of it runs as root: there is no account nosuch" in up.said
        assert up.has("kernel.all.load")


def test_a_collector_that_cannot_start_ends_the_helper_with_its_status(installed: Installation) -> None:
    up = Up(installed, "--account", "daemon", "--listen", "192.0.2.1")
    up.start()
    assert up.process.wait(30) == 1
    assert "cannot listen on TCP port" in up.said
