"""Cluster 8: what the daemon can do, as it runs now."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from pypcp.model.values import ValueType
from pypcp.pmda.agent import Agent
from pypcp.wire.pdu import Feature

if TYPE_CHECKING:
    from pypcp.pmcd.daemon import Daemon


def declare(agent: Agent, daemon: Daemon) -> None:
    """Declare the metrics."""
    cluster = agent.cluster(8)

    def feature(name: str, item: int, read: Callable[[], bool], help_: str) -> None:
        cluster.metric(f"pmcd.feature.{name}", item, ValueType.U32, lambda _: int(read()), help_=help_)

    def offered(name: str, item: int, bit: Feature, help_: str) -> None:
        feature(name, item, lambda: bool(daemon.features & bit), help_)

    offered("secure", 0, Feature.SECURE, "TLS is offered\n1 with a certificate in use, else 0.")
    feature("compress", 1, lambda: False, "Compression is offered\nAlways 0: the protocol has dropped it.")
    feature(
        "ipv6",
        2,
        lambda: socket.AF_INET6 in _families(daemon),
        "IPv6 is served\n1 where the daemon listens on an IPv6 address, else 0.",
    )
    offered(
        "authentication", 3, Feature.AUTH, "Users can log in\n1 where the daemon offers SASL with an account, else 0."
    )
    offered(
        "creds_required",
        4,
        Feature.CREDS_REQD,
        "Clients must say who they are\n1 where that is asked for by an option or by rules about users, else 0.",
    )
    feature(
        "unix_domain_sockets",
        5,
        lambda: socket.AF_UNIX in _families(daemon),
        "The UNIX socket is served\n1 where the daemon listens on one, else 0.",
    )
    feature("service_discovery", 6, lambda: False, "The daemon announces itself\nAlways 0: it does not.")
    offered(
        "containers",
        7,
        Feature.CONTAINER,
        "Clients can look into containers\n1 where the daemon takes the name of a container, else 0.",
    )
    feature(
        "local",
        8,
        lambda: all(_is_loopback(sock) for sock in daemon.listening),
        "Only this host is served\n1 where the daemon listens on no address that other hosts can reach, else 0.",
    )
    offered(
        "client_cert_required",
        9,
        Feature.CERT_REQD,
        "Clients of other hosts need a certificate\n1 where they are refused without one, else 0.",
    )


def _families(daemon: Daemon) -> set[int]:
    return {sock.family for sock in daemon.listening}


def _is_loopback(sock: socket.socket) -> bool:
    if sock.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback
