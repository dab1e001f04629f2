"""Agents by name and by file."""

import json
import sys
from importlib.metadata import EntryPoint

import pytest

from pypcp.errors import BadArgument
from pypcp.pmda import Agent, finding
from pypcp.pmda.finding import find_agent, installed_agents
from pypcp.tools.main import main

ONE = 'from pypcp.pmda import Agent\n{name} = Agent("acme", 300)\n'


def test_a_file_declares_an_agent_under_any_name(tmp_path):
    for name in ("agent", "whatever"):
        path = tmp_path / f"{name}.py"
        path.write_text(ONE.format(name=name))
        assert find_agent(str(path)).name == "acme"


def test_of_several_agents_the_one_called_agent_is_meant(tmp_path):
    path = tmp_path / "two.py"
    path.write_text(ONE.format(name="other") + 'mine = Agent("b", 301)\n')
    with pytest.raises(BadArgument, match="2 agents"):
        find_agent(str(path))
    path.write_text(ONE.format(name="agent") + 'other = Agent("b", 301)\n')
    assert find_agent(str(path)).domain == 300


def test_a_file_may_have_a_function_that_makes_the_agent(tmp_path):
    path = tmp_path / "made.py"
    path.write_text(
        'from pypcp.pmda import Agent\ndef made_agent(state):\n    return Agent("made", 300, state=state)\n'
    )
    assert find_agent(str(path)).name == "made"


def test_what_lies_beside_the_file_can_be_imported(tmp_path):
    (tmp_path / "beside_acme.py").write_text("DOMAIN = 307\n")
    path = tmp_path / "acme.py"
    path.write_text('from beside_acme import DOMAIN\nfrom pypcp.pmda import Agent\nagent = Agent("acme", DOMAIN)\n')
    assert find_agent(str(path)).domain == 307


def test_a_file_may_have_dataclasses_and_annotations_as_texts(tmp_path):
    path = tmp_path / "acme.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        + ONE.format(name="agent")
        + "@dataclass\nclass Reading:\n    value: int\n"
    )
    assert find_agent(str(path)).name == "acme"


def test_a_module_of_the_same_name_is_not_replaced(tmp_path):
    path = tmp_path / "json.py"
    path.write_text(ONE.format(name="agent"))
    assert find_agent(str(path)).name == "acme"
    assert sys.modules["json"] is json


def test_the_domain_can_be_told(tmp_path):
    path = tmp_path / "acme.py"
    path.write_text(ONE.format(name="agent"))
    assert (find_agent(str(path), domain=333).domain, find_agent(str(path)).domain) == (333, 300)
    assert find_agent("sample", domain=30).domain == 30


@pytest.mark.parametrize("name", ["nosuch", "./nosuch.py", "/nosuch/agent.py"])
def test_what_is_not_there_is_said_with_what_is(name):
    with pytest.raises(BadArgument, match=r"there (are|is no such file)"):
        find_agent(name)


def test_two_of_a_name_know_nothing_of_each_other():
    one, other = find_agent("simple"), find_agent("simple")
    assert one is not other
    assert one.registry is not other.registry


def test_packages_offer_agents_by_entry_point(monkeypatch):
    offered = EntryPoint("theirs", "pypcp.agents.trivial:agent", finding.GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **wanted: [offered])
    assert isinstance(find_agent("theirs"), Agent)
    assert installed_agents()["theirs"] == "pypcp.agents.trivial:agent"


def test_something_else_than_an_agent_is_refused(tmp_path):
    path = tmp_path / "odd.py"
    path.write_text("def odd_agent(state):\n    return 5\n")
    with pytest.raises(BadArgument, match="int"):
        find_agent(str(path))


KEEPING = """
import os
from pypcp.pmda import Agent
agent = Agent("acme", 300)
things = agent.indom(3, persistent=True)
pools = agent.subtree("acme.pool", clusters=range(10, 11))
@pools.metric("")
def size(size: int) -> int:
    return size
names = os.environ["ACME_NAMES"].split()
things.replace(names)
pools.replace(dict.fromkeys(names, 1))
"""


def test_ids_of_what_a_file_says_while_it_is_imported_are_those_of_the_last_process(tmp_path, monkeypatch):
    path = tmp_path / "acme.py"
    path.write_text(KEEPING)
    ids = {}
    for names in ("a b c", "c b a z"):
        monkeypatch.setenv("ACME_NAMES", names)
        agent = find_agent(str(path), state=tmp_path / "state")
        things = agent.registry.find_indom(3)
        for name in names.split():
            item = agent.lookup_name(f"acme.pool.{name}").item
            assert ids.setdefault(name, (things.id_of(name), item)) == (things.id_of(name), item)
    assert ids == {"a": (0, 0), "b": (1, 1), "c": (2, 2), "z": (3, 3)}


def test_a_file_may_have_dataclasses_with_annotations_that_are_not_evaluated(tmp_path):
    path = tmp_path / "acme.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class Pool:\n"
        "    size: int\n" + ONE.format(name="agent")
    )
    assert find_agent(str(path)).name == "acme"


def test_nothing_is_left_of_a_file_that_could_not_be_imported(tmp_path):
    path = tmp_path / "half.py"
    path.write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        find_agent(str(path))
    assert [name for name in sys.modules if name.startswith("half")] == []


def test_what_a_file_prints_while_it_is_imported_is_no_output_of_a_tool(tmp_path, capsys):
    path = tmp_path / "acme.py"
    path.write_text('print("hello")\n' + ONE.format(name="agent"))
    assert main(["agent", "names", "--root", str(path)]) == 0
    printed = capsys.readouterr()
    assert (printed.out.splitlines()[0], printed.err) == ("root {", "hello\n")
