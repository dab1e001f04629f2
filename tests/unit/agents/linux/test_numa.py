"""NUMA nodes and the lists of processors."""

from pathlib import Path

import pytest

from linux_trees import ask
from pypcp.agents.linux import linux_agent
from pypcp.agents.linux.numa import parse_list, parse_numastat


@pytest.mark.parametrize(
    ("text", "numbers"),
    [(b"", []), (b"\n", []), (b"0\n", [0]), (b"0-3\n", [0, 1, 2, 3]), (b"0-1,8,10-11\n", [0, 1, 8, 10, 11])],
)
def test_lists_of_processors_are_ranges_and_numbers(text: bytes, numbers: list[int]) -> None:
    assert parse_list(text) == numbers


def test_a_count_that_breaks_off_is_an_error() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        parse_numastat(b"numa_hit 1\nnuma_miss")


def test_nodes_that_come_later_are_told_with_the_kernels_numbers(tmp_path: Path) -> None:
    nodes = tmp_path / "sys/devices/system/node"
    agent = linux_agent(tmp_path)
    assert ask(agent, ["hinv.nnode"]) == {"hinv.nnode": 1}
    for number in (0, 2, 10):
        (nodes / f"node{number}").mkdir(parents=True)
        (nodes / f"node{number}/numastat").write_text(f"numa_hit {number}\n")
    assert ask(agent, ["hinv.nnode", "mem.numa.alloc.hit", "mem.numa.alloc.miss"]) == {
        "hinv.nnode": 3,
        "mem.numa.alloc.hit": {"node0": 0, "node2": 2, "node10": 10},
        "mem.numa.alloc.miss": None,
    }
