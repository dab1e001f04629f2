"""The test kit for authors of agents: ask an agent everything a daemon would, without a daemon.

Every question travels as the frames that pmcd would send and is answered by the code that runs in an agent process, so
what a test sees is what clients will see::

    from pypcp.pmda.testing import AgentTester


    def test_the_uptime_grows():
        with AgentTester("acme.py") as acme:
            assert acme.fetch("acme.uptime") <= acme.fetch("acme.uptime")

With every fetch the kit looks for what no agent may do, and fails the test with an ``AssertionError``: a counter that
goes backwards, an instance that is listed twice, values of another type than announced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from pypcp.errors import NotConnected, PcpError, from_code
from pypcp.model.desc import Desc
from pypcp.model.ids import IN_NULL, PM_INDOM_NULL, Pmid
from pypcp.model.labels import LabelSet, LabelType
from pypcp.model.profile import EVERYTHING, InDomProfile, Profile
from pypcp.model.units import Units
from pypcp.model.values import Semantics, Value, ValueSet, ValueType
from pypcp.pmda.agent import Agent
from pypcp.pmda.dispatch import Dispatcher
from pypcp.pmda.finding import find_agent
from pypcp.pmda.units import parse_units
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.handshake import Error
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import Pdu, StateChange, decode, encode
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result, typed
from pypcp.wire.text import TextKind, TextReply, TextRequest

P = TypeVar("P", bound=Pdu)

Fetched = Value | dict[str, Value] | None
"""One value, the values by instance name, or None where there is no value now."""

_NSEC = 1_000_000_000


class TestClient:
    """A client of the daemon, as the agent is told of it."""

    __test__ = False

    def __init__(self, slot: int) -> None:
        self.slot = slot


class AgentTester:
    """Asks an agent. ``agent``: the agent itself, the file that declares it, or the name of an installed one.

    A context manager: within the ``with`` block the startup has run to its end (what it raises fails the test), sources
    that are read in the background have been read once, and :meth:`refresh` reads them again. Failures that the agent
    reports are raised as the ``PcpError`` they are. ``changes`` is what the agent has announced with its last values.
    """

    def __init__(self, agent: Agent | str | Path, *, state: Path | None = None) -> None:
        self.agent = agent if isinstance(agent, Agent) else find_agent(str(agent), state=state)
        self.changes = StateChange.NO_CHANGE
        self._dispatcher = Dispatcher(self.agent)
        self._nobody = TestClient(0)
        self._slots = 0
        self._counters: dict[tuple[int, int], int | float] = {}

    def __enter__(self) -> Self:
        try:
            self.agent.prepare()
            self.refresh()
        except BaseException:
            self.agent.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.agent.stop()

    def refresh(self) -> None:
        """Read the background sources now."""
        self.agent.read_background()

    # Clients

    def client(
        self,
        *,
        uid: int | None = None,
        gid: int | None = None,
        pid: int | None = None,
        username: str | None = None,
        container: str | None = None,
    ) -> TestClient:
        """A new client. Attributes reach the agent only if it has asked for them, as with a daemon."""
        self._slots += 1
        client = TestClient(self._slots)
        attributes = {
            AttributeKey.PROCESSID: pid,
            AttributeKey.GROUPID: gid,
            AttributeKey.USERID: uid,
            AttributeKey.USERNAME: username,
            AttributeKey.CONTAINER: container,
        }
        for key, value in attributes.items():
            if value is not None and self.agent.client_attributes:
                self._tell(Attribute(key, f"{value}\0".encode(), sender=client.slot))
        return client

    def end(self, client: TestClient) -> None:
        """The client goes."""
        self._tell(Error(NotConnected.code, sender=client.slot))

    # Values

    def fetch(self, name: str, *instances: str, client: TestClient | None = None) -> Fetched:
        """The value of a metric, of all its instances or of those named; the metric's error is raised."""
        desc = self.desc(name)
        profile = self._profile(desc, instances)
        (value_set,) = self.fetch_sets([desc.pmid], profile, client=client)
        if value_set.error is not None:
            raise value_set.error
        checked = self._checked(name, desc, value_set)
        if desc.indom == PM_INDOM_NULL:
            return checked.value
        names = self.instances(name)
        strangers = set(checked.instances) - set(names)
        assert not strangers, f"{name}: values of the instances {sorted(strangers)}, which there are not"
        return {names[instance]: value for instance, value in checked.by_instance().items()}

    def fetch_all(self, below: str = "") -> dict[str, Fetched | PcpError]:
        """The values of all metrics, or all below a name; a metric that fails has its error here."""
        found: dict[str, Fetched | PcpError] = {}
        for name in self.names(below):
            try:
                found[name] = self.fetch(name)
            except PcpError as error:
                found[name] = error
        return found

    def fetch_sets(
        self, pmids: Sequence[int], profile: Profile = EVERYTHING, *, client: TestClient | None = None
    ) -> list[ValueSet]:
        """The reply to a fetch of several metrics, as it is on the wire."""
        slot = (client or self._nobody).slot
        self._tell(ProfilePdu(0, profile, sender=slot))
        reply = self._ask(Fetch(0, tuple(pmids), sender=slot), Result)
        self.changes = StateChange(reply.time_ns // _NSEC)
        assert len(reply.value_sets) == len(pmids), "an answer to another question"
        return reply.value_sets

    def store(self, name: str, value: Value, instance: str | None = None, *, client: TestClient | None = None) -> None:
        """Store a value, into one instance of a metric that has some."""
        desc = self.desc(name)
        number = IN_NULL if instance is None else self._id_of(desc, instance)
        value_set = ValueSet(desc.pmid, [number], [value], type=ValueType(desc.type))
        self._ask(Result(0, [value_set], sender=(client or self._nobody).slot), Error, name)

    def _profile(self, desc: Desc, instances: Iterable[str]) -> Profile:
        wanted = frozenset(self._id_of(desc, name) for name in instances)
        return Profile(indoms={desc.indom: InDomProfile(False, wanted)}) if wanted else EVERYTHING

    def _id_of(self, desc: Desc, instance: str) -> int:
        reply = self._ask(InstanceRequest(desc.indom, name=instance), InstanceReply, instance)
        return reply.instances[0]

    def _checked(self, name: str, desc: Desc, value_set: ValueSet) -> ValueSet:
        values = typed(value_set, desc.type)
        assert len(set(values.instances)) == len(values.instances), f"{name}: an instance has two values"
        if desc.sem == Semantics.COUNTER:
            for instance, value in zip(values.instances, values.values, strict=True):
                assert isinstance(value, int | float), f"{name}: a counter, and its value is {value!r}"
                before = self._counters.get((desc.pmid, instance), value)
                assert value >= before, f"{name}: a counter, and went back from {before} to {value}"
                self._counters[desc.pmid, instance] = value
        return values

    def forget_counters(self) -> None:
        """Counters may start anew from here: what they count was started anew."""
        self._counters.clear()

    # Metadata

    def desc(self, name: str) -> Desc:
        """Type, semantics, units and instance domain of a metric."""
        return self._ask(DescRequest(self.pmid(name)), DescReply).desc

    def assert_metric(
        self,
        name: str,
        *,
        type_: ValueType | None = None,
        sem: Semantics | None = None,
        units: Units | str | None = None,
    ) -> None:
        """Fail unless the metric is described so; what is not given is not looked at."""
        desc = self.desc(name)
        wanted = parse_units(units) if isinstance(units, str) else units
        assert type_ is None or desc.type == type_, f"{name}: of type {desc.type}, not {type_}"
        assert sem is None or desc.sem == sem, f"{name}: semantics {desc.sem}, not {sem}"
        assert wanted is None or desc.units == wanted, f"{name}: in {desc.units or 'no unit'}, not {wanted}"

    def help(self, name: str, *, oneline: bool = False) -> str:
        """The help text of a metric; ``NoText``."""
        kind = TextKind.PMID | (TextKind.ONELINE if oneline else TextKind.HELP)
        return self._ask(TextRequest(self.pmid(name), kind), TextReply, name).text

    def instances(self, name: str) -> dict[int, str]:
        """The instances of a metric there are now, id to name."""
        reply = self._ask(InstanceRequest(self.desc(name).indom), InstanceReply)
        return dict(zip(reply.instances, reply.names, strict=True))

    def labels(self, ident: int, level: LabelType) -> list[LabelSet]:
        """The label sets of a domain's number, an indom or a pmid."""
        return self._ask(LabelRequest(ident, level), LabelReply).sets

    # Names

    def names(self, below: str = "") -> list[str]:
        """The names of all metrics, or of all at and below a name."""
        return list(self._ask(PmnsTraverse(below), PmnsNames, below).names)

    def children(self, name: str = "") -> list[tuple[str, bool]]:
        """What is right below a name, and whether each is a metric."""
        reply = self._ask(PmnsChild(name, 1), PmnsNames, name)
        return [(each, status == 0) for each, status in zip(reply.names, reply.statuses or (), strict=True)]

    def pmid(self, name: str) -> Pmid:
        """The pmid of a name; ``UnknownName``."""
        return Pmid(self._ask(PmnsNames([name]), PmnsIds, name).pmids[0])

    def names_of(self, pmid: int) -> list[str]:
        """The names of a pmid; ``UnknownPmid``."""
        return list(self._ask(PmnsIds([pmid]), PmnsNames).names)

    # The conversation

    def _ask(self, request: Pdu, expected: type[P], about: str = "") -> P:
        reply = decode(self._dispatcher.answer(encode(request)))
        if isinstance(reply, Error) and reply.code < 0:
            raise from_code(reply.code, about)
        assert isinstance(reply, expected), f"{type(request).__name__} was answered with {reply}"
        return reply

    def _tell(self, pdu: Pdu) -> None:
        reply = self._dispatcher.answer(encode(pdu))
        assert not reply, f"{type(pdu).__name__} has no answer, but was given {reply.hex()}"
