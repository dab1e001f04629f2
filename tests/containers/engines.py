"""Real container engines, each private to the test: a daemon of its own or a storage of its own, gone afterwards."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containers.served import gone
from peers import require
from waiting import wait_until

COMMON = ("lxc", "podman")
"""The engines that CI installs."""
PACKAGES = "docker.io podman lxc containerd runc conmon uidmap systemd-container busybox-static"
_SLEEP = ("/bin/sleep", "100000")


def run(*words: object, timeout_s: float = 60.0, check: bool = True, **environment: str) -> str:
    """Run an engine's own tool; its standard output."""
    command = [str(word) for word in words]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **environment},
    )
    assert not check or done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def needed(*programs: str) -> None:
    """Skip by name (or fail, in CI) where an engine cannot be run."""
    require(os.geteuid() == 0, "root, to run container engines")
    for program in (*programs, "busybox"):
        require(shutil.which(program), f"{program} (Debian packages {PACKAGES})")


def root_file_system(folder: Path) -> Path:
    """A root file system of one static program."""
    for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr"):
        (folder / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), folder / "bin/busybox")
    for name in ("sh", "sleep", "hostname", "cat"):
        (folder / "bin" / name).symlink_to("busybox")
    (folder / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (folder / "etc/os-release").write_text("ID=test\n")
    return folder


def kernels_cgroup(pid: int) -> str:
    """The control group of a process. An engine may have had to choose another than the container's own name: LXC adds
    a number where the group of a container that was killed with everything else is still there."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return next(path for _, controllers, path in lines if controllers == "")


class Engine(ABC):
    """What every engine can do for a test; `environment` tells the helper where its state is."""

    name: str
    environment: dict[str, str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = root_file_system(folder / "R")

    @abstractmethod
    def start(self, name: str, hostname: str) -> str:
        """Create and start a container; its id, or its name."""

    @abstractmethod
    def kill(self, name: str) -> None:
        """End it; it stays known."""

    @abstractmethod
    def pid(self, name: str) -> int:
        """Its first process, by the engine's own word."""

    @abstractmethod
    def close(self) -> None:
        """Remove every trace."""

    def archive(self) -> Path:
        archive = self.folder / "R.tar"
        if not archive.exists():
            run("tar", "-C", self.root, "-cf", archive, ".")
        return archive


class Docker(Engine):
    name = "docker"

    def __init__(self, folder: Path) -> None:
        needed("dockerd", "docker", "containerd", "runc")
        super().__init__(folder)
        self.address = f"unix://{folder}/sock"
        self.environment = {"PCP_DOCKER_DIR": str(folder / "data")}
        words = ["dockerd", "--iptables=false", "--bridge=none", "--data-root", f"{folder}/data"]
        words += ["--exec-root", f"{folder}/exec", "-H", self.address, "--pidfile", f"{folder}/pid"]
        with (folder / "log").open("w") as log:
            self._daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until((folder / "sock").exists, "dockerd's socket", 30)
        wait_until(lambda: run("docker", "-H", self.address, "info", check=False), "dockerd", 30)
        self("import", self.archive(), "bb")

    def __call__(self, *words: object, check: bool = True) -> str:
        return run("docker", "-H", self.address, *words, check=check)

    def start(self, name: str, hostname: str) -> str:
        limit = "--ulimit=nofile=1000:1000"
        return self("run", "-d", "--network=none", limit, f"--name={name}", f"--hostname={hostname}", "bb", *_SLEEP)

    def create(self, name: str) -> str:
        return self("create", "--network=none", f"--name={name}", "bb", *_SLEEP)

    def kill(self, name: str) -> None:
        self("kill", name)

    def pid(self, name: str) -> int:
        return int(self("inspect", "-f", "{{.State.Pid}}", name))

    def state(self, name: str) -> str:
        return self("inspect", "-f", "{{.State.Status}}", name)

    def freeze(self, name: str) -> None:
        self("pause", name)

    def thaw(self, name: str) -> None:
        self("unpause", name)

    def close(self) -> None:
        idents = self("ps", "-aq", check=False).split()
        if idents:
            self("rm", "-f", *idents, check=False)
        self._daemon.terminate()
        self._daemon.wait(30)
        unmount_below(self.folder)


class Podman(Engine):
    name = "podman"

    def __init__(self, folder: Path) -> None:
        needed("podman", "runc", "conmon")
        super().__init__(folder)
        self._words = ["podman", "--root", f"{folder}/graph", "--runroot", f"{folder}/run", "--runtime", "runc"]
        self._words += ["--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", "--tmpdir", f"{folder}/libpod"]
        self.environment = {
            "PCP_PODMAN_DATADIR": f"{folder}/graph/vfs-containers",
            "PCP_PODMAN_RUNDIR": f"{folder}/run/vfs-containers",
        }
        self("import", self.archive(), "bb")

    def __call__(self, *words: object, check: bool = True) -> str:
        return run(*self._words, *words, check=check)

    @contextlib.contextmanager
    def service(self, path: str) -> Iterator[None]:
        """Its API, on a socket that the group may write to, as that of podman.socket is."""
        words = [*self._words, "system", "service", "--time", "0", f"unix://{path}"]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL) as service:
            try:
                wait_until(lambda: os.path.exists(path), "podman's socket")
                os.chmod(path, 0o660)
                yield
            finally:
                service.terminate()

    def _options(self, name: str) -> list[str]:
        return ["--network=none", "--ulimit=nofile=1000:1000", "--ulimit=nproc=1000:1000", f"--name={name}"]

    def start(self, name: str, hostname: str) -> str:
        return self("run", "-d", *self._options(name), f"--hostname={hostname}", "localhost/bb", *_SLEEP)

    def create(self, name: str) -> str:
        return self("create", *self._options(name), "localhost/bb", *_SLEEP)

    def kill(self, name: str) -> None:
        self("kill", name)

    def pid(self, name: str) -> int:
        return int(self("inspect", "-f", "{{.State.Pid}}", name))

    def state(self, name: str) -> str:
        return self("inspect", "-f", "{{.State.Status}}", name)

    def freeze(self, name: str) -> None:
        self("pause", name)

    def thaw(self, name: str) -> None:
        self("unpause", name)

    def close(self) -> None:
        self("rm", "-af", "-t", "0", check=False)
        unmount_below(self.folder)


class Lxc(Engine):
    name = "lxc"

    def __init__(self, folder: Path) -> None:
        needed("lxc-start", "lxc-info")
        super().__init__(folder)
        self._containers = folder / "lxc"
        self._containers.mkdir()
        self.environment = {"PCP_LXC_DIR": str(self._containers)}
        folder.chmod(0o755)

    def start(self, name: str, hostname: str) -> str:
        self.create(name, hostname)
        run("lxc-start", "-P", self._containers, "-n", name, "-d")
        return name

    def create(self, name: str, hostname: str = "host") -> str:
        own = self._containers / name
        shutil.copytree(self.root, own / "rootfs", symlinks=True)
        settings = {
            "lxc.uts.name": hostname,
            "lxc.rootfs.path": f"dir:{own}/rootfs",
            "lxc.net.0.type": "none",
            "lxc.apparmor.profile": "unconfined",
            "lxc.init.cmd": " ".join(_SLEEP),
        }
        (own / "config").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        return name

    def __call__(self, tool: str, name: str, *words: str) -> str:
        return run(f"lxc-{tool}", "-P", self._containers, "-n", name, *words)

    def kill(self, name: str) -> None:
        self("stop", name, "-k")

    def pid(self, name: str) -> int:
        return int(self("info", name, "-p", "-H"))

    def state(self, name: str) -> str:
        return {"FROZEN": "paused"}.get(said := self("info", name, "-s", "-H"), said.lower())

    def freeze(self, name: str) -> None:
        self("freeze", name)

    def thaw(self, name: str) -> None:
        self("unfreeze", name)

    def close(self) -> None:
        for own in self._containers.iterdir():
            run("lxc-stop", "-P", self._containers, "-n", own.name, "-k", check=False)


class Containerd(Engine):
    name = "containerd"

    def __init__(self, folder: Path) -> None:
        needed("containerd", "ctr", "runc")
        super().__init__(folder)
        self.environment = {"PCP_CONTAINERD_DIR": f"{folder}/state"}
        self._socket = f"{folder}/sock"
        (folder / "config.toml").write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\n  address = "{self._socket}"\n'
        )
        with (folder / "log").open("w") as log:
            words = ["containerd", "--config", f"{folder}/config.toml"]
            self._daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: run("ctr", "-a", self._socket, "version", check=False), "containerd", 30)
        self._import_image()

    def _import_image(self) -> None:
        """An image out of nothing: a layer, its configuration and a manifest, as `docker save` would write them."""
        layout = self.folder / "image"
        layout.mkdir()
        shutil.copy(self.archive(), layout / "layer.tar")
        digest = run("sha256sum", layout / "layer.tar").split()[0]
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
        settings: dict[str, Any] = {"architecture": "amd64", "os": "linux", "rootfs": rootfs, "config": {}}
        (layout / "config.json").write_text(json.dumps(settings))
        manifest = [{"Config": "config.json", "RepoTags": ["docker.io/library/bb:latest"], "Layers": ["layer.tar"]}]
        (layout / "manifest.json").write_text(json.dumps(manifest))
        run("tar", "-C", layout, "-cf", self.folder / "image.tar", "manifest.json", "config.json", "layer.tar")
        self("images", "import", "--all-platforms", self.folder / "image.tar")

    def __call__(self, *words: object, check: bool = True) -> str:
        return run("ctr", "-a", self._socket, *words, check=check)

    def start(self, name: str, hostname: str) -> str:
        self("run", "-d", "docker.io/library/bb:latest", name, *_SLEEP)
        run("nsenter", "-t", self.pid(name), "-u", "hostname", hostname)
        return name

    def kill(self, name: str) -> None:
        self("task", "kill", "-s", "KILL", name)

    def pid(self, name: str) -> int:
        return int(self._task(name)[0])

    def state(self, name: str) -> str:
        return self._task(name)[1].lower()

    def freeze(self, name: str) -> None:
        self("task", "pause", name)

    def thaw(self, name: str) -> None:
        self("task", "resume", name)

    def _task(self, name: str) -> list[str]:
        """Its process and its status."""
        rows = [line.split() for line in self("task", "ls").splitlines()[1:]]
        return next(facts for task, *facts in rows if task == name)

    def close(self) -> None:
        for line in self("task", "ls", check=False).splitlines()[1:]:
            self("task", "rm", "-f", line.split()[0], check=False)
        self._daemon.terminate()
        self._daemon.wait(30)
        unmount_below(self.folder)


class Nspawn(Engine):
    name = "nspawn"
    environment: dict[str, str] = {}

    def __init__(self, folder: Path) -> None:
        needed("systemd-nspawn")
        super().__init__(folder)
        self._machines: dict[str, Path] = {}

    def start(self, name: str, hostname: str) -> str:
        own = self._machines[name] = self.folder / name
        shutil.copytree(self.root, own, symlinks=True)
        words = ["systemd-nspawn", "--register=no", "--keep-unit", "-M", name, f"--hostname={hostname}", "-D", own]
        quiet = subprocess.DEVNULL
        words = ["setsid", "--fork", *words, "--private-network", "-a", *_SLEEP]
        subprocess.run(list(map(str, words)), stdin=quiet, stdout=quiet, stderr=quiet, check=True)
        wait_until(lambda: self._first(name), f"machine {name}")
        wait_until(lambda: self._host_name(name) == hostname, f"host name of machine {name}")
        return name

    def _supervisor(self, name: str) -> int:
        found = run("pgrep", "-o", "-f", f"^systemd-nspawn .* -D {self._machines[name]} ", check=False)
        return int(found) if found.isdigit() else 0

    def _first(self, name: str) -> int:
        """The child of nspawn that is process 1 in there."""
        parent = self._supervisor(name)
        with contextlib.suppress(OSError):
            for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
                if any(line.endswith("\t1") for line in _status(word) if line.startswith("NSpid")):
                    return int(word)
        return 0

    def _host_name(self, name: str) -> str:
        return run("nsenter", "-t", self._first(name), "-u", "hostname", check=False)

    def kill(self, name: str) -> None:
        supervisor = self._supervisor(name)
        os.kill(self.pid(name), 9)
        wait_until(lambda: gone(supervisor), f"the end of machine {name}")

    def pid(self, name: str) -> int:
        first = self._first(name)
        assert first > 1, f"machine {name} has no process"
        return first

    def close(self) -> None:
        for name in self._machines:
            if self._supervisor(name):
                self.kill(name)


def _status(pid: str) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text().splitlines()


ENGINES: dict[str, type[Engine]] = {cls.name: cls for cls in (Docker, Podman, Lxc, Containerd, Nspawn)}


def some(*names: str) -> list[pytest.ParameterSet]:
    """Engines as parameters; those that CI does not install are marked as rare."""
    return [pytest.param(name, marks=[] if name in COMMON else [pytest.mark.rare]) for name in names]


def unmount_below(folder: Path) -> None:
    """Whatever an engine left mounted would keep the temporary directory from being removed."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        point = line.split()[1]
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", point], check=False)


@contextlib.contextmanager
def engine(name: str) -> Iterator[Engine]:
    """One engine, for as long as the block lasts, in a directory with a short name (podman takes no long ones)."""
    with tempfile.TemporaryDirectory(prefix="pypcp-") as folder:
        Path(folder).chmod(0o755)
        started = ENGINES[name](Path(folder))
        try:
            yield started
        finally:
            started.close()
            wait_until(lambda: not run("pgrep", "-f", folder, check=False), f"the end of what {name} had started")
