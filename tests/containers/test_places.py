"""Where engines keep their state, as this machine says, and how one watches places that are not there yet."""

import json
import os
import signal
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypcp.resolver import main as resolver_main
from pypcp.resolver import untrusted_files
from pypcp.resolver.engines import docker as docker_engine
from pypcp.resolver.engines import podman as podman_engine
from pypcp.resolver.ground_watch import Ground, nearest_existing
from pypcp.resolver.inotify import Inotify

SETTINGS = {"data-root": "relative/data", "exec-root": "./run"}
STORAGE = '[storage]\ngraphroot = "relative/graph"\nrunroot = "run"\n'
PLACES = ["PCP_DOCKER_DIR", "PCP_PODMAN_DATADIR", "PCP_PODMAN_RUNDIR", "PCP_LXC_DIR", "PCP_CONTAINERD_DIR"]


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configurations of engines, in place of this machine's; whoever runs this is root."""
    monkeypatch.setattr(untrusted_files, "ROOT", os.geteuid())
    monkeypatch.setattr(docker_engine, "_CONFIGURATION", str(tmp_path))
    monkeypatch.setattr(podman_engine, "_CONFIGURATIONS", ((str(tmp_path), "storage.conf"),))
    return tmp_path


def roots_of(environment: dict[str, str]) -> tuple[set[str], dict[str, str]]:
    """The directories of all engines, and the settings that were refused, with their values."""
    refused: dict[str, str] = {}

    def note(event: str, *, setting: str, path: str, used: str) -> None:
        assert event == "path-not-absolute"
        refused[setting] = path

    found = resolver_main.engines(environment, resolver_main.cgroup_root(environment, note), note)
    return {root for engine in found for root in engine.roots()}, refused


def test_a_place_that_is_no_absolute_path_is_noted_and_counts_for_nothing(etc: Path) -> None:
    unchanged, refused = roots_of({})
    assert refused == {}
    (etc / "daemon.json").write_text(json.dumps(SETTINGS))
    (etc / "storage.conf").write_text(STORAGE)
    environment = {name: f"relative/{name}" for name in (*PLACES, "PCP_CGROUP_DIR")}
    roots, refused = roots_of(environment)
    del environment["PCP_PODMAN_RUNDIR"]  # counts beside the other only
    assert refused == environment | SETTINGS | {"graphroot": "relative/graph", "runroot": "run"}
    assert roots == unchanged


def test_a_place_that_is_configured_is_looked_at_and_the_environments_word_goes_first(etc: Path) -> None:
    (etc / "daemon.json").write_text('{"data-root": "/data", "exec-root": "/exec"}')
    (etc / "storage.conf").write_text('[storage]\ngraphroot = "/graph"\nrunroot = "/run-root"\n')
    roots, refused = roots_of({})
    assert {"/data/containers", "/exec/runtime-runc/moby", "/graph/vfs-containers", "/run-root/vfs-containers"} <= roots
    more, refused_too = roots_of({name: f"/own/{name}" for name in PLACES})
    assert {"/own/PCP_DOCKER_DIR/containers", "/own/PCP_PODMAN_DATADIR", "/own/PCP_PODMAN_RUNDIR"} <= more
    assert {"/own/PCP_LXC_DIR", "/own/PCP_CONTAINERD_DIR/runc"} <= more
    assert "/data/containers" not in more
    assert refused == refused_too == {}


@pytest.fixture
def in_time() -> Iterator[None]:
    """A way up that never ends would be the end of all tests."""

    def too_long(*_: object) -> None:
        raise TimeoutError("endless")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize(("path", "above"), [("no/such/place", ""), ("", ""), ("/no/such/place", "/"), ("/", "/")])
def test_the_way_up_from_any_path_has_an_end(path: str, above: str) -> None:
    assert nearest_existing(path) == above
    assert Ground([path]).readable() == [path] * (path == "/")


def test_asking_whether_a_directory_is_watched_copies_nothing(tmp_path: Path) -> None:
    inotify = Inotify()
    paths = [f"{tmp_path}{'/.' * count}" for count in range(500)]
    assert all(map(inotify.watch, paths))
    tracemalloc.start()
    try:
        assert paths[0] in inotify.watched
        assert tracemalloc.get_traced_memory()[1] < 2000
    finally:
        tracemalloc.stop()
        os.close(inotify.fileno())
