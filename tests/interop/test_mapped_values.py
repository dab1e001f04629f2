"""Files that stock's library writes, seen through our agents and through stock's."""

import re
import shutil
import struct
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from interop.agents import stock_pmcd_with
from peers import PMNS, StockPmcd, clean_environment, require, stock

PUBLISH = Path(__file__).with_name("publish.py")


def publish(directory: Path, *arguments: object) -> Path:
    """Have an application write a file."""
    require(Path("/usr/lib/libpcp_mmv.so.1").exists(), "stock's libpcp-mmv1")
    (directory / "mmv").mkdir(parents=True, exist_ok=True)
    command = ["/usr/bin/python3", str(PUBLISH), *map(str, arguments)]
    environment = clean_environment(PCP_TMP_DIR=str(directory))
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL, timeout=30)
    return directory / "mmv" / str(arguments[0])


class Pair:
    """The same files seen by two daemons, one with stock's agent and one with ours. ``name`` is that of the agents."""

    def __init__(self, name: str, stocks: StockPmcd, ours: StockPmcd) -> None:
        self.name = name
        self.daemons = (stocks, ours)

    def places(self) -> list[Path]:
        """Where the files are."""
        return [daemon.directory / "tmp" / self.name for daemon in self.daemons]

    def copy(self, file: Path) -> None:
        for place in self.places():
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place / f".{file.name}")
            (place / f".{file.name}").rename(place / file.name)

    def remove(self, name: str) -> None:
        for place in self.places():
            (place / name).unlink()

    def seen(self, *arguments: object) -> tuple[list[str], list[str]]:
        """What pminfo prints of each, metric by metric, in the order of their names."""
        printed = [stock("pminfo", "-h", daemon.tcp, *arguments) for daemon in self.daemons]
        first, second = [_blocks(run.stdout + run.stderr) for run in printed]
        return first, second


def _blocks(printed: str) -> list[str]:
    return sorted(filter(None, (block.strip() for block in re.split(r"\n(?=\n|mmv|pmproxy)", printed))))


@pytest.fixture(scope="module", params=[("mmv", 70), ("pmproxy", 4)], ids=["mmv", "pmproxy"])
def pair(request, tmp_path_factory):
    name, domain = request.param
    state = tmp_path_factory.mktemp(name)
    with ExitStack() as stack:
        stocks = stack.enter_context(StockPmcd(["pmcd", name]))
        ours = stack.enter_context(stock_pmcd_with(name, domain, name, f"{PMNS}/root_{name}", state=state))
        yield Pair(name, stocks, ours)


FILES = [
    ("acme", 42, 0, "old"),
    ("longer", 43, 0, "new"),
    ("labelled", 44, 0, "labels"),
    ("unnumbered", 0, 0, "old"),
    ("bare", 45, 1, "old"),
    ("gone", 46, 2, "old"),
    ("sentinels", 47, 4, "old"),
    ("dotted.name", 48, 0, "old"),
]


@pytest.mark.parametrize("file", FILES, ids=[name for name, *_ in FILES])
def test_what_an_application_publishes_is_seen_alike(pair, tmp_path, file):
    pair.copy(publish(tmp_path, *file))
    stocks, ours = pair.seen("-d", "-m", "-f", pair.name)
    pair.remove(file[0])
    assert ours == stocks
    assert (len(ours) > 3) == (file[0] != "gone")


def test_labels_of_a_file_are_seen_alike(pair, tmp_path):
    pair.copy(publish(tmp_path, *FILES[2]))
    stocks, ours = pair.seen("-l", f"{pair.name}.labelled.products.count")
    pair.remove("labelled")
    assert ours == stocks
    assert '"size.height":1,"size.width":2,"weight":8' in "".join(ours)


def test_names_vanish_with_their_file(pair, tmp_path):
    pair.copy(publish(tmp_path, *FILES[0]))
    assert len(pair.seen(f"{pair.name}.acme")[1]) > 3
    pair.remove("acme")
    stocks, ours = pair.seen(pair.name)
    assert ours == stocks
    assert "Unknown metric name" in "".join(pair.seen("-f", f"{pair.name}.acme.uptime")[1])


def test_broken_files_hurt_nobody(pair, tmp_path):
    whole = publish(tmp_path, *FILES[0]).read_bytes()
    broken = {
        "empty": b"",
        "short": whole[:39],
        "cut": whole[: len(whole) // 3],
        "unfinished": whole[:16] + bytes(8) + whole[24:],
        "many": whole[:24] + struct.pack("=I", 0xFFFFFFFF) + whole[28:],
        "foreign": b"PCP\0" + whole[4:],
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        pair.copy(tmp_path / name)
    pair.copy(tmp_path / "mmv" / "acme")
    ours = pair.seen("-f", f"{pair.name}.acme.uptime", f"{pair.name}.control.files")[1]
    for name in (*broken, "acme"):
        pair.remove(name)
    assert any("value 2.5" in each for each in ours)
    assert any("control.files\n    value 1" in each for each in ours)


def test_values_of_a_process_count_while_it_runs(pair, tmp_path):
    _, ours = pair.daemons
    _, place = pair.places()
    place.mkdir(exist_ok=True)
    command = ["/usr/bin/python3", str(PUBLISH), "alive", "49", "2", "old", "wait"]
    (tmp_path / "mmv").symlink_to(place)
    environment = clean_environment(PCP_TMP_DIR=str(tmp_path))
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        running = stock("pminfo", "-h", ours.tcp, "-f", f"{pair.name}.alive.uptime").stdout
        process.stdin.close()
        process.wait(10)
    ended = stock("pminfo", "-h", ours.tcp, "-f", f"{pair.name}.alive.uptime")
    (place / "alive").unlink()
    assert "value 2.5" in running
    assert "Unknown metric name" in ended.stderr


def test_values_that_an_application_changes_are_seen_at_the_next_fetch(pair, tmp_path):
    _, ours = pair.daemons
    pair.copy(publish(tmp_path, *FILES[0]))
    stored = pair.places()[1] / "acme"
    before = stock("pminfo", "-h", ours.tcp, "-f", f"{pair.name}.acme.uptime").stdout
    data = bytearray(stored.read_bytes())
    at = bytes(data).index(struct.pack("=d", 2.5))
    with stored.open("r+b") as file:
        file.seek(at)
        file.write(struct.pack("=d", 7.25))
    after = stock("pminfo", "-h", ours.tcp, "-f", f"{pair.name}.acme.uptime").stdout
    pair.remove("acme")
    assert ("value 2.5" in before, "value 7.25" in after) == (True, True)
