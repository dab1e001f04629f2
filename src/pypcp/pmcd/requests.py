"""Who answers what may be asked of all agents together: every request but fetches, and those about a client itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pypcp.pmcd import metadata, names, store
from pypcp.pmcd.asking import Asking
from pypcp.pmcd.router import Router
from pypcp.pmda.interface import Client
from pypcp.wire.pdu import Pdu, PduType

ANSWERS: Final[dict[int, Callable[[Router, Client, Any], Asking[Pdu]]]] = {
    PduType.DESC_REQ: metadata.describe,
    PduType.DESC_IDS: metadata.describe_all,
    PduType.INSTANCE_REQ: metadata.instances,
    PduType.TEXT_REQ: metadata.text,
    PduType.PMNS_NAMES: names.lookup_names,
    PduType.PMNS_IDS: names.names_of,
    PduType.PMNS_CHILD: names.children,
    PduType.PMNS_TRAVERSE: names.traverse,
    PduType.RESULT: store.store,
}
"""From a request's type to its answer, for a client of a router."""
