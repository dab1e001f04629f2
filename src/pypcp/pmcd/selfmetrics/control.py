"""Cluster 0: what root changes while the daemon runs. See: pmcd(1), pmstore(1)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pypcp.errors import UnknownInstance
from pypcp.model.ids import IN_NULL
from pypcp.model.values import Semantics, ValueType
from pypcp.pmcd.limits import NEVER_S
from pypcp.pmcd.selfmetrics.permitted import by_root, within
from pypcp.pmcd.trace import MAX_EVENTS
from pypcp.pmda.agent import Agent
from pypcp.pmda.indom import Indom

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon

_REGISTERS: Final = 16
_OURS: Final = logging.getLogger("pypcp")


class _Control:
    """The switches, and how the daemon is changed by them."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._usual_level = logging.NOTSET
        self.debug = 0
        self.registers = [0] * _REGISTERS

    def store_debug(self, value: int, _: int) -> None:
        if not self.debug:
            self._usual_level = _OURS.level
        self.debug = value
        _OURS.setLevel(logging.DEBUG if value else self._usual_level)

    @property
    def timeout(self) -> int:
        limit = self._daemon.limits.agent_s
        return 0 if limit >= NEVER_S else math.ceil(limit)

    def store_timeout(self, value: int, _: int) -> None:
        self._daemon.limits = self._daemon.limits.with_exchange_s(within(value, 0, NEVER_S))

    def store_register(self, value: int, instance: int) -> None:
        if instance == IN_NULL:
            raise UnknownInstance("a register has a number")
        self.registers[instance] = value

    def store_trace_connections(self, value: int, _: int) -> None:
        self._daemon.trace.connections = bool(within(value, 0, 1))

    def store_trace_pdus(self, value: int, _: int) -> None:
        self._daemon.statistics.pdu_trace = self._daemon.trace.pdu if within(value, 0, 1) else None

    def store_trace_unbuffered(self, value: int, _: int) -> None:
        self._daemon.trace.at_once = bool(within(value, 0, 1))

    def store_trace_buffers(self, value: int, _: int) -> None:
        self._daemon.trace.capacity = within(value, 1, MAX_EVENTS)

    def dump_trace(self, *_: int) -> None:
        self._daemon.trace.dump()

    def dump_clients(self, *_: int) -> None:
        self._daemon.log_clients()

    def reload(self, *_: int) -> None:
        self._daemon.reloads.tell()


def declare(agent: Agent, daemon: Daemon) -> None:
    """Declare the metrics."""
    control = _Control(daemon)
    cluster = agent.cluster(0)
    registers = agent.indom(
        2, fixed={number: str(number) for number in range(_REGISTERS)}, help_="Registers\nNumbered from 0."
    )

    def switch(
        name: str,
        item: int,
        read: Callable[[], Any],
        change: Callable[[int, int], None],
        help_: str,
        type_: ValueType = ValueType.I32,
        indom: Indom | None = None,
    ) -> None:
        cluster.metric(
            f"pmcd.control.{name}",
            item,
            type_,
            lambda _: read(),
            indom=indom,
            sem=Semantics.DISCRETE,
            store=by_root(change),
            help_=f"{help_} Only root stores here.",
        )

    switch(
        "debug",
        0,
        lambda: control.debug,
        control.store_debug,
        "Does the daemon say all it does\nAny number but 0 has the log take everything; 0 goes back to what it took "
        "before. The bits of pmdbg(1) are kept, and make no difference.",
    )
    switch(
        "timeout",
        4,
        lambda: control.timeout,
        control.store_timeout,
        "Seconds that one exchange may take\nAn agent that needs longer for an answer is ended and started again, a "
        "client that needs longer for the rest of a request is dropped; 0: there is no limit. As the option -t.",
        ValueType.U32,
    )
    switch(
        "register",
        8,
        lambda: control.registers,
        control.store_register,
        "Numbers for anybody's use\nKept for those who look at them, without a meaning to the daemon: a notice board "
        "for rules and scripts. All are 0 at first.",
        indom=registers,
    )
    _declare_tracing(switch, control, daemon)


def _declare_tracing(switch: Callable[..., None], control: _Control, daemon: Daemon) -> None:
    trace = daemon.trace
    switch(
        "traceconn",
        9,
        lambda: int(trace.connections),
        control.store_trace_connections,
        "Are connections traced\n1: the coming and going of clients and agents are events of the trace, 0: not.",
    )
    switch(
        "tracepdu",
        10,
        lambda: int(daemon.statistics.pdu_trace is not None),
        control.store_trace_pdus,
        "Are PDUs traced\n1: every PDU received or sent is an event of the trace, 0: none is.",
    )
    switch(
        "tracebufs",
        11,
        lambda: trace.capacity,
        control.store_trace_buffers,
        f"Events that the trace keeps\n20 at first, at most {MAX_EVENTS}; the oldest goes when one more comes.",
    )
    switch(
        "dumptrace",
        12,
        lambda: 0,
        control.dump_trace,
        "Write the trace to the log\nWhatever is stored, the events kept are written, and are forgotten then.",
    )
    switch(
        "dumpconn",
        13,
        lambda: 0,
        control.dump_clients,
        "Write the clients to the log\nWhatever is stored, a table of those connected is written.",
    )
    switch(
        "tracenobuf",
        14,
        lambda: int(trace.at_once),
        control.store_trace_unbuffered,
        "Is the trace written at once\n1: events go to the log as they happen, 0: they are kept until "
        "pmcd.control.dumptrace is stored.",
    )
    switch(
        "sighup",
        15,
        lambda: 0,
        control.reload,
        "Read the configuration again\nWhatever is stored, the daemon does what it does after a SIGHUP.",
    )
