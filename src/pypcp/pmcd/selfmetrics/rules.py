"""Cluster 5: the pmie processes of this host, which evaluate rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from pypcp.model.units import COUNT, NONE, Time, Units
from pypcp.model.values import Semantics, ValueType
from pypcp.pmcd.map_files import PmieInstance, pmies
from pypcp.pmda.agent import Agent

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

_PER_SECOND: Final = Units(time=-1, count=1, scale_time=Time.SEC)
_Declare = Callable[..., None]


def declare(agent: Agent, daemon: Daemon) -> None:
    """Declare the metrics."""
    indom = agent.indom(4, help_="Inference engines\nProcesses of pmie(1), each by its process id.")
    directory = daemon.options.places.temporary

    def refresh() -> Sequence[PmieInstance]:
        found = [] if directory is None else pmies(directory / "pmie")
        indom.replace([str(each.pid) for each in found], [each.pid for each in found])
        return found

    cluster = agent.cluster(5, refresh)

    def metric(
        name: str,
        item: int,
        read: Callable[[PmieInstance], Any],
        help_: str,
        *,
        type_: ValueType = ValueType.U32,
        sem: Semantics = Semantics.DISCRETE,
        units: Units = NONE,
    ) -> None:
        def column(found: Sequence[PmieInstance]) -> list[Any]:
            return [read(each) for each in found]

        cluster.metric(f"pmcd.pmie.{name}", item, type_, column, indom=indom, sem=sem, units=units, help_=help_)

    _declare_setting(metric)
    _declare_counts(metric)


def _declare_setting(metric: _Declare) -> None:
    string = ValueType.STRING
    metric(
        "configfile",
        0,
        lambda each: each.config_file,
        "Rules of an engine\nPath of the file that it took its rules from, the first of them; <stdin> for its input.",
        type_=string,
    )
    metric(
        "logfile",
        1,
        lambda each: each.log_file,
        "Log of an engine\nPath of the file that it writes to; <none> without one.",
        type_=string,
    )
    metric(
        "pmcd_host",
        2,
        lambda each: each.pmcd_host,
        "Host that an engine watches\nWhere values come from for which the rules name no host.",
        type_=string,
    )
    metric("numrules", 3, lambda each: each.rules, "Rules of an engine\nHow many it evaluates.")
    metric(
        "eval.expected",
        8,
        lambda each: each.expected,
        "Evaluations an engine should make\nA second: its rules by the intervals they are evaluated at.",
        type_=ValueType.FLOAT,
        units=_PER_SECOND,
    )


def _declare_counts(metric: _Declare) -> None:
    count = {"sem": Semantics.COUNTER, "units": COUNT}
    metric(
        "actions",
        4,
        lambda each: each.actions,
        "Actions taken\nBecause a rule came true and was not held back.",
        **count,
    )
    metric("eval.true", 5, lambda each: each.true, "Rules that came true\nEvaluations with that result.", **count)
    metric("eval.false", 6, lambda each: each.false, "Rules that came false\nEvaluations with that result.", **count)
    metric(
        "eval.unknown",
        7,
        lambda each: each.unknown,
        "Rules without a result\nEvaluations for which values were missing.",
        **count,
    )
    metric("eval.actual", 9, lambda each: each.actual, "Rules evaluated\nEvaluations of any result.", **count)
