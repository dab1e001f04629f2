"""What each process of the helper is left with: asserted from outside, and tried by the process's own hand."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import pypcp
from containers.served import Helper, open_folder, rights, status
from containers.tracing import Killed, stopped
from peers import require
from pypcp.errors import ContainerNotFound
from pypcp.wire.root import Kind, LookupReply, LookupRequest
from waiting import wait_until

pytestmark = pytest.mark.interop
PACKAGE = Path(pypcp.__file__).parent
_NOT_PERMITTED, _ACCESS, _NO_SUCH_CALL = -1, -13, -38
_HERE, _CHILD_SIGNAL, _OPEN = -100, 17, 2

FORBIDDEN: dict[str, tuple[int | bytes, ...]] = {
    "execve": (59, b"/bin/true", 0, 0),
    "execveat": (322, _HERE, b"/bin/true", 0, 0, 0),
    "fork": (57,),
    "vfork": (58,),
    "clone of a process": (56, _CHILD_SIGNAL, 0, 0, 0, 0),
    "ptrace": (101, 16, 1, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "process_vm_writev": (311, 1, 0, 0, 0, 0, 0),
    "pidfd_getfd": (438, 0, 0, 0),
    "pidfd_send_signal": (424, 0, 9, 0, 0),
    "kill": (62, 1, 0),
    "tgkill": (234, 1, 1, 0),
    "mount": (165, b"none", b"/mnt", b"tmpfs", 0, 0),
    "umount2": (166, b"/proc", 0),
    "pivot_root": (155, b"/", b"/mnt"),
    "chroot": (161, b"/tmp"),
    "setns": (308, 0, 0),
    "unshare": (272, 0x10000000),
    "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "io_uring_setup": (425, 1, 0),
    "userfaultfd": (323, 1),
    "keyctl": (250, 0, -3, 0),
    "name_to_handle_at": (303, _HERE, b"/etc/shadow", 0, 0, 0),
    "open_by_handle_at": (304, _HERE, 0, 0),
    "socket of the internet": (41, 2, 1, 0),
    "socket of this machine": (41, 1, 1, 0),
    "socket of netlink": (41, 16, 3, 0),
    "connect": (42, 0, 0, 0),
    "bind": (49, 0, 0, 0),
    "accept4": (288, 0, 0, 0, 0),
    "setuid": (105, 0),
    "capset": (126, 0, 0),
    "prctl": (157, 4, 1, 0, 0, 0),
    "seccomp": (317, 1, 0, 0),
    "unlink": (87, b"/tmp/none"),
    "rename": (82, b"/tmp/none", b"/tmp/other"),
    "mkdir": (83, b"/tmp/none", 0o700),
    "mknod": (133, b"/tmp/none", 0o644, 0),
    "symlink": (88, b"/tmp/none", b"/tmp/other"),
    "chmod": (90, b"/tmp", 0o777),
    "truncate": (76, b"/tmp/none", 0),
    "memfd_create": (319, b"x", 0),
    "executable memory": (9, 0, 4096, 5, 0x22, -1, 0),
    "memory made executable": (10, 0, 4096, 4),
    "init_module": (175, 0, 0, b""),
    "kexec_load": (246, 0, 0, 0, 0),
    "reboot": (169, 0, 0, 0, 0),
    "getpgrp": (111,),  # which takes no permission at all
}
UNREADABLE: dict[str, tuple[bytes, int]] = {
    "a file of root's": (b"/etc/shadow", os.O_RDONLY),
    "a file of everybody's": (b"/etc/passwd", os.O_RDONLY),
    "the same by a link of proc's": (b"/proc/self/root/etc/passwd", os.O_RDONLY),
    "the directory at the top": (b"/", os.O_RDONLY | os.O_DIRECTORY),
    "a new file": (b"/tmp/pypcp-confined", os.O_CREAT | os.O_WRONLY),
    "a setting of the process itself": (b"/proc/self/comm", os.O_WRONLY),
}


@pytest.fixture
def helper() -> Iterator[Helper]:
    require(os.geteuid() == 0, "root, whose rights are given up")
    with open_folder() as folder:
        docker = folder / "docker"
        (docker / "containers").mkdir(parents=True)
        (docker / "containers" / "secret").write_text("engine's")
        (docker / "containers" / "secret").chmod(0o600)
        docker.chmod(0o700)
        with Helper(folder, PCP_DOCKER_DIR=str(docker)) as served:
            yield served


def confined(capabilities: str) -> dict[str, str]:
    """An account of nobody's with these capabilities, which no program can add to."""
    nobody = " ".join(["65534"] * 4)
    facts = {"Uid": nobody, "Gid": nobody, "Groups": "", "NoNewPrivs": "1", "Seccomp": "2"}
    facts |= dict.fromkeys(("CapPrm", "CapEff", "CapBnd"), capabilities)
    return facts | dict.fromkeys(("CapInh", "CapAmb"), "0" * 16)


def test_the_rights_of_each_process_are_what_the_documentation_says(helper: Helper) -> None:
    ours = rights(os.getpid())
    assert rights(helper.process.pid) == rights(helper.starter) == ours
    assert rights(helper.workers["resolver"]) == confined("0000000000000004")
    assert rights(helper.workers["reader"]) == confined("0000000000280000")
    threads = {name: int(status(pid)["Threads"]) for name, pid in helper.workers.items()}
    assert threads["reader"] == 1 < threads["resolver"]
    for tid in os.listdir(f"/proc/{helper.workers['resolver']}/task"):
        assert rights(int(tid)) == confined("0000000000000004")


def test_no_process_lets_others_of_its_account_look_into_it(helper: Helper) -> None:
    for pid in (helper.process.pid, helper.starter):
        with stopped(pid) as process:
            assert process.call(157, 3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE
    for pid in helper.workers.values():  # which may not even ask that
        assert Path(f"/proc/{pid}/environ").stat().st_uid == 0


def test_the_resolver_itself_cannot_make_any_call_that_it_does_not_need(helper: Helper) -> None:
    with stopped(helper.workers["resolver"]) as resolver:
        assert resolver.call(102) == 65534  # getuid, by which the test shows that calls are made
        assert {what: resolver.call(*call) for what, call in FORBIDDEN.items()} == dict.fromkeys(
            FORBIDDEN, _NOT_PERMITTED
        )
        assert resolver.call(435, 0, 0) == _NO_SUCH_CALL  # clone3, so that the C library takes clone
    with helper.outsider() as outsider:
        question = LookupRequest(Kind.PROCESSID_REQUEST, b"nosuch")
        assert outsider.ask(question) == LookupReply(Kind.PROCESSID, ContainerNotFound.code, 0)


def test_the_resolver_itself_and_its_threads_open_nothing_but_what_engines_keep(helper: Helper) -> None:
    pid = helper.workers["resolver"]
    secret = f"{helper.folder}/docker/containers/secret".encode()
    engine = next(tid for tid in map(int, os.listdir(f"/proc/{pid}/task")) if tid != pid)
    for tid in (pid, engine):
        with stopped(tid) as resolver:
            opened = {what: resolver.call(_OPEN, *how, 0o600) for what, how in UNREADABLE.items()}
            assert opened == dict.fromkeys(UNREADABLE, _ACCESS)
            for readable in (b"/proc/self/status", secret):
                descriptor = resolver.call(_OPEN, readable, os.O_RDONLY, 0)
                assert descriptor >= 0
                assert resolver.call(3, descriptor) == 0
            assert resolver.call(_OPEN, secret, os.O_RDWR, 0) == _ACCESS


def test_the_reader_itself_dies_of_a_call_that_it_does_not_need(helper: Helper) -> None:
    victim = helper.workers["reader"]
    with pytest.raises(Killed, match="31"), stopped(victim) as reader:
        reader.call(*FORBIDDEN["execve"])
    wait_until(lambda: helper.workers.get("reader", victim) != victim, "another reader")
    with helper.outsider() as outsider:
        answer = outsider.ask(LookupRequest(Kind.HOSTNAME_REQUEST, b"", os.getpid()))
        assert answer == LookupReply(Kind.HOSTNAME, 0, os.getpid(), os.uname().nodename.encode())


CONFINED_AS_THE_READER = """
import ctypes, os, sys
from pypcp.root import confine, seccomp
for call in map(eval, sys.argv[1:]):
    child = os.fork()
    if child == 0:
        words = [ctypes.c_char_p(word) if isinstance(word, bytes) else ctypes.c_long(word) for word in call]
        confine.drop_to(65534, 65534, ["SYS_ADMIN", "SYS_PTRACE"])
        seccomp.restrict(seccomp.READER, deadly=True)
        confine.libc.syscall(*words)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_who_is_confined_as_the_reader_dies_of_every_call_but_its_own() -> None:
    require(os.geteuid() == 0, "root, whose rights are given up")
    more: list[tuple[int | bytes, ...]] = [(_OPEN, *how) for how in UNREADABLE.values()]
    more += [(308, 0, 0x20000), (308, 0, 0x40000000), (435, 0, 0), (434, 1, 0), (257, _HERE, b"/proc/self/status", 0)]
    calls = [*FORBIDDEN.values(), *more]
    harmless = [(1, 2, b"", 0), (308, -1, 0x04000000), (63, b" " * 512)]  # write, setns to another host name, uname
    words = [sys.executable, "-c", CONFINED_AS_THE_READER, *map(repr, [*calls, *harmless])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.split() == ["-31"] * len(calls) + ["0"] * len(harmless)


def kinds(pid: int) -> Counter[str]:
    """The open files of a process, by what they are."""
    found: Counter[str] = Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        target = re.sub(r":\[\d+\]$", "", os.readlink(f"/proc/{pid}/fd/{name}"))
        found[target.removeprefix("anon_inode:").strip("[]")] += 1
    return found


def test_the_open_files_of_each_process_are_few_and_known(helper: Helper) -> None:
    log, audit = str(helper.folder / "log"), str(helper.audit)
    outside = Counter({"/dev/null": 1, log: 3, audit: 1})
    guard = outside + Counter({"socket": 3, "pipe": 2})
    starter = outside + Counter({"/dev/null": 1, "socket": 4, "pipe": 2, "eventpoll": 1, "pidfd": 2})
    inside = Counter({"/dev/null": 2, log: 1})
    resolver = inside + Counter({"socket": 2, "pipe": 2, "eventpoll": 1, "inotify": 1})
    reader = inside + Counter({"socket": 1, "uts": 1})

    def of_resolver() -> Counter[str]:
        """Without the processes of containers that this machine may have."""
        found = kinds(helper.workers["resolver"])
        return Counter({kind: count for kind, count in found.items() if not kind.startswith(("/proc/", "pidfd"))})

    wait_until(lambda: of_resolver() == resolver, "the engines to be read")
    assert kinds(helper.process.pid) == guard
    assert kinds(helper.starter) == starter
    assert kinds(helper.workers["reader"]) == reader


def modules(folder: str, *absent: str) -> set[str]:
    """The modules of a package of ours, without some."""
    found = {path.relative_to(PACKAGE).with_suffix("") for path in (PACKAGE / folder).rglob("*.py")}
    names = {".".join(("pypcp", *path.parts)).removesuffix(".__init__") for path in found}
    return names - {f"pypcp.{folder}.{name}" for name in ("__main__", *absent)}


def test_each_process_has_loaded_its_own_code_and_the_standard_librarys(helper: Helper) -> None:
    loaded = {}
    for line in helper.log.splitlines():
        if " loaded process=" in line:
            loaded[line.split('process="')[1].split('"')[0]] = set(line.split('modules="')[1].rstrip('"').split())
    privileged = {"pypcp", "pypcp.errors", "pypcp.wire", "pypcp.wire.root", *modules("root", "policy_report")}
    resolvers = modules("resolver", "containers_agent", "pipe")
    assert {name for name in loaded["starter"] if name.startswith("pypcp")} == privileged
    assert {name for name in loaded["resolver"] if name.startswith("pypcp")} == privileged | resolvers
    for names in loaded.values():
        assert {name.split(".")[0] for name in names} <= {"pypcp", "__main__"} | sys.stdlib_module_names
    parsers = {"json", "asyncio", "subprocess", "logging", "threading", "http", "xml", "pickle", "ssl", "email"}
    assert not loaded["starter"] & parsers


def test_the_privileged_processes_have_no_library_of_a_parser_or_of_the_network_in_memory(helper: Helper) -> None:
    def libraries(pid: int) -> set[str]:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        return {Path(line.split()[-1]).name.split(".")[0] for line in lines if ".so" in line}

    starter = libraries(helper.starter)
    assert libraries(helper.process.pid) == libraries(helper.workers["reader"]) == starter
    assert not starter & {"_json", "_ssl", "_hashlib", "_sqlite3", "_elementtree", "pyexpat", "libssl", "libcrypto"}
