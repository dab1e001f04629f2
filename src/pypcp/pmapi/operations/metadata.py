"""What is known about metrics and instance domains: descriptors, instances, texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pypcp.errors import PcpError, RemoteProtocolError, TooFew, UnknownInDom, UnknownPmid
from pypcp.model.desc import Desc
from pypcp.model.ids import IN_NULL, PM_INDOM_NULL, InDom, Pmid
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Operation, answered, ask
from pypcp.wire.desc import DescIds, DescReply, DescRequest, Descs
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.pdu import Feature
from pypcp.wire.text import TextKind, TextReply, TextRequest

_Answer = TypeVar("_Answer", int, str)

_MOST_TOGETHER = 16000
"""So many identifiers fit into a request of 64 KiB, the longest that pmcd takes."""


def lookup_desc(state: ContextState, pmid: int) -> Operation[Desc]:
    """The descriptor of a metric; asked for once, then remembered until pmcd's agents change.

    Raises ``UnknownPmid``, or an ``AgentError``. See: pmLookupDesc(3).
    """
    if (known := state.descs.get(pmid)) is not None:
        return known
    reply = yield from ask(DescRequest(pmid, sender=state.handle), DescReply, Pmid(pmid))
    state.descs[pmid] = reply.desc
    return reply.desc


def lookup_descs(state: ContextState, pmids: Sequence[int]) -> Operation[list[Desc | PcpError]]:
    """The descriptor of each metric, or the error in its place; remembered as by ``lookup_desc``.

    pmcd tells the reason of a failure only when asked for one; among several it is always ``UnknownPmid``. Long lists
    are asked for in pieces. See: pmLookupDescs(3).
    """
    if not pmids:
        raise TooFew("no metrics to look up")
    missing = list(dict.fromkeys(pmid for pmid in pmids if pmid not in state.descs))
    failed: dict[int, PcpError] = {}
    if len(missing) > 1 and state.offers(Feature.DESCS):
        for start in range(0, len(missing), _MOST_TOGETHER):
            yield from _learn_together(state, missing[start : start + _MOST_TOGETHER])
    else:
        failed = yield from _learn_one_by_one(state, missing)
    return [state.descs.get(pmid) or failed.get(pmid) or UnknownPmid(str(Pmid(pmid))) for pmid in pmids]


def _learn_together(state: ContextState, pmids: Sequence[int]) -> Operation[None]:
    reply = yield from ask(DescIds(pmids, sender=state.handle), Descs)
    if len(reply.descs) != len(pmids):
        raise RemoteProtocolError(f"{len(reply.descs)} descriptors in answer to {len(pmids)} identifiers")
    for pmid, desc in zip(pmids, reply.descs, strict=True):
        if desc is not None:
            state.descs[pmid] = desc


def _learn_one_by_one(state: ContextState, pmids: Sequence[int]) -> Operation[dict[int, PcpError]]:
    failed: dict[int, PcpError] = {}
    for pmid in pmids:
        try:
            yield from lookup_desc(state, pmid)
        except PcpError as error:
            failed[pmid] = answered(error)
    return failed


def instances(state: ContextState, indom: int) -> Operation[dict[int, str]]:
    """The instances of a domain, by identifier, in the agent's order. Raises ``UnknownInDom``. See: pmGetInDom(3)."""
    reply = yield from ask(InstanceRequest(_real(indom), sender=state.handle), InstanceReply, InDom(indom))
    # A domain of one instance that is -1, or has no name, looks like an answer to half a question.
    return dict(zip(reply.instances or [IN_NULL], reply.names or [""], strict=True)) if _counted(reply) else {}


def _counted(reply: InstanceReply) -> int:
    return len(reply.instances) or len(reply.names)


def lookup_instance(state: ContextState, indom: int, name: str) -> Operation[int]:
    """The identifier of an instance; agents match up to the first blank. Raises ``UnknownInstance``.

    See: pmLookupInDom(3).
    """
    request = InstanceRequest(_real(indom), IN_NULL, name, sender=state.handle)
    reply = yield from ask(request, InstanceReply, f"{name!r} of {InDom(indom)}")
    return _only(reply.instances)


def instance_name(state: ContextState, indom: int, instance: int) -> Operation[str]:
    """The name of an instance. Raises ``UnknownInstance``. See: pmNameInDom(3)."""
    request = InstanceRequest(_real(indom), instance, sender=state.handle)
    reply = yield from ask(request, InstanceReply, f"{instance} of {InDom(indom)}")
    return _only(reply.names)


def _only(answers: Sequence[_Answer]) -> _Answer:
    if len(answers) != 1:
        raise RemoteProtocolError(f"{len(answers)} answers about one instance")
    return answers[0]


def _real(indom: int) -> int:
    if indom == PM_INDOM_NULL:
        raise UnknownInDom("a singular metric has no instances")
    return indom


def lookup_text(state: ContextState, pmid: int, *, oneline: bool = False) -> Operation[str]:
    """The help text of a metric, or with ``oneline`` its summary. Without a help text the summary stands in.

    Raises ``NoText``, ``UnknownPmid``. See: pmLookupText(3).
    """
    return (yield from _text(state, pmid, TextKind.PMID, oneline=oneline))


def lookup_indom_text(state: ContextState, indom: int, *, oneline: bool = False) -> Operation[str]:
    """The help text of an instance domain, as ``lookup_text``. See: pmLookupInDomText(3)."""
    return (yield from _text(state, indom, TextKind.INDOM, oneline=oneline))


def _text(state: ContextState, ident: int, of: TextKind, *, oneline: bool) -> Operation[str]:
    about = Pmid(ident) if of is TextKind.PMID else InDom(ident)
    if not oneline:
        try:
            reply = yield from ask(TextRequest(ident, of | TextKind.HELP, sender=state.handle), TextReply, about)
        except PcpError as error:
            answered(error)  # The summary is asked for instead, and fails with the error that counts.
        else:
            if reply.text:
                return reply.text
    reply = yield from ask(TextRequest(ident, of | TextKind.ONELINE, sender=state.handle), TextReply, about)
    return reply.text
