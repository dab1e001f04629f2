"""Name space requests: the daemon's own names first, an agent's below its dynamic roots. See: PMNS(5)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import methodcaller
from typing import Any

from pypcp.errors import NoAgent, PcpError, ProtocolError, TooFew, UnknownName, UnknownPmid
from pypcp.model.ids import PM_ID_NULL, Pmid, is_dynamic_root
from pypcp.pmcd.asking import Asking, ask, begin, together
from pypcp.pmcd.router import Route, Router
from pypcp.pmda.interface import Client
from pypcp.wire.pdu import Pdu
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse


def _owner(router: Router, root: Pmid) -> Route | None:
    """The route to the agent that serves the names below a dynamic root."""
    return router.routes.get(root.cluster)


def _lookup(router: Router, client: Client, name: str) -> Any:
    """The pmid of a name, or where an agent elsewhere has to be asked, that to be awaited."""
    pmid = router.names.lookup(name)
    if is_dynamic_root(pmid):
        return begin(_owner(router, pmid), client, NoAgent, methodcaller("lookup_name", name))
    return pmid


def lookup_names(router: Router, client: Client, pdu: PmnsNames) -> Asking[Pdu]:
    """PMNS_NAMES -> PMNS_IDS. A single name fails with its error; of several, those not found are null.

    Null are also those whose agent cannot say: one agent's trouble is not that of other names.
    """
    names = pdu.names
    if pdu.error or names == [""]:
        raise ProtocolError("no look-up of names")
    if not names:
        raise TooFew("no name to look up")
    found = yield from together(partial(_lookup, router, client, name) for name in names)
    if len(names) == 1 and isinstance(found[0], PcpError):
        raise found.pop()  # and not by name: what its frames still hold would be a cycle with it
    pmids = [PM_ID_NULL if isinstance(each, PcpError) else each for each in found]
    return PmnsIds(pmids, sum([pmid != PM_ID_NULL for pmid in pmids]))


def names_of(router: Router, client: Client, pdu: PmnsIds) -> Asking[Pdu]:
    """PMNS_IDS -> PMNS_NAMES: every name of the one pmid asked for, the daemon's own or else its agent's."""
    if len(pdu.pmids) != 1:
        raise ProtocolError(f"{len(pdu.pmids)} pmids asked for at once; names are given for one")
    pmid = Pmid(pdu.pmids[0])
    if is_dynamic_root(pmid):
        raise NoAgent("what marks a dynamic root is no metric")
    try:
        names: Sequence[str] = router.names.names(pmid)
    except UnknownPmid:
        names = yield from ask(router.route_of(pmid), client, NoAgent, methodcaller("names_of", pmid))
    return PmnsNames(names)


def children(router: Router, client: Client, pdu: PmnsChild) -> Asking[Pdu]:
    """PMNS_CHILD -> PMNS_NAMES: relative names, with their status if asked for."""
    name = pdu.name
    root = router.names.find_root(name)
    if root is None:
        below = router.names.children(name)
    else:
        below = yield from ask(_owner(router, root[1]), client, NoAgent, methodcaller("children", name))
    statuses = [0 if leaf else 1 for _, leaf in below] if pdu.subtype else None
    return PmnsNames([each for each, _ in below], statuses)


def traverse(router: Router, client: Client, pdu: PmnsTraverse) -> Asking[Pdu]:
    """PMNS_TRAVERSE -> PMNS_NAMES: the names of all leaves below or at a name; ``UnknownName`` where there are none.

    A dynamic root stands for what its agent lists. An agent that cannot say leaves its names out: one agent's trouble
    is not everybody's.
    """
    name = pdu.name
    root = router.names.find_root(name)
    if root is not None:
        below = yield from ask(_owner(router, root[1]), client, NoAgent, methodcaller("traverse", name))
        return _found(name, below)
    leaves = list(router.names.traverse(name))
    dynamic = [(leaf, pmid) for leaf, pmid in leaves if is_dynamic_root(pmid)]
    listed = yield from together(
        partial(begin, _owner(router, pmid), client, NoAgent, methodcaller("traverse", leaf)) for leaf, pmid in dynamic
    )
    below = {leaf: [] if isinstance(each, PcpError) else each for (leaf, _), each in zip(dynamic, listed, strict=True)}
    return _found(name, [each for leaf, _ in leaves for each in below.get(leaf, (leaf,))])


def _found(name: str, leaves: Sequence[str]) -> PmnsNames:
    if not leaves:
        raise UnknownName(name)
    return PmnsNames(leaves)
