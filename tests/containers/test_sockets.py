"""Engines asked by their sockets: what real ones answered, and what one could do to us. No engine needed."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containers.served import Helper
from containers.test_hanging import ask
from containers.test_recorded import DATA, by_name, task_of_engine
from peers import require
from pypcp.errors import ContainerNotFound
from pypcp.resolver import untrusted_files
from pypcp.resolver.container import Container
from pypcp.resolver.engines import engine_socket
from pypcp.resolver.engines.engine_socket import EngineSocket
from pypcp.resolver.http_get import NoAnswer, get
from pypcp.resolver.resolver import once
from waiting import wait_until

RECORDED = DATA / "sockets"
LIST = "/containers/json?all=1"
IDENT = "ab" * 32


def whole(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


class FakeEngine:
    """Answers on a UNIX socket with given bytes, all at once, byte by byte, or never."""

    def __init__(self, path: Path, answers: dict[str, bytes]) -> None:
        self.path = path
        self.answers = answers
        self.asked: list[str] = []
        self.pause_s = 0.0
        """Between two bytes, if not 0."""
        self.silent = False
        self._ended = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> "FakeEngine":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._answer, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = re.match(r"GET (\S+) HTTP/1\.1\r\n", connection.recv(4096).decode())
            if not request:
                return  # it hung up
            self.asked.append(request[1])
            if self.silent:
                self._ended.wait(30)
                return
            answer = self.answers.get(request[1], whole(b"{}", "404 Not Found"))
            for at in range(len(answer)) if self.pause_s else ():
                connection.sendall(answer[at : at + 1])
                if self._ended.wait(self.pause_s):
                    return
            if not self.pause_s:
                connection.sendall(answer)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    monkeypatch.setattr(untrusted_files, "ROOT", os.geteuid())
    with FakeEngine(tmp_path / "sock", {}) as engine:
        yield engine


def socket_of(fake: FakeEngine, engine: str = "docker") -> EngineSocket:
    return EngineSocket(engine, str(fake.path), "/sys/fs/cgroup")


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_what_real_engines_answered_is_understood(fake: FakeEngine, engine: str) -> None:
    inspected = (RECORDED / f"{engine}-inspect").read_bytes()
    ident, pid = (
        re.findall(rb'"Id":"(\w+)"|"Pid":(\d+)', inspected)[0][0].decode(),
        re.findall(rb'"Pid":(\d+)', inspected),
    )
    fake.answers[LIST] = (RECORDED / f"{engine}-list").read_bytes()
    fake.answers[f"/containers/{ident}/json"] = inspected
    found = by_name(socket_of(fake, engine).scan())
    assert found["web"] == Container(engine, ident, ("web",), running=True, pid=int(pid[0]))
    assert (found["made"].engine, found["made"].running, found["made"].pid) == (engine, False, 0)
    unknown = (RECORDED / f"{engine}-unknown").read_bytes()
    fake.answers["/x"] = unknown
    assert get(str(fake.path), "/x", 5, 1 << 20) is None


def entry(ident: str = IDENT, name: str = "told", state: str = "running") -> dict[str, object]:
    return {"Id": ident, "Names": [f"/{name}"], "State": state}


def tell(fake: FakeEngine, pid: object, *entries: object) -> None:
    fake.answers[LIST] = whole(json.dumps(list(entries) or [entry()]).encode())
    fake.answers[f"/containers/{IDENT}/json"] = whole(json.dumps({"Id": IDENT, "State": {"Pid": pid}}).encode())


def test_an_engine_that_lies_about_a_process_is_not_believed(fake: FakeEngine) -> None:
    for pid in (1, os.getpid(), os.getppid(), 0, -1, 1 << 40, "7", True, None):
        tell(fake, pid)
        findings = task_of_engine(socket_of(fake)).scan()
        assert findings.live == {}
        assert [(c.running, c.pid) for c in findings.containers] == [(False, 0)]


def test_ids_that_are_none_are_never_asked_for(fake: FakeEngine) -> None:
    nonsense = [entry("../../exec"), entry("AB" * 32), entry("ab"), entry(7), 5, None, {"Id": IDENT, "Names": 3}]  # type: ignore[arg-type]
    tell(fake, 5, *nonsense)
    assert [container.ident for container in socket_of(fake).scan()] == [IDENT]
    assert fake.asked == [LIST]


def test_a_process_that_is_still_the_same_is_not_asked_for_again(fake: FakeEngine) -> None:
    tell(fake, os.getpid())
    engine = socket_of(fake)
    assert engine.scan() == engine.scan()
    assert fake.asked == [LIST, f"/containers/{IDENT}/json", LIST]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[]\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n[]\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n[]\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        whole(b"x" * 5000),
        b"HTTP/1.1 200 OK\r\nX: " + 20_000 * b"x" + b"\r\nContent-Length: 2\r\n\r\n[]",
    ],
)
def test_what_is_not_exactly_a_whole_answer_is_none(fake: FakeEngine, answer: bytes) -> None:
    fake.answers["/x"] = answer
    with pytest.raises(NoAnswer):
        get(str(fake.path), "/x", 5, 4000)


def test_chunks_are_put_together(fake: FakeEngine) -> None:
    fake.answers["/x"] = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\nA\r\n          \r\n2\r\n2]\r\n0\r\n\r\n"
    )
    assert get(str(fake.path), "/x", 5, 4000) == b"[1,          2]"


def hang(fake: FakeEngine) -> None:
    fake.silent = True


def drip(fake: FakeEngine) -> None:
    fake.pause_s = 0.05


def flood(fake: FakeEngine) -> None:
    fake.answers[LIST] = whole(b"[" + 64 * (1 << 20) * b" " + b"]")


def not_json(fake: FakeEngine) -> None:
    fake.answers[LIST] = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n["


@pytest.mark.parametrize("misbehave", [hang, drip, flood, not_json])
def test_an_engine_that_misbehaves_is_known_by_what_it_said_last(
    fake: FakeEngine, misbehave: Callable[[FakeEngine], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_socket, "EXCHANGE_LIMIT_S", 0.5)
    tell(fake, 0)
    engine = socket_of(fake)
    before = engine.scan()
    assert [container.names for container in before] == [("told",)]
    misbehave(fake)
    begun = time.monotonic()
    assert engine.scan() == before
    assert time.monotonic() - begun < 3


def test_a_socket_that_is_not_roots_is_not_asked(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted_files, "ROOT", os.geteuid() + 1)
    with pytest.raises(NoAnswer, match="served by uid"):
        get(str(fake.path), "/x", 5, 4000)


def test_what_files_and_socket_both_tell_is_one_container() -> None:
    file = Container("docker", "a" * 64, ("web",))
    told = file._replace(running=True, pid=7)
    other = Container("docker", "b" * 64)
    assert list(once([[file], [told, other]])) == [told, other]
    assert list(once([[file._replace(pid=7)], [told, other]])) == [file._replace(pid=7), other]


CONFINED = """
import socket, sys
from pypcp.root import confine, seccomp
confine.no_new_privileges()
seccomp.restrict([*seccomp.RESOLVER, *(seccomp.ENGINE_SOCKETS if sys.argv[1] == "asking" else [])], deadly=False)
for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_NETLINK):
    try:
        socket.socket(family).close()
        print(int(family))
    except PermissionError:
        continue
"""


@pytest.mark.parametrize(("how", "families"), [("asking", "1\n"), ("reading", "")])
def test_only_who_may_ask_engines_can_make_sockets_and_only_local_ones(how: str, families: str) -> None:
    words = [sys.executable, "-c", CONFINED, how]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == (families, "")


@pytest.mark.interop
def test_the_helper_asks_the_sockets_of_its_policy_and_none_that_hangs_holds_it_up(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "root, whose engines alone are asked")
    lxc = tmp_path / "lxc"
    (lxc / "other").mkdir(parents=True)
    (lxc / "other/config").touch()
    paths = [tmp_path / "docker.sock", tmp_path / "podman.sock"]
    policy = f'engine-sockets = ["docker:{paths[0]}", "podman:{paths[1]}"]\n'
    with FakeEngine(paths[0], {}) as fake, FakeEngine(paths[1], {}) as hanging:
        tell(fake, os.getpid())
        hanging.silent = True
        for path in paths:
            path.chmod(0o660)
            os.chown(path, 0, 12345)
        with Helper(tmp_path, policy=policy, PCP_LXC_DIR=str(lxc)) as helper, helper.outsider() as outsider:
            wait_until(lambda: ask(outsider, "told") == -3, "the container, which has no process of its own")
            assert ask(outsider, "other") == -3
            assert ask(outsider, "unheard-of") == ContainerNotFound.code
