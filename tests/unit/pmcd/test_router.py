"""One name space over a file and the agents in the daemon."""

from pypcp.model.ids import Pmid, dynamic_root
from pypcp.model.values import ValueType
from pypcp.pmcd.router import merged_names, names_here
from pypcp.pmda.agent import Agent
from pypcp.pmns.tree import Tree


def test_what_a_file_leaves_to_an_agent_is_asked_of_it_also_where_the_names_are_declared() -> None:
    agent = Agent("sample", 29)
    for item, name in enumerate(["sample.number", "sample.secret.bar"]):
        agent.metric(name, item=item, type_=ValueType.U32)(lambda: 42)
    static = Tree()
    static.insert("sample.secret", dynamic_root(29))
    names = dict(merged_names(static, names_here([agent])).traverse(""))
    assert names == {"sample.secret": dynamic_root(29), "sample.number": Pmid.build(29, 0, 0)}
