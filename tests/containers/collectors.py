"""Whole collectors around a helper, ours or stock's: a pmcd, stock's agents, look-ups through the helper."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from containers.served import MAIN, children, gone, status
from peers import PMDAS, PMNS, STOCK_PMCD, OurDaemon, clean_environment, free_port, stock
from waiting import wait_until

OURS = f"{sys.executable} -I -S -B {MAIN} --trust-environment"
STOCKS = f"{PMDAS}/root/pmdaroot"


def _configured(root: str, folder: Path) -> str:
    """The command line of a helper; ours reads the configuration in the folder and keeps its logs there."""
    if root != OURS:
        return root
    (folder / "policy.toml").write_text(f'agent-files = ["{folder}/pmcd.conf"]\n')
    places = f"--policy {folder}/policy.toml --agents-folder {folder}/agents"
    return f"{root} {places} -l {folder}/root.log --audit {folder}/audit.log"


class StockDaemon:
    """Stock's pmcd with a helper, ours or stock's, as its root agent, in a PCP_VAR_DIR of their own.

    ``hidden`` is a mount that none of them is to see.
    """

    def __init__(self, folder: Path, environment: dict[str, str], root: str = OURS, hidden: str = "") -> None:
        self.folder = folder
        self._hide = ["unshare", "-m", "sh", "-c", f'umount "{hidden}" && exec "$@"', "sh"] if hidden else []
        self.port = free_port()
        var = folder / "var"
        (var / "pmcd").mkdir(parents=True, mode=0o700)
        for name in ("run", "log", "tmp"):
            (folder / name).mkdir()
            shutil.chown(folder / name, "pcp")
        for name in ("pmns", "pmdas", "config"):
            (var / name).symlink_to(f"/var/lib/pcp/{name}")
        (folder / "pmcd.conf").write_text(
            f"root 1 pipe binary {_configured(root, folder)}\n"
            f"pmcd 2 dso pmcd_init {PMDAS}/pmcd/pmda_pmcd.so\n"
            f"proc 3 pipe binary {PMDAS}/proc/pmdaproc -d 3\n"
            f"linux 60 pipe binary {PMDAS}/linux/pmdalinux\n"
        )
        self.socket = var / "pmcd" / "root.socket"
        where = {"PCP_VAR_DIR": var, "PCP_RUN_DIR": folder / "run", "PCP_LOG_DIR": folder / "log"}
        self._environment = clean_environment(**{name: str(path) for name, path in where.items()}, **environment)

    def __enter__(self) -> "StockDaemon":
        words = [STOCK_PMCD, "-A", "-p", self.port, "-s", self.folder / "run/s", "-c", self.folder / "pmcd.conf"]
        words += ["-l", self.folder / "pmcd.log", "-n", f"{PMNS}/root"]
        quiet = subprocess.DEVNULL
        command, where = self._hide + list(map(str, words)), self.folder / "log"
        streams = {"stdin": quiet, "stdout": quiet, "stderr": quiet}
        subprocess.run(command, cwd=where, env=self._environment, **streams, check=True, timeout=60)
        written = self.folder / "run/pmcd.pid"
        wait_until(lambda: written.exists() and written.read_text(), "pmcd's pid file", 30)
        self.pid = int(written.read_text())
        wait_until(
            lambda: stock("pminfo", "-h", f"localhost:{self.port}", "-f", "pmcd.version").returncode == 0, "it", 30
        )
        return self

    def __exit__(self, *_: object) -> None:
        if gone(self.pid):
            return
        everybody = self.everybody() if children(self.pid) else [self.pid]  # whoever killed the guard knows the others
        os.kill(self.pid, signal.SIGTERM)
        wait_until(lambda: all(map(gone, everybody)), "the end of the helper with its daemon", 30)

    def everybody(self) -> list[int]:
        """The daemon, the helper's processes, and the agents."""
        return [self.pid, self.helper, self.starter, *children(self.starter)]

    @property
    def helper(self) -> int:
        return children(self.pid)[0]

    @property
    def starter(self) -> int:
        return children(self.helper)[0]

    def fetch(self, *names: str, container: str = "") -> str:
        chosen = [f"--container={container}"] if container else []
        done = stock("pminfo", "-h", f"localhost:{self.port}", *chosen, "-f", *names)
        return done.stdout + done.stderr

    def agents(self) -> dict[str, int]:
        """Stock's agents by their program, all of them children of our starter."""
        found = {}
        for pid in children(self.starter):
            found[status(pid)["Name"]] = pid
        return {name: pid for name, pid in found.items() if name.startswith("pmda")}


class HelpedDaemon(OurDaemon):
    """`pypcp pmcd` with stock's agents, and the helper `root` as the first of them."""

    def __init__(self, root: str, environment: dict[str, str]) -> None:
        super().__init__(tool="pmcd")
        self._more = environment
        configuration = self.directory / "pmcd.conf"
        configuration.write_text(
            f"root 1 pipe binary {_configured(root, self.directory)}\n"
            f"proc 3 pipe binary {PMDAS}/proc/pmdaproc -d 3\n"
            f"linux 60 pipe binary {PMDAS}/linux/pmdalinux\n"
        )
        self.options = ("-c", str(configuration), "-n", f"{PMNS}/root")

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in super().environment().items() if name != "PMCD_ROOT_AGENT"}
        return kept | self._more

    def fetch(self, *names: str, container: str = "") -> str:
        chosen = [f"--container={container}"] if container else []
        done = stock("pminfo", "-h", self.tcp, *chosen, "-f", *names)
        return done.stdout + done.stderr
