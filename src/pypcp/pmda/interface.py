"""The one interface between the daemon and an agent, wherever the agent runs.

In process the daemon calls it; in an agent process :mod:`pypcp.pmda.dispatch` is decode, that call, encode. An agent
answers from what it has: a call never waits. What takes time is refreshed elsewhere and answered from the last good
snapshot, or is an agent process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pypcp.errors import InternalError, PcpError
from pypcp.model.desc import Desc
from pypcp.model.ids import Pmid
from pypcp.model.labels import LabelSet, LabelType
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.model.values import ValueSet
from pypcp.pmda.complaints import Complaints
from pypcp.pmda.segments import Fetched
from pypcp.pmns.tree import Tree
from pypcp.wire.text import TextKind


@dataclass(slots=True, eq=False)
class Client:
    """Who asks: an agent sees one object per client of the daemon, from its first request to its end.

    ``context`` is the daemon's number for the client, used again after its end. The attributes are what the daemon
    knows and the agent asked for: None where it does not know. ``state`` is the agent's own, dropped at the end.
    """

    context: int = 0
    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    username: str | None = None
    container: str | None = None
    state: dict[Any, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class FetchRequest:
    """Which metrics, and which of their instances.

    The same object comes again for as long as a client repeats its fetch, so an agent may hang what it worked out for
    it onto ``prepared``; whoever holds the request drops it when the agents or their metrics change. Requests that wait
    together carry the same ``moment`` and share one refresh; None asks for a refresh of its own.
    """

    pmids: tuple[int, ...]
    profile: Profile = EVERYTHING
    moment: object = None
    prepared: Any = None


class AgentInterface(Protocol):
    """What the daemon asks of an agent. Failures of a whole request are raised as a ``PcpError``."""

    name: str
    domain: int

    @property
    def names(self) -> Tree:
        """The names that are declared, whether or not the agent can be asked now."""
        ...

    @property
    def dynamic_roots(self) -> Sequence[str]:
        """Names below which metrics come and go while the agent runs."""
        ...

    def start(self) -> None:
        """Somebody is going to ask: read in the background what is to be read there."""
        ...

    def wait_until_read(self, limit_s: float) -> None:
        """After :meth:`start`: wait until there are values, or it is known why not; no longer than the limit."""
        ...

    def stop(self) -> None:
        """Nobody asks any more: keep what is to be kept, let go of the rest."""
        ...

    def fetch(self, request: FetchRequest, client: Client) -> Fetched:
        """One segment per metric asked for, in that order; a metric's failure is its segment. See: pmdaFetch(3)."""
        ...

    def desc(self, pmid: int) -> Desc:
        """``UnknownPmid``. See: pmdaDesc(3)."""
        ...

    def instances(self, indom: int) -> tuple[Sequence[int], Sequence[str]]:
        """All ids and their names; ``UnknownInDom``. See: pmdaInstance(3)."""
        ...

    def instance_name(self, indom: int, instance: int) -> str:
        """``UnknownInDom``, ``UnknownInstance``. See: pmdaInstance(3)."""
        ...

    def instance_id(self, indom: int, name: str) -> int:
        """``UnknownInDom``, ``UnknownInstance``. See: pmdaInstance(3)."""
        ...

    def text(self, ident: int, kind: TextKind) -> str:
        """``NoText``. See: pmdaText(3)."""
        ...

    def labels(self, ident: int, level: LabelType, profile: Profile) -> list[LabelSet]:
        """At most one set, or one per wanted instance for INSTANCES; ``BadType``. See: pmdaLabel(3)."""
        ...

    def store(self, value_sets: Sequence[ValueSet], client: Client) -> None:
        """In order; the first that is refused ends it: ``PermissionDenied``, ``UnknownPmid``, ``BadStore``, ...

        See: pmdaStore(3).
        """
        ...

    def lookup_name(self, name: str) -> Pmid:
        """``UnknownName``, ``NotLeaf``. See: pmdaPMID(3)."""
        ...

    def names_of(self, pmid: int) -> list[str]:
        """At least one; ``UnknownPmid``. See: pmdaName(3)."""
        ...

    def children(self, name: str) -> list[tuple[str, bool]]:
        """Relative names and whether each is a leaf; ``UnknownName``. See: pmdaChildren(3) with traverse 0."""
        ...

    def traverse(self, name: str) -> list[str]:
        """Absolute leaf names; ``UnknownName``. See: pmdaChildren(3) with traverse 1."""
        ...

    def attributes_changed(self, client: Client) -> None:
        """The client's attributes are known, or changed. See: pmdaAttribute(3)."""
        ...

    def end_context(self, client: Client) -> None:
        """The client has gone. See: pmdaSetEndContextCallBack(3)."""
        ...


def refusal_of(error: Exception, what: str, complaints: Complaints) -> PcpError:
    """What an exception that an agent raised says to whoever asked: its own code, if it is an answer.

    Anything else is a mistake in the author's code: ``InternalError``, and the log tells where in ``what``.
    """
    if isinstance(error, PcpError):
        return error
    complaints.failed(what, error)
    return InternalError(str(error))
