"""Stock's clients read agents of PCP 1 through our daemon, by a pipe and by a socket.

The clients are real. The agents are put together from the reference: there are no others left.
"""

import re
import sys
from collections.abc import Iterator

import pytest

from peers import OurDaemon, free_port, stock
from running import VERSION_1_AGENT

NAMES = ["float", "i32", "string", "u64", "double", "ipc", "enoent", "floats", "none", "aggregate"]


@pytest.fixture(scope="module", params=["pipe", "socket"])
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OurDaemon]:
    directory = tmp_path_factory.mktemp(request.param)
    command, port = f'"{sys.executable}" "{VERSION_1_AGENT}" 101 well', free_port()
    line = {
        "pipe": f"old 101 pipe binary version1 {command}",
        "socket": f"old 101 socket inet {port} version1 {command} {port}",
    }[request.param]
    configuration, names = directory / "pmcd.conf", directory / "names"
    configuration.write_text(line + "\n")
    leaves = "".join(f"    {name} 101:0:{item}\n" for item, name in enumerate(NAMES))
    names.write_text(f"root {{\n    old\n}}\nold {{\n{leaves}    more 101:*:*\n}}\n")
    with OurDaemon("-c", configuration, "-n", names, tool="pmcd") as running:
        yield running


def pminfo(daemon: OurDaemon, *arguments: object) -> str:
    run = stock("pminfo", "-h", daemon.tcp, *arguments)
    return run.stdout + run.stderr


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("float", "    value 1.5\n"),
        ("i32", "    value -7\n"),
        ("string", '    value "of old"\n'),
        ("u64", "    value 9223372036854775809\n"),
        ("double", "    value -0.1\n"),
        ("ipc", "Error: IPC protocol failure\n"),
        ("enoent", "Error: No such file or directory\n"),
        ("floats", '    inst [1 or "one"] value 0.5\n    inst [2 or "two"] value -2.25\n'),
        ("none", "No value(s) available!\n"),
        ("aggregate", "    value [000102]\n"),
    ],
)
def test_pminfo_shows_each_kind_of_value(daemon: OurDaemon, name: str, shown: str) -> None:
    assert pminfo(daemon, "-f", f"old.{name}") in (f"\nold.{name}\n{shown}", f"\nold.{name} {shown}")


def test_pminfo_describes_and_lists(daemon: OurDaemon) -> None:
    assert "Data Type: 64-bit unsigned int" in pminfo(daemon, "-d", "old.u64")
    assert sorted(pminfo(daemon, "old").split()) == sorted(f"old.{name}" for name in NAMES)
    assert "Unknown metric name" in pminfo(daemon, "-f", "old.more.one")
    assert "One-line or help text is not available" in pminfo(daemon, "-t", "old.u64")
    assert '"agent"' not in pminfo(daemon, "-l", "old.u64")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("float", "1.5", "-2.25"), ("u64", "9223372036854775809", "12"), ("string", '"of old"', '"young"')],
)
def test_pmstore_stores_and_the_value_is_read_back(daemon: OurDaemon, name: str, old: str, new: str) -> None:
    metric = f"old.{name}"
    stored = stock("pmstore", "-h", daemon.unix, metric, new.strip('"'))
    assert stored.stdout == f"{metric} old value={old} new value={new}\n", stored
    assert pminfo(daemon, "-f", metric).endswith(f"    value {new}\n")
    back = stock("pmstore", "-h", daemon.unix, metric, old.strip('"'))
    assert back.returncode == 0, back


def test_pmstore_is_told_of_a_refusal(daemon: OurDaemon) -> None:
    refused = stock("pmstore", "-h", daemon.unix, "old.i32", "5")
    assert "No permission to perform requested operation" in refused.stdout


def test_pmprobe_and_pmval_read_it(daemon: OurDaemon) -> None:
    probed = stock("pmprobe", "-h", daemon.tcp, "-v", "old.floats", "old.ipc").stdout
    assert probed == "old.floats 2 0.5 -2.25\nold.ipc -12366 IPC protocol failure\n"
    sampled = stock("pmval", "-h", daemon.tcp, "-s", 3, "-t", "0.1", "old.double").stdout
    assert len(re.findall(r"^\s+-1\.000E-01$", sampled, re.MULTILINE)) == 3, sampled
