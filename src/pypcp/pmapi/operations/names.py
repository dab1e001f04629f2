"""The name space: names to metric identifiers and back, and walks through the tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pypcp.errors import (
    NoPmns,
    PcpError,
    RemoteProtocolError,
    TooFew,
    UnknownName,
    from_code,
)
from pypcp.model.ids import PM_ID_NULL, Pmid
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Operation, answered, ask
from pypcp.wire.buffer import pad4, to_bytes
from pypcp.wire.pdu import Pdu
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.versions import PDU_VERSION1

_LOOKUP_LIMIT = 63 * 1024
"""pmcd takes 64 KiB from a client; the C library stops here."""
_FIXED_SIZE = 24


class Child(NamedTuple):
    """One component of the name space below another: is it a metric, or are there more below it?"""

    name: str
    leaf: bool


def lookup_name(state: ContextState, name: str) -> Operation[Pmid]:
    """The identifier of one metric name.

    Raises ``UnknownName``, ``NotLeaf``, or an ``AgentError`` where the agent of a dynamic subtree cannot answer.
    See: pmLookupName(3).
    """
    (found,) = yield from lookup_names(state, [name])
    if isinstance(found, PcpError):
        raise found
    return found


def lookup_names(state: ContextState, names: Sequence[str]) -> Operation[list[Pmid | PcpError]]:
    """The identifier of each name, or the error in its place.

    pmcd tells the reason of a failure only when asked for one name; among several it is always ``UnknownName``.
    Long lists are asked for in pieces. See: pmLookupName(3).
    """
    _needs_names(state)
    if not names:
        raise TooFew("no metric names to look up")
    found: list[Pmid | PcpError] = []
    for piece in _pieces(names):
        found += yield from _lookup_piece(state, piece)
    return found


def _lookup_piece(state: ContextState, names: Sequence[str]) -> Operation[list[Pmid | PcpError]]:
    try:
        reply = yield from ask(PmnsNames(names, sender=state.handle), PmnsIds, names[0] if len(names) == 1 else "")
    except PcpError as error:
        if len(names) > 1:
            raise
        return [answered(error)]
    if len(reply.pmids) != len(names):
        raise RemoteProtocolError(f"{len(reply.pmids)} identifiers in answer to {len(names)} names")
    if reply.status < 0:
        raise from_code(reply.status)
    return [
        UnknownName(name) if pmid == PM_ID_NULL else Pmid(pmid) for name, pmid in zip(names, reply.pmids, strict=True)
    ]


def _pieces(names: Sequence[str]) -> Iterator[Sequence[str]]:
    start, size = 0, _FIXED_SIZE
    for at, name in enumerate(names):
        entry = 4 + pad4(len(to_bytes(name)))
        if size + entry > _LOOKUP_LIMIT and at > start:
            yield names[start:at]
            start, size = at, _FIXED_SIZE
        size += entry
    yield names[start:]


def names_of(state: ContextState, pmid: int) -> Operation[list[str]]:
    """Every name of a metric identifier, at least one. Raises ``UnknownPmid``, ``NoAgent``. See: pmNameAll(3)."""
    reply = yield from _ask_for_names(state, PmnsIds([pmid], 0, sender=state.handle), Pmid(pmid))
    if not reply.names:
        raise RemoteProtocolError("no name and no error in answer to an identifier")
    return list(reply.names)


def name_of(state: ContextState, pmid: int) -> Operation[str]:
    """The first name of a metric identifier. Raises ``UnknownPmid``, ``NoAgent``. See: pmNameID(3)."""
    return (yield from names_of(state, pmid))[0]


def children(state: ContextState, name: str = "") -> Operation[list[Child]]:
    """What is directly below a name (empty: the root); nothing below a metric.

    Raises ``UnknownName``. See: pmGetChildrenStatus(3).
    """
    reply = yield from _ask_for_names(state, PmnsChild(name, 1, sender=state.handle), name)
    if not reply.names:
        return []
    if reply.statuses is None or len(reply.statuses) != len(reply.names):
        raise RemoteProtocolError("children without the status that was asked for")
    return [Child(child, status == 0) for child, status in zip(reply.names, reply.statuses, strict=True)]


def traverse(state: ContextState, name: str = "") -> Operation[list[str]]:
    """The full names of all metrics at or below a name (empty: all there are), in the order of the tree.

    Raises ``UnknownName``. See: pmTraversePMNS(3).
    """
    reply = yield from _ask_for_names(state, PmnsTraverse(name, 0, sender=state.handle), name)
    return list(reply.names)


def _ask_for_names(state: ContextState, request: Pdu, about: object) -> Operation[PmnsNames]:
    _needs_names(state)
    reply = yield from ask(request, PmnsNames, about)
    if reply.error < 0:
        raise from_code(reply.error, str(about))
    return reply


def _needs_names(state: ContextState) -> None:
    if state.channel.version == PDU_VERSION1:
        raise NoPmns("a version 1 pmcd serves no names, only metric identifiers")
