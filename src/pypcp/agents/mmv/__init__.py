"""Values that applications publish in memory-mapped files: one write and no call for them. Domain 70.

Every file in ``PCP_TMP_DIR/mmv`` that an application made (:mod:`pypcp.agents.mmv.layout` has the format) gives
metrics ``mmv.FILE.NAME``, as long as it is there.
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
    agent = Agent("mmv", DOMAIN, help_="Values that applications publish in memory-mapped files", state=state)
    agent.registry.dynamic_roots.append("mmv")
    files = Directory(agent, directory or Path(Paths.find().settings.get("PCP_TMP_DIR", "/var/tmp"), "mmv"))
    agent.check(files.refresh)
    agent.shutdown(files.close)
    _declare_control(agent, files)
    return agent


def _declare_control(agent: Agent, files: Directory) -> None:
    @agent.metric("mmv.control.reload", item=0)
    def reload() -> I32:
        """Store anything but 0 to have all files read anew"""
        return 0

    @reload.on_store
    def read_anew(value: int) -> None:
        if value:
            files.reload()

    debug = {"value": 0}
    declared = agent.cluster(0).metric(
        "mmv.control.debug",
        1,
        ValueType.I32,
        lambda _: debug["value"],
        help_="A number that can be stored and has no effect\nStock's agent keeps its debugging flags here.",
    )

    @declared.on_store
    def keep(value: int) -> None:
        debug["value"] = value

    @agent.metric("mmv.control.files", item=2)
    def count() -> I32:
        """Files whose metrics are exported now"""
        return len(files)
