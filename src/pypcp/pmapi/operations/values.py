"""Values: fetching them through a profile, storing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pypcp.errors import ConversionError, NoValue, RemoteProtocolError, TooFew
from pypcp.model.values import ValueSet
from pypcp.pmapi.operations.metadata import lookup_descs
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Ask, Operation, Receive, Tell, ask, fitting
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import Feature, Pdu, StateChange
from pypcp.wire.result import Result, typed

_AGENTS_CHANGED = StateChange.ADD_AGENT | StateChange.RESTART_AGENT | StateChange.DROP_AGENT | StateChange.NAMES_CHANGE


@dataclass(slots=True)
class FetchResult:
    """What a fetch gave: a value set for each metric asked for, in that order.

    ``time_ns``: when pmcd took the values, nanoseconds since the epoch (whole microseconds from an old pmcd).
    ``changes``: what happened to pmcd's agents since the fetch before.
    """

    time_ns: int
    value_sets: list[ValueSet]
    changes: StateChange = StateChange.NO_CHANGE


def fetch(state: ContextState, pmids: Sequence[int]) -> Operation[FetchResult]:
    """The values of some metrics now, of the instances that the profile lets in.

    A metric that cannot be had is an error in its value set; the whole fails only where pmcd refuses it. Values have
    the type of their descriptor: where the reply does not say it and we do not know it yet, it is looked up.
    See: pmFetch(3).
    """
    result = yield from fetch_untyped(state, pmids)
    unsaid = [sent.pmid for sent in result.value_sets if sent.type is None and sent.values]
    if any(pmid not in state.descs for pmid in unsaid):
        yield from lookup_descs(state, unsaid)
    result.value_sets = [_typed(state, sent) for sent in result.value_sets]
    return result


def _typed(state: ContextState, sent: ValueSet) -> ValueSet:
    desc = state.descs.get(sent.pmid)
    if desc is None or not sent.values:
        return sent
    try:
        return typed(sent, desc.type)
    except ConversionError as error:
        return ValueSet(sent.pmid, error=error)


def fetch_untyped(state: ContextState, pmids: Sequence[int]) -> Operation[FetchResult]:
    """As ``fetch``, but the values are what the bytes say: words in place are unsigned."""
    if not pmids:
        raise TooFew("no metrics to fetch")
    yield from tell_profile(state)
    highres = state.offers(Feature.HIGHRES)
    reply = yield Ask(Fetch(state.slot, tuple(pmids), highres, sender=state.handle))
    while (change := state_change(reply)) != StateChange.NO_CHANGE:
        state.changes |= change
        reply = yield Receive()
    result = fitting(reply, Result)
    if result.highres is not highres or len(result.value_sets) != len(pmids):
        raise RemoteProtocolError(f"{len(result.value_sets)} value sets in answer to {len(pmids)} metrics")
    return FetchResult(result.time_ns, list(result.value_sets), _reported(state))


def state_change(reply: Pdu | None) -> StateChange:
    """What happened to pmcd's agents, if this is the ERROR with a positive code that goes before a fetch's reply."""
    if isinstance(reply, Error) and reply.code > 0:
        return StateChange(reply.code)
    return StateChange.NO_CHANGE


def _reported(state: ContextState) -> StateChange:
    changes, state.changes = state.changes, StateChange.NO_CHANGE
    if changes & _AGENTS_CHANGED:
        state.descs.clear()
    return changes


def tell_profile(state: ContextState) -> Operation[None]:
    """Tell pmcd which instances we want, unless it knows."""
    if state.profile_told is not state.profile:
        yield Tell(ProfilePdu(state.slot, state.profile, sender=state.handle))
        state.profile_told = state.profile


def store(state: ContextState, value_sets: Sequence[ValueSet], time_ns: int = 0) -> Operation[None]:
    """Store values into metrics; each value set needs a type and at least one value.

    Raises ``PermissionDenied``, ``BadStore``, ``NoAgent``, ...: with several agents some may have stored theirs. The
    time has no meaning; the C tools send that of their last fetch. See: pmStore(3).
    """
    if not value_sets:
        raise TooFew("nothing to store")
    for sent in value_sets:
        if not sent.values:
            raise NoValue(f"nothing to store into {sent.pmid}")
    yield from ask(Result(time_ns, list(value_sets), highres=False, sender=state.handle), Error)
