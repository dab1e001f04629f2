"""Files of memory-mapped values: what is in them, and what becomes of broken ones."""

import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pypcp.agents.mmv import directory, mmv_agent
from pypcp.agents.mmv.layout import MmvFlag, elapsed_at, number_reader, read_header, read_layout
from pypcp.model.ids import Pmid
from pypcp.model.labels import LabelType
from pypcp.model.units import USEC
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda.testing import AgentTester
from pypcp.wire.pdu import StateChange

GENERATION = 12345


def texts(*values: str) -> bytes:
    return b"".join(value.encode().ljust(256, b"\0") for value in values)


def whole_file(*, generation: int = GENERATION, flags: int = 0, pid: int = 1, cluster: int = 7) -> bytes:
    """A file of version 1: an instance domain with two instances, a column, a number, a text, an interval."""
    sections = [(1, 1), (2, 2), (3, 4), (4, 5), (5, 3), (6, 1)]
    sizes = {1: 32, 2: 80, 3: 104, 4: 32, 5: 256, 6: 256}
    offsets, at = {}, 40 + 16 * len(sections)
    for type_, count in sections:
        offsets[type_] = at
        at += count * sizes[type_]
    text = [offsets[5] + 256 * index for index in range(3)]
    metric = [offsets[3] + 104 * index for index in range(4)]
    instance = [offsets[2] + 80 * index for index in range(2)]

    def described(name: bytes, item: int, type_: int, sem: int, indom: int) -> bytes:
        return struct.pack("=64sIiiIIiQQ", name, item, type_, sem, 0, indom, 0, text[0], 0)

    parts = [
        struct.pack("=4sIQQIIiI", b"MMV\0", 1, GENERATION, generation, len(sections), flags, pid, cluster),
        *(struct.pack("=IIQ", type_, count, offsets[type_]) for type_, count in sections),
        struct.pack("=IIQQQ", 5, 2, offsets[2], text[0], text[1]),
        struct.pack("=Qii64s", offsets[1], 0, 0, b"one"),
        struct.pack("=Qii64s", offsets[1], 0, 9, b"nine"),
        described(b"column", 1, ValueType.I32, Semantics.COUNTER, 5),
        described(b"number", 2, ValueType.DOUBLE, Semantics.INSTANT, 0xFFFFFFFF),
        described(b"text", 3, ValueType.STRING, Semantics.DISCRETE, 0),
        described(b"took", 4, 9, 0, 0),
        struct.pack("=iiqQQ", -1, 0, 0, metric[0], instance[0]),
        struct.pack("=iiqQQ", 77, 0, 0, metric[0], instance[1]),
        struct.pack("=dqQQ", 2.5, 0, metric[1], 0),
        struct.pack("=qqQQ", 0, text[2], metric[2], 0),
        struct.pack("=qqQQ", 500, 0, metric[3], 0),
        texts("short", "long", "hullo"),
        struct.pack("=IIi244s", 16, 2, -1, b'{"speed":3}'),
    ]
    return b"".join(parts)


def test_all_of_a_file_is_read():
    layout = read_layout(whole_file())
    assert (layout.header.complete, layout.header.cluster, layout.header.pid) == (True, 7, 1)
    assert layout.indoms[5].instances == {0: "one", 9: "nine"}
    assert layout.indoms[5].help == "short\nlong"
    described = [(each.name, each.item, each.type, each.sem, each.serial) for each in layout.metrics]
    assert described == [
        ("column", 1, ValueType.I32, Semantics.COUNTER, 5),
        ("number", 2, ValueType.DOUBLE, Semantics.INSTANT, None),
        ("text", 3, ValueType.STRING, Semantics.DISCRETE, None),
        ("took", 4, ValueType.I64, Semantics.COUNTER, None),
    ]
    assert layout.metrics[3].units == USEC
    assert list(layout.metrics[0].places) == [0, 9]
    assert [each.labels for each in layout.labels] == [{"speed": 3}]


def test_a_file_that_is_being_written_is_not_complete():
    assert not read_header(whole_file(generation=0)).complete


@pytest.mark.parametrize("data", [b"", b"MMV\0" * 9, whole_file()[:39], b"XXX\0" + whole_file()[4:]])
def test_what_is_no_such_file_is_refused(data):
    with pytest.raises(ValueError, match=r"short|not a file|sections"):
        read_layout(data)


def test_any_damage_is_refused_or_read_but_nothing_else():
    whole = whole_file()
    chance = random.Random(7)
    for _ in range(500):
        damaged = bytearray(whole[: chance.randrange(40, len(whole) + 1)])
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(len(damaged))] = chance.choice((0, 1, 127, 255))
        try:
            read_layout(bytes(damaged))
        except ValueError:
            continue


@pytest.mark.parametrize("type_", [ValueType.I32, ValueType.U64, ValueType.FLOAT])
def test_a_column_is_read_alike_at_once_and_one_by_one(type_):
    code = {ValueType.I32: "i", ValueType.U64: "Q", ValueType.FLOAT: "f"}[type_]
    values = b"".join(struct.pack("=" + code, number).ljust(32, b"\0") for number in range(20))
    places = list(range(64, 640 - 64, 32))
    expected = list(range(2, 18))
    assert number_reader(type_, places, False)(values) == expected
    assert number_reader(type_, places[::-1], False)(values) == expected[::-1]


def test_a_sentinel_is_no_value():
    values = b"\xff" * 8 + bytes(24) + struct.pack("=q", 5).ljust(32, b"\0")
    assert number_reader(ValueType.I64, [0, 32], True)(values) == [None, 5]
    assert number_reader(ValueType.I64, [0, 32], False)(values) == [-1, 5]


def test_an_interval_that_runs_counts_on():
    assert elapsed_at(struct.pack("=qq", 100, -1_000_000), 0, 1_000_050) == 150
    assert elapsed_at(struct.pack("=qq", 100, 0), 0, 1_000_050) == 100


@pytest.fixture
def tester(tmp_path: Path):
    with AgentTester(mmv_agent(directory=tmp_path)) as made:
        yield made


def test_an_agent_exports_what_the_files_say(tester, tmp_path):
    assert tester.names("mmv") == ["mmv.control.files", "mmv.control.debug", "mmv.control.reload"]
    (tmp_path / "acme").write_bytes(whole_file())
    assert tester.fetch("mmv.acme.column") == {"one": -1, "nine": 77}
    assert [tester.fetch(f"mmv.acme.{name}") for name in ("number", "text", "took")] == [2.5, "hullo", 500]
    assert str(tester.pmid("mmv.acme.text")) == "70.7.3"
    assert tester.fetch("mmv.control.files") == 1
    (tmp_path / "acme").unlink()
    tester.fetch_sets([Pmid.build(70, 0, 2)])
    assert tester.changes == StateChange.NAMES_CHANGE
    assert "mmv.acme.column" not in tester.names("mmv")
    assert tester.fetch("mmv.control.files") == 0


def test_files_without_a_number_get_the_lowest_that_is_free(tester, tmp_path):
    for name, cluster in (("a", 1), ("b", 0), ("c", 0)):
        (tmp_path / name).write_bytes(whole_file(cluster=cluster))
    assert [str(tester.pmid(f"mmv.{name}.number")) for name in "abc"] == ["70.1.2", "70.2.2", "70.3.2"]


def test_files_that_say_the_same_numbers_share_metrics_with_the_instances_of_all(tester, tmp_path):
    nine, five = (struct.pack("=ii64s", 0, number, name) for number, name in ((9, b"nine"), (5, b"five")))
    file = whole_file(flags=MmvFlag.NOPREFIX)
    (tmp_path / "a").write_bytes(file)
    (tmp_path / "b").write_bytes(file.replace(nine, five).replace(struct.pack("=i", 77), struct.pack("=i", 55)))
    assert tester.fetch("mmv.column") == {"one": -1, "nine": 77, "five": 55}
    assert tester.instances("mmv.column") == {0: "one", 9: "nine", 5: "five"}
    assert tester.fetch("mmv.number") == 2.5
    os.truncate(tmp_path / "b", 600)
    assert tester.fetch("mmv.column") == {"one": -1, "nine": 77}
    (tmp_path / "b").unlink()
    assert tester.instances("mmv.column") == {0: "one", 9: "nine"}


def test_a_file_that_lacks_the_domain_of_a_metric_takes_nothing_from_others_that_have_it(tester, tmp_path):
    (tmp_path / "a").write_bytes(whole_file())
    (tmp_path / "b").write_bytes(whole_file().replace(struct.pack("=II", 5, 2), struct.pack("=II", 6, 2), 1))
    assert tester.fetch("mmv.a.column") == {"one": -1, "nine": 77}
    assert tester.fetch("mmv.control.files") == 2


def test_a_file_that_loses_its_values_has_none(tester, tmp_path):
    path = tmp_path / "acme"
    path.write_bytes(whole_file())
    pmid = tester.pmid("mmv.acme.number")
    os.truncate(path, 600)
    assert tester.fetch_sets([pmid])[0].error is not None


def test_a_file_whose_process_is_gone_is_left_out(tester, tmp_path):
    flags = MmvFlag.PROCESS
    (tmp_path / "mine").write_bytes(whole_file(flags=flags, pid=os.getpid()))
    (tmp_path / "gone").write_bytes(whole_file(flags=flags, pid=2**22 + 1, cluster=8))
    assert tester.fetch("mmv.control.files") == 1
    assert tester.fetch("mmv.mine.number") == 2.5


def test_files_are_looked_for_anew_on_demand_and_found_when_they_are_finished(tester, tmp_path):
    path = tmp_path / "acme"
    path.write_bytes(whole_file(generation=0))
    assert tester.fetch("mmv.control.files") == 0
    path.write_bytes(whole_file())
    assert tester.fetch("mmv.control.files") == 1
    tester.store("mmv.control.reload", 1)
    assert tester.fetch("mmv.acme.number") == 2.5


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name(".pipe"))
    path.symlink_to(path.with_name(".pipe"))


def put_sparse_file(path: Path) -> None:
    path.touch()
    os.truncate(path, 60 << 20)


def put_twins(path: Path) -> None:
    """Two instances of one name."""
    path.write_bytes(whole_file(cluster=8).replace(b"nine\0", b"one\0\0"))


def put_domain_without_instances(path: Path) -> None:
    path.write_bytes(whole_file(cluster=8).replace(struct.pack("=II", 5, 2), struct.pack("=II", 5, 0), 1))


def put_label(text: bytes) -> Callable[[Path], object]:
    old = struct.pack("=244s", b'{"speed":3}')
    return lambda path: path.write_bytes(whole_file(cluster=8).replace(old, struct.pack("=244s", text)))


@pytest.mark.parametrize(
    "put",
    [
        put_pipe,
        put_link_to_a_pipe,
        Path.mkdir,
        put_sparse_file,
        put_twins,
        put_domain_without_instances,
        *[put_label(text) for text in (b'{"1a":1}', b'{"a b":1}', b'{"a":NaN}', b'{"x":"\\ud800"}', b"[1]", b"7")],
    ],
)
def test_what_anybody_may_put_there_costs_nobody_else_anything(tester, tmp_path, put):
    """By its name it is looked at before the others."""
    (tmp_path / "well").write_bytes(whole_file())
    put(tmp_path / "odd")
    assert tester.fetch("mmv.well.column") == {"one": -1, "nine": 77}
    for name in tester.names("mmv"):
        tester.labels(tester.pmid(name), LabelType.ITEM)
        tester.fetch_sets([tester.pmid(name)])


def test_more_files_than_there_are_descriptors_for_are_not_read(tester, tmp_path, caplog):
    for number in range(1005):
        (tmp_path / f"f{number:04}").write_bytes(whole_file(cluster=0))
    assert tester.fetch("mmv.control.files") == 1000
    assert "has 1005 files; the first 1000 are read" in caplog.text


def test_files_that_take_long_to_read_are_not_read_again_at_once(tester, tmp_path, monkeypatch):
    """Each of the processor's seconds that reading takes is followed by many for everybody else."""
    monkeypatch.setattr(directory, "_BRIEF_S", 0.0)
    monkeypatch.setattr(directory, "_REST", 1e9)
    (tmp_path / "a").write_bytes(whole_file())
    assert tester.fetch("mmv.control.files") == 1
    (tmp_path / "b").write_bytes(whole_file(cluster=8))
    assert tester.fetch("mmv.control.files") == 1
