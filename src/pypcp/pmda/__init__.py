"""The SDK for agents (PMDAs): declare metrics, give values, be asked. See: PMDA(3).

An agent is a file::

    from pypcp.pmda import Agent, Counter

    agent = Agent("acme", 321, help_="The storage array in the cellar")


    @agent.metric(units="sec")
    def uptime() -> Counter[float]:
        \"\"\"Time since the controller was switched on.\"\"\"
        return controller.uptime()

``pypcp agent run FILE`` shows its values, ``pypcp agent serve FILE`` is its line in ``pmcd.conf``.
"""

from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client
from pypcp.pmda.signature import F32, F64, I32, I64, U32, U64, Counter, Discrete

__all__ = ["F32", "F64", "I32", "I64", "U32", "U64", "Agent", "Client", "Counter", "Discrete"]
