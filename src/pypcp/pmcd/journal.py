"""What a daemon writes into its log about itself: who answers, who may come, where it listens."""

from __future__ import annotations

import logging
import os
import socket
import time
from dataclasses import asdict

from pypcp.ipc.listeners import Listeners
from pypcp.pmcd import logfile
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.config import AgentSpec, PipeAgent, SocketAgent
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.router import AbsentRoute, Route

log = logging.getLogger("pypcp.pmcd")

_INTERFACE = 7
_ADDRESSES = {"0.0.0.0": "INADDR_ANY", "::": "INADDR_ANY", "127.0.0.1": "INADDR_LOOPBACK", "::1": "INADDR_LOOPBACK"}


def opened(daemon: Daemon, listeners: Listeners) -> None:
    """The daemon serves: its agents, its rules, its process and its sockets."""
    _tables(daemon)
    logfile.block(log, "process", logfile.process_line(os.getpid()), pid=os.getpid())
    ports = [_port_row(sock) for sock in listeners.sockets]
    logfile.block(log, "ports", logfile.port_table(ports), ports=[asdict(row) for row in ports])


def reloaded(daemon: Daemon) -> None:
    """The daemon has read its files again."""
    clients = daemon.client_rows()
    logfile.block(log, "restarted", logfile.restarted(time.time(), clients), clients=len(clients))
    _tables(daemon)


def _tables(daemon: Daemon) -> None:
    specs = {route.domain: spec for spec, route in daemon.agent_set.configured.items()}
    there = [route for route in daemon.router.routes.values() if not isinstance(route, AbsentRoute)]
    rows = [_agent_row(route, specs.get(route.domain)) for route in there]
    logfile.block(log, "agents", logfile.agent_table(rows), agents=[row.label for row in rows])
    logfile.block(log, "access", logfile.access_tables(daemon.gate.rules, daemon.gate.connections))


def _agent_row(route: Route, spec: AgentSpec | None) -> logfile.AgentRow:
    if isinstance(route, AgentKeeper) and isinstance(spec, PipeAgent):
        protocol = logfile.pipe(spec.command)
        return logfile.AgentRow(route.name, route.domain, protocol, route.pid or None, route.descriptors, spec.version)
    if isinstance(route, AgentKeeper) and isinstance(spec, SocketAgent):
        protocol = logfile.socket(spec.family, spec.address, spec.command)
        return logfile.AgentRow(route.name, route.domain, protocol, route.pid or None, route.descriptors, spec.version)
    return logfile.AgentRow(route.name, route.domain, logfile.dso("pypcp", route.name, _INTERFACE))


def _port_row(sock: socket.socket) -> logfile.PortRow:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return logfile.PortRow(sock.fileno(), "unix", str(name))
    family = "ipv6" if sock.family == socket.AF_INET6 else "inet"
    address = _ADDRESSES.get(name[0], name[0])
    return logfile.PortRow(sock.fileno(), family, address, name[1])
