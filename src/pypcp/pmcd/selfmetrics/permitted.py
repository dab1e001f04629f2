"""Who may change what of the daemon while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pypcp.errors import BadStore, PermissionDenied
from pypcp.pmda.interface import Client

Store = Callable[[Any, int, Client], None]
"""(value, instance, client): what a metric does with a value that is stored into it."""


def by_root(change: Callable[[Any, int], None]) -> Store:
    """What only root does, known by the UNIX socket or by SASL; ``change`` is given value and instance.

    ``PermissionDenied`` for others.
    """

    def store(value: Any, instance: int, client: Client) -> None:
        if client.uid != 0:
            raise PermissionDenied("only root may change how the daemon works")
        change(value, instance)

    return store


def within(value: int, low: int, high: int) -> int:
    """The value, if it is one of ``low`` to ``high``; ``BadStore``."""
    if not low <= value <= high:
        raise BadStore(f"{value} is not within {low} to {high}")
    return value
