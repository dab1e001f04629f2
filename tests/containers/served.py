"""Our helper as a process of its own, with a private socket and policy; this process is its daemon (its parent)."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pypcp.root
from pypcp.errors import PcpError
from pypcp.pmda.rootclient import RootClient
from pypcp.wire.root import Message, decode, encode
from waiting import LIMIT_S, wait_until

MAIN = Path(pypcp.root.__file__).with_name("__main__.py")


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A directory that other accounts may enter; pytest's own lie in one that is closed to them."""
    with tempfile.TemporaryDirectory(prefix="pypcp-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class Helper:
    """The helper between `with` and its end; `log` is all it said so far."""

    def __init__(self, folder: Path, *options: str, agents: str = "", policy: str = "", **environment: str) -> None:
        self.folder = folder
        self.socket = folder / "run" / "root.socket"
        self.audit = folder / "audit.log"
        self.configuration = folder / "pmcd.conf"
        self.configuration.write_text(agents)
        self.policy = folder / "policy.toml"
        self.policy.write_text(f'agent-files = ["{self.configuration}"]\nlookup-accounts = []\n{policy}')
        for path in (folder, self.policy, self.configuration):
            path.chmod(0o700 if path.is_dir() else 0o600)
        self._options = options
        self._environment = {"PATH": "/usr/bin:/bin", **environment}
        self._output = folder / "log"

    def command(self) -> list[str]:
        where = ["-f", "-s", str(self.socket), "--policy", str(self.policy), "--audit", str(self.audit)]
        where += ["--agents-folder", str(self.folder / "agents"), "--trust-environment", *self._options]
        return [sys.executable, "-I", "-S", "-B", str(MAIN), *where]

    def __enter__(self) -> Self:
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(), env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            wait_until(lambda: "resolver-ready" in self.log or self.process.poll() is not None, lambda: self.log)
            assert self.process.poll() is None, self.log
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if error is None:
            assert "Traceback" not in self.log, self.log
        elif kind is not None:
            print(self.log, file=sys.stderr)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def log(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def record(self) -> list[str]:
        """The lines of the audit log."""
        return self.audit.read_text().splitlines() if self.audit.exists() else []

    @property
    def starter(self) -> int:
        """The pid of the privileged process."""
        return children(self.process.pid)[0]

    @property
    def workers(self) -> dict[str, int]:
        """The pids of resolver (it has threads) and reader."""
        found = {}
        for pid in children(self.starter):
            with contextlib.suppress(OSError):
                if status(pid).get("CapEff") in ("0000000000000004", "0000000000280000") or os.geteuid():
                    found["resolver" if int(status(pid)["Threads"]) > 1 else "reader"] = pid
        return found

    def client(self) -> RootClient:
        return RootClient(self.socket, LIMIT_S)

    def raw(self) -> socket.socket:
        """A connection whose greeting was read."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(LIMIT_S)
        connection.connect(str(self.socket))
        assert len(connection.recv(24)) == 24
        return connection

    def outsider(self) -> "Outsider":
        """A connection of another process than the daemon: it may look up, and nothing else."""
        return Outsider(self.socket)


class Outsider:
    """A connection made by a child, so that the helper sees somebody else than its parent."""

    def __init__(self, path: Path) -> None:
        ours, theirs = socket.socketpair()
        code = (
            "import socket, sys, array\n"
            "passing = socket.socket(fileno=int(sys.argv[2]))\n"
            "connection = socket.socket(socket.AF_UNIX)\n"
            "connection.connect(sys.argv[1])\n"
            "socket.send_fds(passing, [b'c'], [connection.fileno()])\n"
            "sys.stdin.read()\n"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", code, str(path), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
        )
        theirs.close()
        with ours:
            _, [fd], _, _ = socket.recv_fds(ours, 1, 1)
        self.connection = socket.socket(fileno=fd)
        self.connection.settimeout(LIMIT_S)
        self.greeting = self.connection.recv(24)

    def ask(self, message: Message) -> Message:
        self.connection.sendall(encode(message))
        return decode(self.connection.recv(5000))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def answers(path: Path) -> bool:
    """Whether a helper greets whoever connects there; a socket that is bound may not listen yet."""
    try:
        with RootClient(path):
            return True
    except PcpError:
        return False


def status(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


RIGHTS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")


def rights(pid: int) -> dict[str, str]:
    """Everything of /proc/PID/status that says what a process or a thread may do."""
    facts = status(pid)
    return {name: " ".join(facts[name].split()) for name in RIGHTS}


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return status(pid)["State"].startswith("Z")
    except (OSError, KeyError):
        return True
