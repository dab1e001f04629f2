"""Real engines: what the helper answers is what the engine's own tool and the kernel say."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containers.engines import ENGINES, Docker, Engine, Lxc, Podman, engine, kernels_cgroup, root_file_system, run, some
from containers.served import Helper
from pypcp.errors import ContainerNotFound, OsError, PcpError
from pypcp.pmda.rootclient import RootClient
from waiting import wait_until

pytestmark = [pytest.mark.engines, pytest.mark.slow]


@pytest.fixture(scope="module", params=some(*sorted(ENGINES)))
def any_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with engine(request.param) as started:
        yield started


@pytest.fixture(scope="module")
def client(any_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RootClient]:
    with Helper(tmp_path_factory.mktemp("helper"), **any_engine.environment) as helper, helper.client() as connected:
        yield connected


def code(call: Callable[[], object]) -> int:
    """The code that a call fails with, 0 when it does not."""
    try:
        call()
    except PcpError as error:
        return error.code
    return 0


def settled(client: RootClient, name: str, wanted: int = 0) -> None:
    wait_until(lambda: code(lambda: client.container_pid(name)) == wanted, f"{name} is {wanted}", 5)


def test_a_running_container_is_known_by_name_and_by_id(any_engine: Engine, client: RootClient) -> None:
    ident = any_engine.start("one", "one-host")
    settled(client, "one")
    pid = any_engine.pid("one")
    assert client.container_pid("one") == client.container_pid("/one") == client.container_pid(ident) == pid
    assert client.container_hostname("one") == "one-host"
    assert client.container_cgroup("one") == kernels_cgroup(pid)
    if len(ident) == 64:
        assert client.container_pid(ident[:12]) == client.container_pid(ident[:4]) == pid
        assert code(lambda: client.container_pid(ident[:3])) == ContainerNotFound.code
        assert code(lambda: client.container_pid(ident[:11] + "g")) == ContainerNotFound.code


def test_names_that_are_nearly_right_are_unknown(any_engine: Engine, client: RootClient) -> None:
    any_engine.start("two", "two-host")
    settled(client, "two")
    for name in ("tw", "twoo", "Two", "two ", "t", "TWO", "two/", "*", "two\n"):
        for ask in (client.container_pid, client.container_hostname, client.container_cgroup):
            assert code(lambda: ask(name)) == ContainerNotFound.code, name  # noqa: B023


def test_the_host_name_is_the_kernels_of_this_moment(any_engine: Engine, client: RootClient) -> None:
    any_engine.start("renamed", "before")
    settled(client, "renamed")
    assert client.container_hostname("renamed") == "before"
    run("nsenter", "-t", any_engine.pid("renamed"), "-u", "hostname", "after")
    assert client.container_hostname("renamed") == "after"


def test_a_host_name_that_could_forge_output_is_refused(any_engine: Engine, client: RootClient) -> None:
    any_engine.start("evil", "good")
    settled(client, "evil")
    code_to_run = "import socket, sys; socket.sethostname(sys.argv[1].encode('latin-1'))"
    for name in ("line\nfeed", "\x1b[31mred", 'quo"te', "back\\slash", "h\xf6st"):
        run("nsenter", "-t", any_engine.pid("evil"), "-u", sys.executable, "-I", "-c", code_to_run, name)
        assert code(lambda: client.container_hostname("evil")) == -22


def test_a_container_that_ended_has_no_process_and_never_another_ones(any_engine: Engine, client: RootClient) -> None:
    any_engine.start("ended", "ended-host")
    settled(client, "ended")
    any_engine.kill("ended")
    wait_until(lambda: code(lambda: client.container_pid("ended")) in (-3, ContainerNotFound.code), "its end", 5)
    for ask in (client.container_pid, client.container_hostname, client.container_cgroup):
        assert code(lambda: ask("ended")) in (-3, ContainerNotFound.code)  # noqa: B023


def test_a_killed_first_process_is_noticed_at_once(any_engine: Engine, client: RootClient) -> None:
    any_engine.start("shot", "shot-host")
    settled(client, "shot")
    os.kill(any_engine.pid("shot"), 9)
    wait_until(lambda: code(lambda: client.container_pid("shot")) in (-3, ContainerNotFound.code), "its end", 1)


@pytest.mark.parametrize("any_engine", some("docker", "lxc", "podman"), indirect=True)
def test_a_container_that_was_only_created_is_known_and_has_no_process(any_engine: Engine, client: RootClient) -> None:
    assert isinstance(any_engine, Docker | Podman | Lxc)
    any_engine.create("created")
    settled(client, "created", -3)
    assert code(lambda: client.container_hostname("created")) == -3
    assert code(lambda: client.container_cgroup("created")) == -3


@pytest.mark.parametrize("any_engine", some("docker", "podman"), indirect=True)
def test_restarted_renamed_paused_and_removed_containers_are_followed(any_engine: Engine, client: RootClient) -> None:
    assert isinstance(any_engine, Docker | Podman)
    ident = any_engine.start("first", "host")
    settled(client, "first")
    before = client.container_pid("first")
    any_engine("restart", "-t", "0", "first")
    wait_until(
        lambda: code(lambda: client.container_pid("first")) == 0 and client.container_pid("first") != before, "again"
    )
    assert client.container_pid("first") == any_engine.pid("first")
    any_engine("rename", "first", "second")
    settled(client, "second")
    settled(client, "first", ContainerNotFound.code)
    any_engine("pause", "second")
    assert client.container_pid("second") == any_engine.pid("second")
    assert client.container_hostname("second") == "host"
    any_engine("unpause", "second")
    any_engine.kill("second")
    any_engine("rm", "-f", "second")
    settled(client, "second", ContainerNotFound.code)
    assert code(lambda: client.container_pid(ident)) == ContainerNotFound.code


@pytest.mark.parametrize("any_engine", some("docker", "podman"), indirect=True)
def test_an_ambiguous_beginning_of_an_id_is_no_answer(any_engine: Engine, client: RootClient) -> None:
    assert isinstance(any_engine, Docker | Podman)
    idents = [any_engine.create(f"many{number}") for number in range(18)]
    settled(client, "many17", -3)
    for length in range(1, 5):
        matching = [ident for ident in idents if ident.startswith(idents[0][:length])]
        if length < 4 or len(matching) > 1:
            assert code(lambda: client.container_pid(idents[0][:length])) == ContainerNotFound.code  # noqa: B023


@pytest.mark.rare
def test_rootless_podman_is_found_and_cannot_take_the_name_of_roots(tmp_path: Path) -> None:
    with (
        engine("podman") as podman,
        Rootless("pypcp-test") as user,
        Helper(tmp_path, **podman.environment) as helper,
        helper.client() as client,
    ):
        user.start("mine", "mine-host")
        user.start("theirs", "false")
        podman.start("theirs", "true")
        settled(client, "mine")
        settled(client, "theirs")
        assert client.container_hostname("mine") == "mine-host"
        assert client.container_hostname("theirs") == "true"
        with pytest.raises(OsError):
            client.container_cgroup("mine")  # it has none of its own here


@pytest.mark.parametrize("name", some("docker", "podman"))
def test_an_engine_whose_files_cannot_be_read_is_asked_by_its_socket(tmp_path: Path, name: str) -> None:
    (tmp_path / "nothing").mkdir()
    elsewhere = {"PCP_DOCKER_DIR": f"{tmp_path}/nothing", "PCP_PODMAN_DATADIR": f"{tmp_path}/nothing"}
    with engine(name) as started, socket_of(started) as path:
        policy = f'engine-sockets = ["{name}:{path}"]\n'
        with Helper(tmp_path, policy=policy, **elsewhere) as helper, helper.client() as client:
            ident = started.start("web", "web-host")
            settled(client, "web")
            assert client.container_pid(ident[:12]) == started.pid("web")
            assert client.container_hostname("web") == "web-host"
            assert client.container_cgroup("web") == kernels_cgroup(started.pid("web"))
            started.kill("web")
            settled(client, "web", -3)


@contextlib.contextmanager
def socket_of(started: Engine) -> Iterator[str]:
    """Docker's socket, or a service of podman's for as long as it is needed."""
    path = f"{started.folder}/sock"
    if not isinstance(started, Podman):
        yield path
        return
    with started.service(path):
        yield path


class Rootless:
    """An account of its own with an image in its storage; a call runs its podman."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> "Rootless":
        run("useradd", "-m", "-s", "/bin/bash", self.name)
        self.uid = int(run("id", "-u", self.name))
        Path(f"/run/user/{self.uid}").mkdir(parents=True)
        os.chown(f"/run/user/{self.uid}", self.uid, self.uid)
        root = root_file_system(Path(f"/home/{self.name}/R"))
        run("tar", "-C", root, "-cf", f"/home/{self.name}/R.tar", ".")
        os.chmod(f"/home/{self.name}/R.tar", 0o644)
        self("import", f"/home/{self.name}/R.tar", "bb")
        return self

    def start(self, name: str, hostname: str) -> None:
        self("run", "-d", f"--name={name}", f"--hostname={hostname}", "--network=none", "localhost/bb", "sleep 100000")

    def __call__(self, *words: str) -> str:
        options = "--cgroup-manager cgroupfs --storage-driver vfs --runtime runc"
        limits = " --ulimit nofile=1000:1000 --ulimit nproc=1000:1000" if words[0] == "run" else ""
        rest = " ".join(words[1:])
        line = f"cd; XDG_RUNTIME_DIR=/run/user/{self.uid} podman {options} {words[0]}{limits} {rest}"
        return run("su", "-", self.name, "-c", line)

    def __exit__(self, *_: object) -> None:
        self("rm", "-af", "-t", "0")
        subprocess.run(["pkill", "-KILL", "-u", str(self.uid)], check=False)
        wait_until(lambda: not run("pgrep", "-u", str(self.uid), check=False), "the end of the account's processes")
        run("userdel", "-r", self.name, check=False)
        subprocess.run(["rm", "-rf", f"/run/user/{self.uid}"], check=False)
