"""The recorded systems that the linux agent is tested on, and how a test asks an agent in its own process.

`linux-6.18` is what a virtual machine's kernel answered (names and addresses replaced); `linux-4.14` and `linux-2.6.32`
are written by hand after the documented formats of those kernels, with numbers that are easy to tell apart.
"""

from collections.abc import Iterable
from pathlib import Path

from pypcp.agents.linux import linux_agent
from pypcp.errors import PcpError
from pypcp.model.ids import PM_INDOM_NULL
from pypcp.model.values import Value, ValueSet
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client, FetchRequest
from pypcp.pmda.reply import ReplyLayout
from pypcp.wire.pdu import decode
from pypcp.wire.result import Result, typed

DATA = Path(__file__).parent / "unit" / "agents" / "linux" / "data"
TREES = ("linux-2.6.32", "linux-4.14", "linux-6.18")
MAX_REPLY = 1 << 24

Answer = Value | dict[str, Value] | type[PcpError] | None
"""A value, values by instance name, the kind of error, or None where there is no value now."""


def recorded(tree: str) -> Agent:
    """The agent on a recorded system."""
    return linux_agent(DATA / tree)


def fetch(agent: Agent, names: Iterable[str]) -> list[ValueSet]:
    """One fetch by way of the wire: what a client would decode."""
    pmids = tuple(int(agent.lookup_name(name)) for name in names)
    fetched = agent.fetch(FetchRequest(pmids), Client())
    layout = ReplyLayout(pmids, [range(len(pmids))], highres=True, max_reply=MAX_REPLY)
    reply = decode(layout.render([fetched], 0))
    assert isinstance(reply, Result)
    return reply.value_sets


def ask(agent: Agent, names: Iterable[str]) -> dict[str, Answer]:
    """The answers by name."""
    names = list(names)
    return {name: _answer(agent, each) for name, each in zip(names, fetch(agent, names), strict=True)}


def _answer(agent: Agent, values: ValueSet) -> Answer:
    if values.error is not None:
        return type(values.error)
    if not values.values:
        return None
    desc = agent.desc(values.pmid)
    indom, values = desc.indom, typed(values, desc.type)
    if indom == PM_INDOM_NULL:
        return values.value
    return {agent.instance_name(indom, inst): value for inst, value in values.by_instance().items()}


def everything(agent: Agent) -> dict[str, Answer]:
    """All that the agent has to say."""
    return ask(agent, agent.traverse(""))
