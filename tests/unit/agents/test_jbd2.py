"""What the jbd2 agent makes of journals: one tree after a current kernel, one after an old one.

`vda1-8` and `sdb1-8` of `linux-6.18` are what that kernel answered (devices renamed); the others are written by hand in
the kernels' formats, with numbers that are easy to tell apart.
"""

import re
import shutil
from pathlib import Path

import pytest

from pypcp.agents.jbd2 import AVERAGES, jbd2_agent, parse_info
from pypcp.errors import TryAgain
from pypcp.pmda.testing import AgentTester

TREES = Path(__file__).parent / "data" / "jbd2"
WHOLE = (TREES / "linux-6.18/proc/fs/jbd2/dm-3-8/info").read_bytes()


def everything(root: Path):
    with AgentTester(jbd2_agent(root)) as tester:
        return tester.fetch_all()


def test_a_journal_tells_of_its_transactions():
    told = everything(TREES / "linux-6.18")
    assert told["jbd2.njournals"] == 3
    assert told["jbd2.transaction.count"] == {"vda1-8": 9, "dm-3-8": 10001, "md0-8": 5000000001}
    of_one = {name: values["dm-3-8"] for name, values in told.items() if name != "jbd2.njournals"}
    assert of_one == {
        "jbd2.transaction.count": 10001,
        "jbd2.transaction.requested": 9907,
        "jbd2.transaction.max_blocks": 65536,
        "jbd2.transaction.average.time.waiting": 3,
        "jbd2.transaction.average.time.request_delay": 5,
        "jbd2.transaction.average.time.running": 7,
        "jbd2.transaction.average.time.being_locked": 11,
        "jbd2.transaction.average.time.flushing_ordered_mode_data": 13,
        "jbd2.transaction.average.time.logging": 17,
        "jbd2.transaction.average.time.committing": 1900,
        "jbd2.transaction.average.handles": 23,
        "jbd2.transaction.average.blocks": 29,
        "jbd2.transaction.average.blocks_logged": 31,
        "jbd2.transaction.total.time.waiting": 3 * 10001,
        "jbd2.transaction.total.time.request_delay": 5 * 9907,
        "jbd2.transaction.total.time.running": 7 * 10001,
        "jbd2.transaction.total.time.being_locked": 11 * 10001,
        "jbd2.transaction.total.time.flushing_ordered_mode_data": 13 * 10001,
        "jbd2.transaction.total.time.logging": 17 * 10001,
        "jbd2.transaction.total.handles": 23 * 10001,
        "jbd2.transaction.total.blocks": 29 * 10001,
        "jbd2.transaction.total.blocks_logged": 31 * 10001,
    }


def test_what_an_old_kernel_does_not_tell_has_no_value():
    told = everything(TREES / "linux-2.6.32")
    without = {name for name, values in told.items() if values == {}}
    delays = {f"jbd2.transaction.{kind}.time.request_delay" for kind in ("average", "total")}
    assert without == {"jbd2.transaction.requested", *delays}
    assert told["jbd2.transaction.total.time.running"] == {"sda1-8": 314159 * 4700}


def test_without_journals_there_are_none(tmp_path: Path):
    told = everything(tmp_path)
    assert told.pop("jbd2.njournals") == 0
    assert not any(told.values())


def test_every_line_of_the_kernels_is_a_metric():
    lines = [re.sub(rb"^ *\d+ ?", b"", line) for line in WHOLE.splitlines()[2:]]
    assert sorted(lines) == sorted(words for _, _, _, words, *_ in AVERAGES)


def test_lines_that_are_not_known_are_passed_over():
    more = WHOLE + b"  7 fast commits\n  something new\n"
    assert parse_info(more).total(b"handles per transaction") == parse_info(WHOLE).total(b"handles per transaction")


def test_a_journal_keeps_its_number_when_others_come_and_go(tmp_path: Path):
    root = Path(shutil.copytree(TREES / "linux-6.18", tmp_path / "root"))
    with AgentTester(jbd2_agent(root, tmp_path / "state")) as tester:
        before = tester.instances("jbd2.transaction.count")
    shutil.rmtree(root / "proc/fs/jbd2/dm-3-8")
    with AgentTester(jbd2_agent(root, tmp_path / "state")) as tester:
        after = tester.instances("jbd2.transaction.count")
    assert before.items() - after.items() == {(number, name) for number, name in before.items() if name == "dm-3-8"}
    assert len(after) == 2


def test_each_fetch_opens_the_file_anew(tmp_path: Path):
    """The kernel counts up to the moment of opening: who keeps the file open reads the same counts for ever."""
    root = Path(shutil.copytree(TREES / "linux-6.18", tmp_path / "root"))
    file = root / "proc/fs/jbd2/dm-3-8/info"
    with AgentTester(jbd2_agent(root)) as tester:
        tester.fetch("jbd2.transaction.count")
        (tmp_path / "later").write_bytes(WHOLE.replace(b"10001", b"10002"))
        (tmp_path / "later").replace(file)
        assert tester.fetch("jbd2.transaction.count", "dm-3-8") == {"dm-3-8": 10002}


@pytest.mark.parametrize("text", [b"", b"nonsense\n", WHOLE[:-2], WHOLE[:30], b"\xff" * 99])
def test_a_file_that_breaks_off_or_is_another_is_an_error(text: bytes, tmp_path: Path):
    with pytest.raises(ValueError, match="does not tell of a journal"):
        parse_info(text)
    root = Path(shutil.copytree(TREES / "linux-6.18", tmp_path / "root"))
    (root / "proc/fs/jbd2/dm-3-8/info").write_bytes(text)
    assert {type(answer) for answer in everything(root).values()} == {TryAgain}
