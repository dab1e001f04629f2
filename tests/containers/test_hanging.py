"""Directories on a file system that does not answer: they cost their own engine, and nobody else."""

import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.served import Helper, Outsider
from containers.test_recorded import DATA
from peers import require
from pypcp.errors import ContainerNotFound
from pypcp.resolver.ground_watch import Ground
from pypcp.resolver.roots import Root
from pypcp.wire.root import Kind, LookupReply, LookupRequest
from waiting import wait_until

pytestmark = pytest.mark.interop
_AT_ONCE_S = 0.5
_DETACH = 2


class DeadMount:
    """A file system in user space that nobody serves: whoever looks at it waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._device = -1

    def __enter__(self) -> "DeadMount":
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        done = self._libc.mount(b"dead", str(self.path).encode(), b"fuse", 6, options)
        assert done == 0, os.strerror(ctypes.get_errno())
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def break_off(self) -> None:
        """Whoever waits gets an error, and so does whoever comes later."""
        os.close(self._device)
        self._device = -1

    def end(self) -> None:
        """Whoever waits gets an error, and what was there before is there again."""
        if self._device >= 0:
            self.break_off()
        self._libc.umount2(str(self.path).encode(), _DETACH)


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Path]:
    require(os.geteuid() == 0 and os.path.exists("/dev/fuse"), "root and /dev/fuse, to mount what does not answer")
    shutil.copytree(DATA / "docker", tmp_path / "docker")
    yield tmp_path / "docker"


def ask(outsider: Outsider, name: str) -> int:
    """The status of the answer, which comes at once: of five questions, as the machine may be busy elsewhere."""
    for _ in range(5):
        begun = time.monotonic()
        answer = outsider.ask(LookupRequest(Kind.PROCESSID_REQUEST, name.encode()))
        took_s = time.monotonic() - begun
        assert isinstance(answer, LookupReply)
        if took_s < _AT_ONCE_S:
            return answer.status
    raise AssertionError(f"{took_s} s for the last of five answers")


def test_a_file_system_that_is_dead_at_the_start_costs_its_engine_until_it_answers(
    tmp_path: Path, docker: Path
) -> None:
    lxc = tmp_path / "lxc"
    (lxc / "other").mkdir(parents=True)
    (lxc / "other/config").touch()
    with (
        DeadMount(docker) as dead,
        Helper(tmp_path, PCP_DOCKER_DIR=str(docker), PCP_LXC_DIR=str(lxc)) as helper,
        helper.outsider() as outsider,
    ):
        assert 'engine-shut-out engine="docker"' in helper.log
        assert ask(outsider, "dkcreated") == ContainerNotFound.code
        assert ask(outsider, "other") == -3
        dead.end()
        wait_until(lambda: ask(outsider, "dkcreated") == -3, "what it holds")


def test_a_file_system_that_dies_later_leaves_every_look_up_as_fast_as_it_was(tmp_path: Path, docker: Path) -> None:
    lxc = tmp_path / "lxc"
    lxc.mkdir()
    with (
        Helper(tmp_path, PCP_DOCKER_DIR=str(docker), PCP_LXC_DIR=str(lxc)) as helper,
        helper.outsider() as outsider,
    ):
        assert ask(outsider, "dkcreated") == -3
        (docker / "containers/new").mkdir()
        with DeadMount(docker):
            (lxc / "new").mkdir()
            (lxc / "new/config").touch()
            wait_until(lambda: ask(outsider, "new") == -3, "another engine's container")
            assert ask(outsider, "dkcreated") == -3


def test_a_file_system_that_was_broken_off_is_no_fault_of_the_engines_thread(tmp_path: Path, docker: Path) -> None:
    root = Root(str(docker / "containers"))
    with DeadMount(docker / "containers") as dead:
        dead.break_off()
        assert not Ground([root], {}).outgrown()
        code = "from pypcp.resolver import roots, sealing; import sys\n"
        code += "print(sealing.open_in_time([[roots.Root(sys.argv[1])]]))"
        done = subprocess.run([sys.executable, "-c", code, root.path], capture_output=True, text=True, timeout=30)
        assert (done.stdout, done.stderr) == ("Opened(descriptors=[], identities={}, late=[])\n", "")
    assert Ground([root], {}).outgrown()
