"""What engines left on a real machine, and what somebody could make of it: no root and no engine needed."""

import contextlib
import errno
import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest

from peers import require
from pypcp.resolver import host_names as host_names_module
from pypcp.resolver import untrusted_files
from pypcp.resolver.container import Container
from pypcp.resolver.containers_agent import shown
from pypcp.resolver.engine_task import EngineTask, Findings, key_of
from pypcp.resolver.engines import AGAIN_S, STARTING_S, Engine
from pypcp.resolver.engines.containerd import Containerd
from pypcp.resolver.engines.docker import Docker
from pypcp.resolver.engines.lxc import Lxc
from pypcp.resolver.engines.nspawn import Nspawn
from pypcp.resolver.engines.podman import Podman
from pypcp.resolver.ground_watch import Ground
from pypcp.resolver.host_names import HostNames, printable
from pypcp.resolver.inotify import Inotify
from pypcp.resolver.processes import cgroup_of, hold, start_time
from pypcp.resolver.renewals import LONGEST_FOR_USERS_S, LONGEST_S, Renewals
from pypcp.resolver.resolver import Resolver
from pypcp.resolver.roots import Root, open_root
from pypcp.resolver.snapshot import Ambiguous, Snapshot
from pypcp.resolver.untrusted_files import open_folder
from pypcp.root import landlock
from pypcp.root.loop import Loop
from waiting import wait_until

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
    places = (str(tree / "podman/graph"), str(tree / "podman/run"), [str(tree / "podman/runc")])
    return Podman(*places, owner, (str(tree),) if owner else ())


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
    assert podman(tree).scan() == []
    monkeypatch.setattr(untrusted_files, "ROOT", os.geteuid())
    assert podman(tree).scan() != []
    assert podman(tree, owner=4242).scan() == []


def test_a_users_directory_that_is_a_link_is_not_followed(tree: Path) -> None:
    (tree / "podman/graph/overlay-containers").rename(tree / "elsewhere")
    (tree / "podman/graph/overlay-containers").symlink_to(tree / "elsewhere")
    assert podman(tree, owner=4242).scan() == []
    assert podman(tree).scan() != []


@pytest.fixture
def user(tree: Path) -> int:
    """An ordinary account whose the files are: whoever runs this, or one that root gives them to."""
    uid = os.geteuid() or 4242
    for folder, _, files in os.walk(tree):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, uid, -1)
    return uid


def given_to(uid: int, path: Path) -> None:
    os.chown(path, uid, -1)


def test_a_user_has_so_many_containers_and_no_more(tree: Path, user: int) -> None:
    lists(tree, "containers.json", [{"id": f"{number:064x}"} for number in range(2000)])
    assert len(podman(tree, owner=user).scan()) == 512


def test_all_of_a_users_lists_together_are_as_long_as_one_may_be(tree: Path, user: int) -> None:
    for number, driver in enumerate(("overlay", "vfs", "btrfs", "zfs", "aufs")):
        folder = tree / f"podman/graph/{driver}-containers"
        folder.mkdir(exist_ok=True)
        path = folder / "containers.json"
        path.write_text(json.dumps([{"id": f"{number:064x}", "pad": 300_000 * "x"}]))
        given_to(user, folder)
        given_to(user, path)
    assert len(podman(tree, owner=user).scan()) == 3
    lists(tree, "containers.json", [{"id": "aa11", "pad": 2_000_000 * "x"}])
    assert "aa11" not in by_name(podman(tree, owner=user).scan())


def test_a_list_of_nothing_but_structure_is_not_taken_apart(tree: Path) -> None:
    nothing = b"[" + b",".join([b"{}"] * 1_000_000) + b"]"
    (tree / "podman/graph/overlay-containers/containers.json").write_bytes(nothing)
    tracemalloc.start()
    try:
        assert podman(tree).scan() == []
        assert tracemalloc.get_traced_memory()[1] < 4 * len(nothing)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("planted", ["podman/graph/overlay-containers", "podman/graph"])
def test_nothing_outside_of_a_users_home_can_be_opened_by_a_link_of_his(tree: Path, user: int, planted: str) -> None:
    [root, *_] = podman(tree, owner=user).roots()
    os.close(open_root(root))
    (tree / planted).rename(tree / "elsewhere")
    for target in ("/", str(tree / "elsewhere"), "../elsewhere"):
        (tree / planted).symlink_to(target)
        with pytest.raises(OSError, match="symbolic links"):
            open_root(root)
        (tree / planted).unlink()


def test_a_users_directory_is_his_own(tree: Path, user: int) -> None:
    [root, *_] = podman(tree, owner=user).roots()
    with pytest.raises(PermissionError):
        open_root(root._replace(owner=user + 1))
    with pytest.raises(PermissionError):
        open_root(Root(f"{tree}/podman", user, "/"))


CONFINED = """
import os, sys
from pypcp.resolver.roots import Root, open_root
from pypcp.root import confine, landlock
inside, outside = sys.argv[1:]
folder = open_root(Root(inside, os.stat(inside).st_uid, os.path.dirname(inside)))
os.rename(inside, inside + "-before")
os.symlink(outside, inside)
confine.no_new_privileges()
landlock.restrict([folder])
print(open(inside + "-before/file").read())
try:
    open(inside + "/file")
except PermissionError:
    print("refused")
"""


def test_a_link_planted_after_the_check_does_not_widen_what_may_be_read(tmp_path: Path) -> None:
    require(landlock.version(), "Landlock")
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    words = [sys.executable, "-c", CONFINED, str(tmp_path / "inside"), str(tmp_path / "outside")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["inside", "refused"], done.stderr


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


def test_a_container_of_lxcs_that_is_starting_is_looked_at_until_its_process_is_there(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "root, whose monitors alone are believed")
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow/config").touch()
    engine = Lxc("lxc", str(tmp_path), str(tmp_path))
    engine.scan()
    assert engine.again_s == AGAIN_S
    monitor = subprocess.Popen([f"[lxc monitor] {tmp_path} slow"], executable="/bin/sh", stdin=subprocess.PIPE)
    try:
        # Its title is there a moment after its start.
        wait_until(
            lambda: [container.running for container in engine.scan()] == [False] and engine.again_s == STARTING_S, "it"
        )
    finally:
        monitor.communicate()


MONITOR = """
import ctypes, os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
ctypes.CDLL(None).unshare(0x20000000)  # CLONE_NEWPID
if os.fork() == 0:
    signal.pause()
print("started", flush=True)
signal.pause()
"""


@contextlib.contextmanager
def monitor(folder: Path, name: str) -> Iterator[int]:
    """A process of the title that LXC's monitors have, and its child, which is process 1 of a name space; its pid."""
    titled = subprocess.Popen(
        [f"[lxc monitor] {folder} {name}"],
        executable="/usr/bin/python3",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with titled:
        assert titled.stdin and titled.stdout
        titled.stdin.write(MONITOR)
        titled.stdin.close()
        assert titled.stdout.readline() == "started\n"
        [first] = map(int, Path(f"/proc/{titled.pid}/task/{titled.pid}/children").read_text().split())
        try:
            yield first
        finally:
            os.kill(first, signal.SIGKILL)
            titled.kill()


@pytest.mark.parametrize("engine", ["lxd", "incus"])
def test_instances_of_lxds_are_links_into_a_pool_and_run_beneath_a_monitor(tmp_path: Path, engine: str) -> None:
    """As LXD 5.0.2 left them: one running, one stopped, one running that is of a project."""
    require(os.geteuid() == 0, "root, whose monitors alone are believed")
    folder = tmp_path / "containers"
    folder.mkdir()
    for name in ("c1", "c2", "shop_web"):
        (tmp_path / "storage-pools/default/containers" / name).mkdir(parents=True)
        (folder / name).symlink_to(tmp_path / "storage-pools/default/containers" / name)
    with monitor(folder, "c1") as first, monitor(folder, "shop_web") as second, monitor(tmp_path, "c2"):
        found = by_name(Lxc(engine, str(folder), "/sys/fs/cgroup").scan())
        assert {name: (one.engine, one.running, one.pid) for name, one in found.items()} == {
            "c1": (engine, True, first),
            "c2": (engine, False, 0),
            "shop_web": (engine, True, second),
        }
        assert found["c1"].start_time == start_time(first)


def test_lxd_and_incus_are_looked_for_where_packages_and_the_snap_have_them() -> None:
    noted: list[str] = []
    engines = Lxc.configured({}, "/sys/fs/cgroup", lambda event, **_: noted.append(event))
    assert [(engine.name, *(root.path for root in engine.roots())) for engine in engines] == [
        ("lxc", "/var/lib/lxc"),
        ("lxd", "/var/lib/lxd/containers"),
        ("lxd", "/var/snap/lxd/common/lxd/containers"),
        ("incus", "/var/lib/incus/containers"),
    ]
    assert noted == []


def test_an_engine_is_looked_at_as_soon_as_it_says(tree: Path) -> None:
    engine = Busy(3)
    engine.again_s = 0.05
    task = task_of_engine(engine)
    thread = task.start()
    assert engine.done.wait(10)
    task.stop()
    thread.join(10)


def test_containerd_is_looked_for_where_the_distributions_of_kubernetes_have_it() -> None:
    roots = [engine.roots()[0].path for engine in Containerd.configured({}, print)]
    assert roots == [f"{place}/io.containerd.runtime.v2.task" for place in ("/run/containerd", "/run/k3s/containerd")]
    [own] = Containerd.configured({"PCP_CONTAINERD_DIR": "/elsewhere"}, print)
    assert own.roots()[0].path.startswith("/elsewhere/")


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


def test_a_process_is_asked_for_by_several_threads_at_once() -> None:
    process = hold(Container("x", "a" * 64, pid=os.getpid(), start_time=start_time(os.getpid())))
    assert process is not None
    with contextlib.closing(process), ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(lambda: all(process.alive() for _ in range(5000))) for _ in range(4)]
        assert all(each.result() for each in asked)


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


# The name-space reader.


@pytest.fixture
def reader_died() -> Iterator[tuple[Loop, HostNames]]:
    loop = Loop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    yield loop, HostNames(loop, ours)
    loop.close()
    ours.close()


def asked(loop: Loop, host_names: HostNames) -> list[tuple[int, bytes]]:
    """Where the answer to a question about this process will be; the loop ends with it."""
    answers: list[tuple[int, bytes]] = []

    def done(status: int, name: bytes) -> None:
        answers.append((status, name))
        loop.stop()

    pidfd = os.pidfd_open(os.getpid())
    host_names.ask(pidfd, done)
    os.close(pidfd)
    return answers


def test_a_question_that_no_reader_is_there_for_is_asked_the_next_one(reader_died: tuple[Loop, HostNames]) -> None:
    loop, host_names = reader_died
    answers = asked(loop, host_names)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        host_names.connect(ours)
        question, descriptors, _, _ = socket.recv_fds(theirs, 10, 1)
        assert (question, answers) == (b"h", [])
        os.close(descriptors[0])
        theirs.send(b"\0\0\0\0name")
        loop.run()
        loop.forget(ours.fileno())
    assert answers == [(0, b"name")]


def test_a_question_waits_for_a_reader_only_so_long(
    reader_died: tuple[Loop, HostNames], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_names_module, "PATIENCE_S", 0.01)
    loop, host_names = reader_died
    answers = asked(loop, host_names)
    loop.run()
    assert answers == [(-errno.EAGAIN, b"")]


# The thread.


class NotWatching:
    """Hears of no change."""

    watched: ClassVar[set[str]] = set()

    def watch(self, path: str) -> bool:
        return False


def task_of_engine(
    engine: Engine, deliver: Callable[[EngineTask, Findings | None], None] = lambda *_: None
) -> EngineTask:
    return EngineTask(engine, Ground(engine.roots(), {}), NotWatching(), deliver)


class Hanging:
    """An engine whose files never answer."""

    name = "hanging"
    owner = 0
    again_s = 60.0

    def __init__(self, release: int) -> None:
        self._release = release

    def roots(self) -> list[Root]:
        return []

    def folders(self) -> set[str]:
        return set()

    def scan(self) -> list[Container]:
        os.read(self._release, 1)
        return []


def test_a_scan_that_hangs_is_late_and_nobody_elses_business() -> None:
    release, hold_back = os.pipe()
    delivered: list[Findings | None] = []
    task = task_of_engine(Hanging(release), lambda _, findings: delivered.append(findings))
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


@pytest.fixture
def sleepers() -> Iterator[Callable[[], int]]:
    """Starts processes; each is ended and waited for after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        started.append(subprocess.Popen(["/bin/sleep", "1000"]))
        return started[-1].pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def runc_state(folder: Path, pid: int) -> None:
    folder.mkdir(parents=True)
    state = {"init_process_pid": pid, "init_process_start": start_time(pid)}
    (folder / "state.json").write_text(json.dumps(state))


def task_of(tree: Path, space: str, ident: str, pid: int) -> None:
    """A task of containerd's that runs, and runc's state of it."""
    task = tree / f"containerd/io.containerd.runtime.v2.task/{space}/{ident}"
    task.mkdir(parents=True)
    (task / "config.json").write_text("{}")
    (task / "init.pid").write_text(str(pid))
    runc_state(tree / f"containerd/runc/{space}/{ident}", pid)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def let_go(findings: Findings) -> None:
    for process in findings.live.values():
        process.close()


def test_one_name_in_two_name_spaces_is_two_containers_and_bare_it_is_no_answer(
    tree: Path, sleepers: Callable[[], int]
) -> None:
    pids = {space: sleepers() for space in ("default", "apps")}
    for space, pid in pids.items():
        task_of(tree, space, "web", pid)
    task = task_of_engine(Containerd(str(tree / "containerd")))
    before = descriptors()
    findings = task.scan()
    snapshot = Snapshot(findings.containers)
    with pytest.raises(Ambiguous):
        snapshot.find("web")
    for space, pid in pids.items():
        for name in (f"{space}/web", f"{space}.web"):
            found = snapshot.find(name)
            assert found is not None
            assert findings.live[key_of(found)].pid == pid
    task.scan()
    assert descriptors() == before + 4, "two processes, two descriptors each"
    let_go(findings)


def test_a_process_is_held_for_the_first_container_that_claims_it_and_no_other(
    tree: Path, sleepers: Callable[[], int]
) -> None:
    pid = sleepers()
    for number in range(50):
        runc_state(tree / f"podman/runc/{number:064x}", pid)
    lists(tree, "containers.json", [{"id": f"{number:064x}"} for number in range(50)])
    before = descriptors()
    findings = task_of_engine(podman(tree)).scan()
    assert [container.pid for container in findings.containers] == [pid] + 49 * [0]
    assert descriptors() == before + 2
    let_go(findings)


def test_a_scan_that_fails_leaves_no_descriptor(tree: Path, sleepers: Callable[[], int]) -> None:
    class Failing(Containerd):
        def roots(self) -> list[Root]:
            return [Root("\0")]  # which no system call takes

    task_of(tree, "default", "web", sleepers())
    before = descriptors()
    with pytest.raises(ValueError, match="null byte"):
        task_of_engine(Failing(str(tree / "containerd"))).scan()
    assert descriptors() == before


def test_containers_of_one_id_are_instances_of_different_names() -> None:
    twins = [Container("containerd", "web", space=f"/run/containerd/{space}") for space in ("default", "apps", "x")]
    users = [Container("podman", "aa", owner=owner) for owner in (0, 1000, 1001)]
    assert list(shown([(container, None) for container in (*twins, *users)], "/sys/fs/cgroup")) == [
        *("web", "containerd/web", "containerd/run/containerd/x/web"),
        *("aa", "podman/aa", "podman/1001/aa"),
    ]


class Busy(Hanging):
    """An engine whose every scan is some work, and which changes all the time."""

    def __init__(self, enough: int) -> None:
        self.scans: list[tuple[float, float]] = []
        self.done = threading.Event()
        self.enough = enough
        self.task: EngineTask | None = None

    def scan(self) -> list[Container]:
        begun = time.monotonic()
        while time.monotonic() < begun + 0.01:
            pass
        self.scans.append((begun, time.monotonic()))
        if self.task:
            self.task.look_again()
        if len(self.scans) >= self.enough:
            self.done.set()
        return []


def test_files_that_change_all_the_time_are_not_read_all_the_time() -> None:
    engine = Busy(5)
    engine.task = task_of_engine(engine)
    thread = engine.task.start()
    assert engine.done.wait(10)
    engine.task.stop()
    thread.join(10)
    for (begun, ended), (again, _) in pairwise(engine.scans):
        assert again - ended >= 8 * (ended - begun)


class Broken(Hanging):
    """An engine with a fault of ours, the first time."""

    def __init__(self) -> None:
        self.scans = 0

    def scan(self) -> list[Container]:
        self.scans += 1
        if self.scans == 1:
            raise RuntimeError("a fault")
        return [Container("docker", "f" * 64)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_engine_whose_thread_ended_by_a_fault_is_looked_at_again() -> None:
    loop, notes = Loop(), []
    link, starter = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asking, reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with link, starter, asking, reader:
        resolver = Resolver(
            loop,
            link,
            asking,
            [(Broken(), Ground([], {}))],
            lambda *a, **_: notes.append(a),
            "",
            Renewals(memoryview(bytearray(1))),
            mmap.mmap(-1, mmap.PAGESIZE),
        )
        resolver.start(lambda: None)
        end = time.monotonic() + 10

        def stop_when_found() -> None:
            if resolver.containers() or time.monotonic() > end:
                loop.stop()
            else:
                loop.call_later(0.01, stop_when_found)

        stop_when_found()
        loop.run()
        assert len(resolver.containers()) == 1
        assert notes == [("engine-failed",)]
        resolver.close()
        loop.close()


def test_successors_are_asked_for_later_and_later_while_that_goes_on() -> None:
    memory = memoryview(bytearray(1))
    waits = []
    for _ in range(12):
        renewals = Renewals(memory)
        waits.append((renewals.wait_s(0), renewals.wait_s(1000)))
        renewals.count()
    roots, users = zip(*waits, strict=True)
    assert roots[0] <= 2
    assert users[0] <= 2
    assert [round(wait) for wait in users[:6]] == [2, 4, 8, 16, 32, 60]
    assert LONGEST_S - 1 < roots[-1] <= LONGEST_S
    assert LONGEST_FOR_USERS_S - 1 < users[-1] <= LONGEST_FOR_USERS_S


def test_watches_are_shared_and_given_up_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "same").symlink_to(tmp_path / "one")
    one, same = str(tmp_path / "one"), str(tmp_path / "same")
    with contextlib.closing(Inotify()) as inotify:
        assert inotify.watch(one)
        assert inotify.watch(same)
        (tmp_path / "one/a").touch()
        assert inotify.changed() == {one, same}
        inotify.forget(one)
        (tmp_path / "one/b").touch()
        assert inotify.changed() == {same}
        (tmp_path / "one").rename(tmp_path / "old")
        (tmp_path / "one").mkdir()
        assert inotify.watch(same)
        shutil.rmtree(tmp_path / "old")
        inotify.changed()
        assert inotify.watched == {same}


def test_a_folder_reads_nothing_outside_of_itself(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_text("secret")
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    (tmp_path / "in/folder").symlink_to(tmp_path)
    folder = open_folder(Root(str(tmp_path / "in"), os.geteuid()))
    assert folder is not None
    with folder:
        assert folder.read("link") is None
        assert folder.read("folder/out") is None
