"""Descriptors, instances, texts and labels: each from the one agent that owns the identifier."""

from __future__ import annotations

from collections.abc import Sequence
from operator import methodcaller

from pypcp.errors import BadType, NoAgent, PcpError, UnknownInDom, UnknownInstance, UnknownPmid
from pypcp.model.desc import Desc
from pypcp.model.labels import LabelSet, LabelType
from pypcp.model.profile import Profile
from pypcp.pmcd.asking import SLICE, Asking, ask
from pypcp.pmcd.router import Router
from pypcp.pmda.interface import Client
from pypcp.wire.desc import DescIds, DescReply, DescRequest, Descs
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import Pdu
from pypcp.wire.text import TextKind, TextReply, TextRequest


def _desc(router: Router, client: Client, pmid: int) -> Asking[Desc]:
    desc: Desc = yield from ask(router.route_of(pmid), client, UnknownPmid, methodcaller("desc", pmid))
    return desc


def describe(router: Router, client: Client, pdu: DescRequest) -> Asking[Pdu]:
    """DESC_REQ -> DESC. See: pmLookupDesc(3)."""
    return DescReply((yield from _desc(router, client, pdu.pmid)))


def describe_all(router: Router, client: Client, pdu: DescIds) -> Asking[Pdu]:
    """DESC_IDS -> DESCS. A single pmid fails with its error; of several, those without descriptor are empty."""
    if len(pdu.pmids) == 1:
        return Descs([(yield from _desc(router, client, pdu.pmids[0]))])
    descs: list[Desc | None] = []
    for index, pmid in enumerate(pdu.pmids, 1):
        if index % SLICE == 0:
            yield None
        try:
            descs.append((yield from _desc(router, client, pmid)))
        except PcpError:
            descs.append(None)
    return Descs(descs)


def instances(router: Router, client: Client, pdu: InstanceRequest) -> Asking[Pdu]:
    """INSTANCE_REQ -> INSTANCE: the whole domain, the name of an id or the id of a name. See: pmGetInDom(3)."""
    indom, instance, name = pdu.indom, pdu.instance, pdu.name
    route = router.route_of(indom)
    if instance == -1 and not name:
        ids, names = yield from ask(route, client, UnknownInDom, methodcaller("instances", indom))
        return InstanceReply(indom, ids, names)
    if instance != -1 and name:
        raise UnknownInstance("asked for by id and by name at once")
    if name:
        found = yield from ask(route, client, UnknownInDom, methodcaller("instance_id", indom, name))
        return InstanceReply(indom, [found], [""])
    called = yield from ask(route, client, UnknownInDom, methodcaller("instance_name", indom, instance))
    return InstanceReply(indom, [-1], [called])


def text(router: Router, client: Client, pdu: TextRequest) -> Asking[Pdu]:
    """TEXT_REQ -> TEXT. See: pmLookupText(3)."""
    ident, kind = pdu.ident, pdu.kind
    if not kind & (TextKind.PMID | TextKind.INDOM):
        raise UnknownPmid("a text of neither a metric nor an instance domain")
    found = yield from ask(router.route_of(ident), client, UnknownPmid, methodcaller("text", ident, kind))
    return TextReply(ident, found)


_ABSENT: dict[LabelType, type[PcpError]] = {
    LabelType.DOMAIN: NoAgent,
    LabelType.INDOM: UnknownInDom,
    LabelType.INSTANCES: UnknownInDom,
    LabelType.CLUSTER: UnknownPmid,
    LabelType.ITEM: UnknownPmid,
}


def labels(router: Router, client: Client, pdu: LabelRequest, context: LabelSet, profile: Profile) -> Asking[Pdu]:
    """LABEL_REQ -> LABEL: the daemon's own ``context`` labels, or an agent's. See: pmLookupLabels(3)."""
    ident, level = pdu.ident, pdu.type
    if not isinstance(level, LabelType):
        raise BadType(f"no labels of type {level}")
    if level is LabelType.CONTEXT:
        return LabelReply(ident, level, [context])
    absent = _ABSENT.get(level)
    if absent is None:
        raise BadType(f"no labels of type {pdu.type}")
    route = router.routes.get(ident) if level is LabelType.DOMAIN else router.route_of(ident)
    found: Sequence[LabelSet] = yield from ask(route, client, absent, methodcaller("labels", ident, level, profile))
    return LabelReply(ident, level, list(found))
