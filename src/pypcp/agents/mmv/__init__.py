"""Values that applications publish in memory-mapped files: one write and no call for them. Domain 70.

Every file in ``PCP_TMP_DIR/mmv`` that an application made (:mod:`pypcp.agents.mmv.layout` has the format) gives
metrics ``mmv.FILE.NAME``, as long as it is there. Other agents may do the same with a directory of theirs.
"""

from __future__ import annotations

from pathlib import Path

from pypcp.agents.mmv.directory import Directory
from pypcp.ipc.paths import Paths
from pypcp.model.values import ValueType
from pypcp.pmda import I32, Agent

DOMAIN = 70


def mmv_agent(state: Path | None = None, directory: Path | None = None) -> Agent:
    """Make the agent; ``directory`` is where the files are, by default where stock's library writes them."""
    return agent_of_files("mmv", DOMAIN, "Values that applications publish in memory-mapped files", state, directory)


def agent_of_files(name: str, domain: int, help_: str, state: Path | None, directory: Path | None) -> Agent:
    """An agent whose metrics, all below ``name``, are those of the files in ``directory`` (``PCP_TMP_DIR/name``)."""
    agent = Agent(name, domain, help_=help_, state=state)
    agent.registry.dynamic_roots.append(name)
    files = Directory(agent, directory or Path(Paths.find().settings.get("PCP_TMP_DIR", "/var/tmp"), name))
    agent.check(files.refresh)
    agent.shutdown(files.close)
    _declare_control(agent, files)
    return agent


def _declare_control(agent: Agent, files: Directory) -> None:
    @agent.metric(f"{agent.name}.control.reload", item=0)
    def reload() -> I32:
        """Store anything but 0 to have all files read anew"""
        return 0

    @reload.on_store
    def read_anew(value: int) -> None:
        if value:
            files.reload()

    debug = {"value": 0}
    declared = agent.cluster(0).metric(
        f"{agent.name}.control.debug",
        1,
        ValueType.I32,
        lambda _: debug["value"],
        help_="A number that can be stored and has no effect\nStock's agent keeps its debugging flags here.",
    )

    @declared.on_store
    def keep(value: int) -> None:
        debug["value"] = value

    @agent.metric(f"{agent.name}.control.files", item=2)
    def count() -> I32:
        """Files whose metrics are exported now"""
        return len(files)
