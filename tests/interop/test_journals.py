"""Our jbd2 agent and stock's on the same recorded journals: names, descriptions, values."""

import re
from pathlib import Path

import pytest

from interop.agents import stock_pmcd_with
from peers import PMDAS, PMNS, STOCK_AGENTS, StockAgent, StockPmcd, stock

TREES = Path(__file__).parents[1] / "unit/agents/data/jbd2"
DECLARED = "from pathlib import Path\nfrom pypcp.agents.jbd2 import jbd2_agent\nagent = jbd2_agent(Path({root!r}))\n"
NAMES = f"{PMNS}/root_jbd2"


def seen(address: str) -> dict[str, list[str]]:
    """By metric what is printed of it; an instance's number follows from the order in which the agent met it."""
    printed = stock("pminfo", "-h", address, "-d", "-m", "-f", "jbd2")
    assert printed.returncode == 0, printed.stderr
    blocks = re.sub(r"inst \[\d+ or ", "inst [", printed.stdout).strip().split("\n\n")
    return {name: sorted(lines) for name, *lines in map(str.splitlines, blocks)}


@pytest.mark.parametrize("tree", ["linux-2.6.32", "linux-6.18"])
def test_recorded_journals_are_seen_alike(tree: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = TREES / tree
    line = f"122 pipe binary {PMDAS}/jbd2/pmdajbd2 -d 122 -U root -j {root}/proc/fs/jbd2"
    monkeypatch.setitem(STOCK_AGENTS, "jbd2", StockAgent(line, NAMES))
    agent = tmp_path / "journals.py"
    agent.write_text(DECLARED.format(root=str(root)))
    with StockPmcd(["pmcd", "jbd2"]) as theirs, stock_pmcd_with("jbd2", 122, agent, NAMES, state=tmp_path) as ours:
        assert len(seen(ours.tcp)) == 23
        assert seen(ours.tcp) == seen(theirs.tcp)
        labels = [stock("pminfo", "-h", each.tcp, "-l", "jbd2.njournals").stdout for each in (ours, theirs)]
        assert labels[0].replace('"agent":"jbd2",', "") == labels[1] != labels[0]


def test_the_agent_is_found_by_its_name(tmp_path: Path) -> None:
    with stock_pmcd_with("jbd2", 122, "jbd2", NAMES, state=tmp_path) as ours:
        assert len(seen(ours.tcp)) == 23
