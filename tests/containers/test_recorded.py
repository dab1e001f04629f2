"""What engines left on a real machine, and what somebody could make of it: no root and no engine needed."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pypcp.resolver import untrusted_files
from pypcp.resolver.container import Container
from pypcp.resolver.engine_task import EngineTask, Findings
from pypcp.resolver.engines.containerd import Containerd
from pypcp.resolver.engines.docker import Docker
from pypcp.resolver.engines.lxc import Lxc
from pypcp.resolver.engines.nspawn import Nspawn
from pypcp.resolver.engines.podman import Podman
from pypcp.resolver.host_names import printable
from pypcp.resolver.processes import cgroup_of, hold, start_time
from pypcp.resolver.snapshot import Ambiguous, Snapshot
from pypcp.resolver.untrusted_files import Folder

DATA = Path(__file__).with_name("data")
RUNNING = "ec9103067a37aa7a256b64e5faba8d1e41a7e821c8ea0a2435a80f37c8e7cfdd"
CREATED = "d2ce5487e8601c00de76764ad49040490cecba52a53409a044225bd2db7f4db5"
PODS = "5485cf65b0212dfb8f3b37d5fb43e34ac42e581662fb57ffd83619df5c7b91fe"


@pytest.fixture(autouse=True)
def whoever_runs_this_is_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded files belong to whoever checked them out."""
    monkeypatch.setattr(untrusted_files, "ROOT", os.geteuid())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(DATA, tmp_path / "data")
    return tmp_path / "data"


def by_name(containers: list[Container]) -> dict[str, Container]:
    return {container.names[0] if container.names else container.ident: container for container in containers}


def docker(tree: Path) -> Docker:
    return Docker(str(tree / "docker"), str(tree / "docker/exec"))


def podman(tree: Path, owner: int = 0) -> Podman:
    return Podman(str(tree / "podman/graph"), str(tree / "podman/run"), [str(tree / "podman/runc")], owner)


def test_docker_has_name_state_process_and_start_time(tree: Path) -> None:
    found = by_name(docker(tree).scan())
    assert found["dk1"] == Container("docker", RUNNING, ("dk1",), running=True, pid=23708, start_time=246109)
    assert found["dkcreated"] == Container("docker", CREATED, ("dkcreated",))


def change(path: Path, **state: object) -> None:
    settings = json.loads(path.read_text())
    settings["State"].update(state)
    path.write_text(json.dumps(settings))
    os.utime(path, ns=(time.time_ns(), time.time_ns()))


def test_dockers_paused_and_restarting_are_told_apart_from_running(tree: Path) -> None:
    engine, path = docker(tree), tree / f"docker/containers/{RUNNING}/config.v2.json"
    engine.scan()
    change(path, Paused=True)
    found = by_name(engine.scan())["dk1"]
    assert (found.running, found.paused, found.restarting, found.pid) == (False, True, False, 23708)
    change(path, Paused=False, Restarting=True)
    found = by_name(engine.scan())["dk1"]
    assert (found.running, found.paused, found.restarting, found.pid) == (False, False, True, 0)


def test_podman_has_both_its_containers_and_the_runtimes_start_time(tree: Path) -> None:
    found = by_name(podman(tree).scan())
    assert found["pm1"] == Container("podman", PODS, ("pm1",), running=True, pid=23860, start_time=246175)
    assert (found["pmcreated"].running, found["pmcreated"].pid) == (False, 0)


def lists(tree: Path, name: str, entries: Any) -> None:
    (tree / f"podman/graph/overlay-containers/{name}").write_text(json.dumps(entries))


def test_podmans_volatile_containers_are_found_and_a_transient_store_as_well(tree: Path) -> None:
    lists(tree, "volatile-containers.json", [{"id": "aa11", "names": ["quadlet"]}])
    (tree / "podman/run/overlay-containers/containers.json").write_text('[{"id": "bb22", "names": ["transient"]}]')
    assert {"pm1", "pmcreated", "quadlet", "transient"} == set(by_name(podman(tree).scan()))


def test_every_storage_driver_is_looked_at(tree: Path) -> None:
    for driver in ("vfs", "btrfs", "zfs"):
        folder = tree / f"podman/graph/{driver}-containers"
        folder.mkdir()
        (folder / "containers.json").write_text(json.dumps([{"id": f"{driver}1", "names": [driver]}]))
    assert {"vfs", "btrfs", "zfs", "pm1", "pmcreated"} == set(by_name(podman(tree).scan()))


def test_a_list_of_forty_containers_is_read_whole(tree: Path) -> None:
    many = [
        {"id": f"{number:064x}", "names": [f"c{number}", f"also{number}"], "pad": "x" * 400} for number in range(40)
    ]
    lists(tree, "containers.json", many)
    snapshot = Snapshot(podman(tree).scan())
    for number in range(40):
        for name in (f"c{number}", f"also{number}"):
            found = snapshot.find(name)
            assert found is not None
            assert found.ident == f"{number:064x}"


def test_entries_without_names_or_with_nonsense_cost_only_themselves(tree: Path) -> None:
    nonsense: list[Any] = [{"id": "aaaa1"}, {"names": ["x"]}, 7, None, {"id": 5}, {"id": "../etc", "names": ["y"]}]
    nonsense += [{"id": "bbbb2", "names": "z"}, {"id": "cccc3", "names": [1, None, "good", "bad\nname"]}, [[]]]
    lists(tree, "containers.json", nonsense)
    found = by_name(podman(tree).scan())
    assert set(found) == {"aaaa1", "bbbb2", "good"}
    assert found["good"].names == ("good",)


@pytest.mark.parametrize(
    "content",
    [b"", b"[{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"null", b'"x"', b"[1e999999]"],
    ids=["empty", "half", "no text", "deep list", "deep object", "null", "string", "huge number"],
)
def test_a_broken_list_is_an_empty_one(tree: Path, content: bytes) -> None:
    (tree / "podman/graph/overlay-containers/containers.json").write_bytes(content)
    (tree / f"docker/containers/{RUNNING}/config.v2.json").write_bytes(content)
    assert podman(tree).scan() == []
    assert set(by_name(docker(tree).scan())) == {"dkcreated"}


def test_a_huge_list_is_not_read(tree: Path) -> None:
    with (tree / "podman/graph/overlay-containers/containers.json").open("r+b") as file:
        file.truncate(1 << 30)
    assert podman(tree).scan() == []


@pytest.fixture
def in_time() -> Iterator[None]:
    """A FIFO that is opened the wrong way blocks for ever: end the test instead."""

    def too_long(*_: object) -> None:
        raise TimeoutError("blocked")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_time")
def test_fifos_links_and_directories_in_place_of_files_are_passed_over(tree: Path) -> None:
    pidfile = tree / f"podman/run/overlay-containers/{PODS}/userdata/pidfile"
    state = tree / f"podman/runc/{PODS}/state.json"
    secret = tree / "secret"
    secret.write_text("1234")
    state.unlink()
    for plant in (os.mkfifo, os.mkdir, lambda path: os.symlink(secret, path)):
        shutil.rmtree(pidfile) if pidfile.is_dir() else pidfile.unlink()
        plant(pidfile)
        assert by_name(podman(tree).scan())["pm1"].pid == 0
    listed = tree / "podman/graph/overlay-containers/containers.json"
    listed.unlink()
    os.mkfifo(listed)
    assert podman(tree).scan() == []


def test_a_file_of_another_account_is_not_believed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted_files, "ROOT", os.geteuid() + 1)
    assert podman(tree, owner=os.geteuid() + 1).scan() == []
    assert podman(tree, owner=os.geteuid()).scan() != []


def test_a_users_directory_that_is_a_link_is_not_followed(tree: Path) -> None:
    (tree / "podman/graph/overlay-containers").rename(tree / "elsewhere")
    (tree / "podman/graph/overlay-containers").symlink_to(tree / "elsewhere")
    assert podman(tree, owner=4242).scan() == []
    assert podman(tree).scan() != []


def test_containerd_has_the_shims_process_and_no_container_of_dockers(tree: Path) -> None:
    shutil.copytree(
        tree / "containerd/io.containerd.runtime.v2.task/default",
        tree / "containerd/io.containerd.runtime.v2.task/moby",
    )
    [found] = Containerd(str(tree / "containerd")).scan()
    assert (found.engine, found.ident, found.pid) == ("containerd", "ct1", 32299)


def pod(tree: Path, ident: str, kind: str, container: str = "") -> None:
    """A task as CRI leaves it: the annotations are those of containerd 1.6."""
    task = tree / f"containerd/io.containerd.runtime.v2.task/k8s.io/{ident}"
    task.mkdir(parents=True)
    prefix = "io.kubernetes.cri."
    annotations = {f"{prefix}container-type": kind, f"{prefix}sandbox-name": "webpod"}
    annotations |= {f"{prefix}sandbox-namespace": "shop", f"{prefix}sandbox-uid": "uid-1"}
    annotations |= {f"{prefix}container-name": container} if container else {}
    (task / "config.json").write_text(json.dumps({"annotations": annotations}))
    (task / "init.pid").write_text("4242")


def test_kubernetes_names_find_the_pods_sandbox_and_its_containers(tree: Path) -> None:
    pod(tree, "a" * 64, "sandbox")
    pod(tree, "b" * 64, "container", "nginx")
    snapshot = Snapshot(Containerd(str(tree / "containerd")).scan())
    for name, ident in (("webpod", "a"), ("shop/webpod", "a"), ("shop.webpod", "a"), ("nginx", "b")):
        found = snapshot.find(name)
        assert found is not None
        assert (found.ident, found.engine) == (ident * 64, "cri")
    for name in ("webpod/nginx", "webpod.nginx", "shop/webpod/nginx", "shop.webpod.nginx", "bbbb"):
        found = snapshot.find(name)
        assert found is not None
        assert found.ident == "b" * 64
    assert snapshot.find("shop") is None


def test_cri_o_names_in_podmans_storage_are_kubernetes_names_too(tree: Path) -> None:
    name = "k8s_nginx_webpod_shop_0123_0"
    (tree / "podman/runc/c0c0").mkdir()
    (tree / "podman/runc/c0c0/status").write_text('{"pid": 77, "process-start-time": 99}')
    lists(tree, "containers.json", [{"id": "c0c0", "names": [name], "metadata": '{"pod-id": "p", "pod-name": "x"}'}])
    [found] = podman(tree).scan()
    assert (found.engine, found.pid, found.start_time) == ("cri-o", 77, 99)
    assert Snapshot([found]).find("shop.webpod.nginx") is found
    assert Snapshot([found]).find(name) is found


def test_what_is_known_of_a_task_is_forgotten_with_it(tree: Path) -> None:
    engine = Containerd(str(tree / "containerd"))
    for ident in "abc":
        pod(tree, ident * 64, "sandbox")
        assert {task.ident for task in engine.scan()} == {"ct1", ident * 64}
        shutil.rmtree(tree / f"containerd/io.containerd.runtime.v2.task/k8s.io/{ident * 64}")
    engine.scan()
    assert [Path(path).name for path in engine._known] == ["ct1"]


def test_machined_files_are_containers_unless_they_are_virtual_machines(tmp_path: Path) -> None:
    machines = tmp_path / "machines"
    machines.mkdir()
    (machines / "web").write_text(
        "# This is private data\nNAME=web\nUNIT=machine-web.scope\nCLASS=container\nLEADER=4321\n"
    )
    (machines / "virtual").write_text("NAME=virtual\nCLASS=vm\nLEADER=1\n")
    (machines / "unit:machine-web.scope").symlink_to("web")
    [found] = Nspawn(str(machines), str(tmp_path / "none")).scan()
    assert (found.ident, found.pid, found.unit) == ("web", 4321, "machine-web.scope")


def test_lxc_containers_that_do_not_run_are_known(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/config").write_text("")
    (tmp_path / "no-container").mkdir()
    [found] = Lxc("lxc", str(tmp_path), str(tmp_path)).scan()
    assert (found.ident, found.running) == ("one", False)


# Names.


def one(ident: str, *names: str, owner: int = 0, engine: str = "docker", pid: int = 5) -> Container:
    return Container(engine, ident, names, owner=owner, pid=pid)


def test_no_name_is_ever_guessed() -> None:
    snapshot = Snapshot(
        [one("c1", "c1", engine="lxc"), one("3017" + "a" * 60, "dk1"), one("6" * 64), one("6" * 63 + "7")]
    )
    for unknown in (
        "c2",
        "cXYZ",
        "c",
        "dk",
        "3",
        "301",
        "3017b",
        "0zzz",
        "6",
        "666",
        "3017A",
        "",
        "/",
        "dk1 ",
        "rcctr",
    ):
        assert snapshot.find(unknown) is None, unknown
    for known in ("c1", "/c1", "dk1", "/dk1", "3017", "3017a", "6" * 64):
        assert snapshot.find(known) is not None, known
    with pytest.raises(Ambiguous):
        snapshot.find("6666")


def test_an_exact_name_comes_before_an_exact_id_before_a_beginning() -> None:
    beginning, ident, name = one("beef" + "0" * 60), one("beef", engine="lxc"), one("x" * 64, "beef")
    assert Snapshot([beginning, ident, name]).find("beef") is name
    assert Snapshot([beginning, ident]).find("beef") is ident
    assert Snapshot([beginning]).find("beef") is beginning


def test_the_same_name_twice_is_no_answer() -> None:
    with pytest.raises(Ambiguous):
        Snapshot([one("a" * 64, "web"), one("b" * 64, "web", engine="podman")]).find("web")


def test_a_user_can_take_no_name_id_or_beginning_from_root() -> None:
    roots, users = one("beef" + "0" * 60, "web"), one("f" * 64, "web", "beef0", owner=1000)
    snapshot = Snapshot([users, roots])
    assert snapshot.find("web") is roots
    assert snapshot.find("beef0") is roots
    assert snapshot.find("ffff") is users


# Processes.


def test_a_claimed_process_is_held_only_if_it_started_when_the_runtime_says() -> None:
    pid = os.spawnv(os.P_NOWAIT, "/bin/sleep", ["sleep", "1000"])
    try:
        started = start_time(pid)
        process = hold(Container("x", "a" * 64, pid=pid, start_time=started))
        assert process is not None
        assert process.alive()
        assert hold(Container("x", "a" * 64, pid=pid, start_time=started - 1)) is None
        assert hold(Container("x", "a" * 64, pid=pid)) is None, "its control group does not bear the id"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not process.alive()
        assert process.cgroup() == ""
        process.close()
    finally:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_users_word_does_not_make_a_process_of_the_host_a_container() -> None:
    claimed = Container("podman", "a" * 64, pid=os.getpid(), start_time=start_time(os.getpid()), owner=1000)
    assert hold(claimed) is None


@pytest.mark.parametrize("pid", [0, 1, -1, 2**22 + 1, 2**31, 2**62])
def test_numbers_that_are_no_processes_are_held_by_nobody(pid: int) -> None:
    assert hold(Container("x", "a", pid=pid, start_time=1)) is None


LONG = (
    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod"
    + "0" * 120
    + ".slice/cri-containerd-"
    + "a" * 64
)


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("0::/system.slice/docker-abc.scope\n", "/system.slice/docker-abc.scope"),
        ("0::/machine.slice/libpod-abc.scope/container\n", "/machine.slice/libpod-abc.scope/container"),
        (f"0::{LONG}.scope\n", f"{LONG}.scope"),
        ("9:name=systemd:/\n4:memory:/docker/abc\n0::/\n", "/docker/abc"),
        ("9:name=systemd:/x\n4:cpu,memory:/docker/abc\n", "/docker/abc"),
        ("4:memory:/docker/abc\n0::/docker/abc\n", "/docker/abc"),
        ("0::/\n", "/"),
        ("4:memory:/\n0::/\n", "/"),
        ("0::/../../other\n", "/"),
        ("", "/"),
        ("garbage\n", "/"),
    ],
)
def test_the_control_group_is_found_in_every_layout(text: str, group: str) -> None:
    assert cgroup_of(text.encode()) == group


@pytest.mark.parametrize(
    "name", [b"", b"a\nb", b"\x1b[31m", b'"', b"'", b"\\", b"`id`", b"h\xc3\xb6st", b"a\0b", b"\x7f"]
)
def test_host_names_that_could_forge_output_are_not_shown(name: bytes) -> None:
    assert not printable(name)


# The thread.


class Hanging:
    """An engine whose files never answer."""

    name = "hanging"

    def __init__(self, release: int) -> None:
        self._release = release

    def roots(self) -> list[str]:
        return []

    def folders(self) -> set[str]:
        return set()

    def scan(self) -> list[Container]:
        os.read(self._release, 1)
        return []


def test_a_scan_that_hangs_is_late_and_nobody_elses_business() -> None:
    release, hold_back = os.pipe()
    delivered: list[Findings] = []
    task = EngineTask(Hanging(release), lambda _, findings: delivered.append(findings))
    thread = task.start()
    end = time.monotonic() + 10
    while not task.late():
        assert time.monotonic() < end
        time.sleep(0.01)
    task.look_again()
    assert delivered == []
    task.stop()
    os.close(hold_back)
    thread.join(10)
    assert not thread.is_alive()
    os.close(release)


def test_a_folder_reads_nothing_outside_of_itself(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_text("secret")
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    (tmp_path / "in/folder").symlink_to(tmp_path)
    with Folder(str(tmp_path / "in"), os.geteuid()) as folder:
        assert folder.read("link") is None
        assert folder.read("folder/out") is None
