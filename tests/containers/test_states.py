"""The flags of ``containers.state``: what each engine's own tool says of a container is what a client sees."""

import os
import signal
from collections.abc import Iterator

import pytest

from containers.collectors import OURS, HelpedDaemon
from containers.engines import Containerd, Docker, Lxc, Podman, engine, some
from pypcp.pmapi.blocking import BlockingContext
from waiting import wait_until

pytestmark = [pytest.mark.engines, pytest.mark.slow]
Freezing = Docker | Podman | Lxc | Containerd
NAMES = """\
root { containers }
containers { name 1:0:1 pid 1:0:2 state }
containers.state { running 1:0:3 paused 1:0:4 restarting 1:0:5 }
"""
FLAGS = ("running", "paused", "restarting")


class Collector(HelpedDaemon):
    """Our daemon with our helper and nothing else."""

    def __init__(self, environment: dict[str, str]) -> None:
        super().__init__(OURS, environment)
        configuration, names = self.directory / "pmcd.conf", self.directory / "names"
        configuration.write_text(configuration.read_text().splitlines()[0] + "\n")
        names.write_text(NAMES)
        self.options = ("-c", str(configuration), "-n", str(names))


class Told:
    """What clients are told of containers."""

    def __init__(self, context: BlockingContext) -> None:
        self._context = context
        names = ["containers.name", "containers.pid", *(f"containers.state.{flag}" for flag in FLAGS)]
        self._pmids = [context.lookup_name(name) for name in names]
        self._indom = context.lookup_desc(self._pmids[0]).indom

    def __call__(self, name: str) -> tuple[str, bool]:
        """The state in one word ("" for none of the flags, "?" for an unknown container), and whether it has a pid."""
        named, pids, *flags = (found.by_instance() for found in self._context.fetch(self._pmids).value_sets)
        known = {
            **self._context.instances(self._indom),
            **{instance: value for instance, value in named.items() if value != "?"},
        }
        instance = next((instance for instance, value in known.items() if value == name and instance in named), -1)
        if instance < 0:
            return "?", False
        return " ".join(flag for flag, values in zip(FLAGS, flags, strict=True) if values[instance]), instance in pids


@pytest.fixture(scope="module", params=some("containerd", "docker", "lxc", "podman"))
def any_engine(request: pytest.FixtureRequest) -> Iterator[Freezing]:
    with engine(request.param) as started:
        assert isinstance(started, Freezing)
        yield started


@pytest.fixture(scope="module")
def told(any_engine: Freezing) -> Iterator[Told]:
    with Collector(any_engine.environment) as daemon, BlockingContext(daemon.unix) as context:
        yield Told(context)


def agrees(told: Told, any_engine: Freezing, name: str, state: str) -> None:
    """Both come to say that it is in this state: one of the flags, or none and no process."""
    live = state in ("running", "paused")
    shown = (state if live or state == "restarting" else "", live)
    wait_until(lambda: any_engine.state(name) == state, f"{name} to be {state}")
    wait_until(lambda: told(name) == shown, f"{name} to be shown as {state}, not as {told(name)}", 5)


def test_a_container_that_is_frozen_is_paused_and_not_running(told: Told, any_engine: Freezing) -> None:
    any_engine.start("cold", "host")
    agrees(told, any_engine, "cold", "running")
    any_engine.freeze("cold")
    agrees(told, any_engine, "cold", "paused")
    any_engine.thaw("cold")
    agrees(told, any_engine, "cold", "running")
    any_engine.kill("cold")
    agrees(told, any_engine, "cold", "exited" if isinstance(any_engine, Docker | Podman) else "stopped")


@pytest.mark.parametrize("any_engine", some("docker", "lxc", "podman"), indirect=True)
def test_a_container_that_was_only_created_is_in_no_state_and_has_no_process(told: Told, any_engine: Freezing) -> None:
    assert isinstance(any_engine, Docker | Lxc | Podman)
    any_engine.create("created")
    agrees(told, any_engine, "created", "stopped" if isinstance(any_engine, Lxc) else "created")


@pytest.mark.parametrize("any_engine", some("docker", "podman"), indirect=True)
def test_a_container_that_its_engine_or_its_own_end_stopped_does_not_run(told: Told, any_engine: Freezing) -> None:
    assert isinstance(any_engine, Docker | Podman)
    any_engine.start("stopped", "host")
    agrees(told, any_engine, "stopped", "running")
    any_engine("stop", "-t", "0", "stopped")
    agrees(told, any_engine, "stopped", "exited")
    any_engine("start", "stopped")
    agrees(told, any_engine, "stopped", "running")
    os.kill(any_engine.pid("stopped"), signal.SIGKILL)
    agrees(told, any_engine, "stopped", "exited")


@pytest.mark.parametrize("any_engine", some("docker"), indirect=True)
def test_a_container_that_its_engine_starts_again_and_again_is_restarting(told: Told, any_engine: Freezing) -> None:
    assert isinstance(any_engine, Docker)
    any_engine("run", "-d", "--network=none", "--restart=always", "--name=again", "bb", "/bin/sh", "-c", "exit 1")
    agrees(told, any_engine, "again", "restarting")
