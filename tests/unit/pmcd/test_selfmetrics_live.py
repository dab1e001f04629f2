"""What the daemon tells of its clients and agents, and how root changes it while it runs."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pypcp.errors import (
    AgentFenced,
    BadStore,
    ConversionError,
    PermissionDenied,
    RequestTimeout,
    TryAgain,
    UnknownInstance,
)
from pypcp.model.ids import IN_NULL, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.values import Value, ValueFormat, ValueSet, ValueType
from pypcp.pmapi.context import Context
from pypcp.pmcd import journal
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.context_labels import ContextLabels
from pypcp.pmcd.limits import NEVER_S
from pypcp.pmcd.trace import MAX_EVENTS
from pypcp.pmda.agent import Agent
from pypcp.pmda.interface import Client
from pypcp.wire.pdu import StateChange
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
ROOT, SOMEBODY = 0, 1000


async def told(client: Context, name: str) -> dict[str, Value]:
    """The values of a metric by instance name; a single one by the name ""."""
    pmid = await client.lookup_name(name)
    desc = await client.lookup_desc(pmid)
    values = (await client.fetch([pmid])).value_sets[0].by_instance()
    if IN_NULL in values:
        return {"": values[IN_NULL]}
    names = await client.instances(desc.indom) if values else {}
    return {names[instance]: value for instance, value in values.items()}


async def value(client: Context, name: str) -> Any:
    return (await told(client, name))[""]


async def store(client: Context, name: str, value: Value, instance: int = IN_NULL) -> None:
    desc = await client.lookup_desc(await client.lookup_name(name))
    assert isinstance(desc.type, ValueType)
    await client.store([ValueSet(desc.pmid, [instance], [value], type=desc.type)])


def be(uid: int, running: Running) -> None:
    """Have the daemon think that all who are connected have this account."""
    for connection in running.daemon.clients:
        connection.client.uid = uid


# Clients


async def test_each_client_is_an_instance_and_speaks_for_itself_only(start: Starter) -> None:
    async with start() as running, running.client() as one, running.client() as other:
        assert await told(one, "pmcd.client.whoami") == {"0": "", "1": ""}
        await store(one, "pmcd.client.whoami", "the logger", 0)
        await store(other, "pmcd.client.whoami", "the other", 1)
        await store(other, "pmcd.client.whoami", "the liar", 0)
        with pytest.raises(UnknownInstance):
            await store(other, "pmcd.client.whoami", "nobody", 7)
        assert await told(one, "pmcd.client.whoami") == {"0": "the logger", "1": "the other"}


async def test_without_an_instance_a_client_speaks_for_itself(start: Starter) -> None:
    async with start() as running, running.client() as one, running.client() as other:
        await store(other, "pmcd.client.whoami", "a program", IN_NULL)
        await store(one, "pmcd.client.container", "a-container", IN_NULL)
        assert await told(one, "pmcd.client.whoami") == {"0": "", "1": "a program"}
        assert await told(one, "pmcd.client.container") == {"0": "a-container", "1": ""}
        be(ROOT, running)
        with pytest.raises(UnknownInstance):
            await store(one, "pmcd.agent.fenced", 1, IN_NULL)


async def test_a_number_of_a_client_is_not_used_again(start: Starter) -> None:
    async with start() as running, running.client() as one:
        async with running.client() as other:
            assert set(await told(other, "pmcd.client.start_date")) == {"0", "1"}
        await until(lambda: len(running.daemon.clients) == 1)
        assert set(await told(one, "pmcd.client.start_date")) == {"0"}
        async with running.client() as third:
            assert set(await told(third, "pmcd.client.start_date")) == {"0", "2"}


async def test_the_date_of_a_client_is_in_the_form_of_ctime(start: Starter) -> None:
    before = int(time.time())
    async with start() as running, running.client() as client:
        (date,) = (await told(client, "pmcd.client.start_date")).values()
        assert isinstance(date, str)
        assert before <= time.mktime(time.strptime(date)) <= time.time()


async def test_what_a_client_says_of_itself_has_a_limit(start: Starter) -> None:
    async with start() as running, running.client() as client:
        await store(client, "pmcd.client.whoami", "x" * 1024, 0)
        with pytest.raises(BadStore):
            await store(client, "pmcd.client.whoami", "x" * 1025, 0)


async def test_a_number_where_text_belongs_is_an_error_and_nothing_more(start: Starter) -> None:
    async with start() as running, running.client() as client:
        whoami = await client.lookup_name("pmcd.client.whoami")
        in_place = ValueSet(whoami, [0], [12345678], format=ValueFormat.INSITU)
        with pytest.raises(ConversionError):
            await client.store([in_place])
        assert await told(client, "pmcd.client.whoami") == {"0": ""}


async def test_text_where_a_number_belongs_is_an_error_and_nothing_more(start: Starter) -> None:
    async with start() as running, running.client() as client:
        be(ROOT, running)
        timeout = await client.lookup_name("pmcd.control.timeout")
        with pytest.raises(ConversionError):
            await client.store([ValueSet(timeout, [IN_NULL], ["7"], type=ValueType.STRING)])
        assert await value(client, "pmcd.control.timeout") == 5


# Containers


@contextmanager
def curious_agent() -> Iterator[tuple[Agent, list[str | None]]]:
    """An agent that wants to know of containers, and what it was told."""
    agent = Agent("curious", 200)
    seen: list[str | None] = []

    @agent.on_attributes
    def _(client: Client) -> None:
        seen.append(client.container)

    yield agent, seen


async def test_a_stored_container_is_told_to_agents_and_stands_in_the_labels(start: Starter) -> None:
    with curious_agent() as (agent, seen):
        async with start(own=[agent]) as running, running.client() as client:
            await store(client, "pmcd.client.container", "web-1", 0)
            assert seen[-1] == "web-1"
            assert await told(client, "pmcd.client.container") == {"0": "web-1"}
            assert b'"container":"web-1"' in running.daemon.context_labels(Client(container="web-1")).json
            await store(client, "pmcd.client.container", "", 0)
            assert seen[-1] == ""
            assert b"container" not in running.daemon.context_labels(Client(container="")).json


@pytest.mark.parametrize("name", ['x","evil":"1', "a b", "a/b", "ä", "x" * 256, "a\n"])
async def test_what_names_no_container_is_refused_on_the_way_by_store_too(start: Starter, name: str) -> None:
    async with start() as running, running.client() as client:
        with pytest.raises(BadStore):
            await store(client, "pmcd.client.container", name, 0)
        assert await told(client, "pmcd.client.container") == {"0": ""}


async def test_another_client_cannot_be_sent_into_a_container(start: Starter) -> None:
    async with start() as running, running.client() as one, running.client() as other:
        await store(other, "pmcd.client.container", "web-1", 0)
        assert await told(one, "pmcd.client.container") == {"0": "", "1": ""}


async def test_agent_processes_are_told_of_a_stored_container(start: Starter, tmp_path: Path) -> None:
    async with start({100: "curious"}) as running, running.client() as client:
        await store(client, "pmcd.client.container", "web-1", 0)
        await client.fetch([Pmid.build(100, 0, 0)])
        assert "web-1" in (tmp_path / "seen").read_text()


FAKE = Pmid.build(100, 0, 0)
PID = Pmid.build(2, 0, 23)


async def test_an_answer_that_came_late_is_not_for_a_client_that_looks_elsewhere_now(start: Starter) -> None:
    async with start({100: "late 0.6"}, agent_soft_s=0.2) as running, running.client() as client:
        assert isinstance((await client.fetch([FAKE, PID])).value_sets[0].error, TryAgain)
        await until(lambda: answered_by_the_agent(running) == 1)
        await store(client, "pmcd.client.container", "web-1", 0)
        assert (await client.fetch([FAKE])).value_sets[0].value == 2


async def test_an_answer_for_a_client_that_has_gone_is_not_for_the_next_in_its_place(start: Starter) -> None:
    async with start({100: "late 0.6"}, agent_soft_s=0.2) as running:
        async with running.client() as gone:
            assert isinstance((await gone.fetch([FAKE, PID])).value_sets[0].error, TryAgain)
        await until(lambda: answered_by_the_agent(running) == 1)
        async with running.client() as client:
            assert [connection.client.context for connection in running.daemon.clients] == [0]
            assert (await client.fetch([FAKE])).value_sets[0].value == 2


def answered_by_the_agent(running: Running) -> int:
    (agent,) = [row.route for row in running.daemon.agents() if row.domain == 100]
    assert isinstance(agent, AgentKeeper)
    return agent.statistics.requests


# Agents


async def test_agents_are_told_of_with_kind_and_state(start: Starter) -> None:
    left_out = "gone 90 dso gone_init /nowhere/gone.so\n"
    agents_wanted = {100: "well", 101: "silent"}
    async with start(agents_wanted, access=left_out, agent_hello_s=1.5) as running, running.client() as client:
        agents = {"pmcd": 2, "gone": 90, "fake100": 100, "fake101": 101}
        desc = await client.lookup_desc(await client.lookup_name("pmcd.agent.type"))
        assert await client.instances(desc.indom) == {domain: name for name, domain in agents.items()}
        assert await told(client, "pmcd.agent.type") == {"pmcd": 0, "gone": 0, "fake100": 4, "fake101": 4}
        assert await told(client, "pmcd.agent.status") == {"pmcd": 0, "gone": 4, "fake100": 0, "fake101": 4}
        assert await told(client, "pmcd.agent.name") == {name: name for name in agents}
        assert await value(client, "pmcd.numagents") == 2


async def test_an_agent_that_is_not_ready_has_the_status_for_that(start: Starter) -> None:
    async with start({100: "unready 60"}) as running, running.client() as client:
        await client.fetch([Pmid.build(100, 0, 0)])
        assert (await told(client, "pmcd.agent.status"))["fake100"] == 1
        assert await value(client, "pmcd.numagents") == 2


async def test_agents_of_one_label_are_told_apart(start: Starter) -> None:
    twins = "".join(f"twin {domain} dso twin_init /nowhere/twin.so\n" for domain in (90, 91))
    async with start(access=twins) as running, running.client() as client:
        assert set(await told(client, "pmcd.agent.status")) == {"pmcd", "twin", "twin.91"}
        assert (await told(client, "pmcd.agent.name"))["twin.91"] == "twin"


async def test_root_cuts_an_agent_off_and_lets_it_in_again(start: Starter) -> None:
    metric = Pmid.build(100, 0, 0)
    async with start({100: "well"}) as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.agent.fenced", 1, 100)
        assert isinstance((await client.fetch([metric])).value_sets[0].error, AgentFenced)
        assert await told(client, "pmcd.agent.fenced") == {"pmcd": 0, "fake100": 1}
        await store(client, "pmcd.agent.fenced", 0, 100)
        assert (await client.fetch([metric])).value_sets[0].value == 1


async def test_the_daemons_own_agent_cannot_be_cut_off_and_other_numbers_mean_nothing(start: Starter) -> None:
    async with start({100: "well"}) as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.agent.fenced", 1, 2)
        assert await told(client, "pmcd.agent.fenced") == {"pmcd": 0, "fake100": 0}
        for instance in (2, 100):
            with pytest.raises(BadStore):
                await store(client, "pmcd.agent.fenced", 2, instance)


async def test_how_fast_an_agent_answers_is_told(start: Starter) -> None:
    async with start({100: "late 0.05"}) as running, running.client() as client:
        await client.fetch([Pmid.build(100, 0, 0)])
        await client.lookup_desc(Pmid.build(100, 0, 0))
        found = {name: await told(client, f"pmcd.agent.{name}") for name in ("requests", "queue", "restarts", "late")}
        assert found == {
            "requests": {"fake100": 2},
            "queue": {"fake100": 0},
            "restarts": {"fake100": 0},
            "late": {"fake100": 0},
        }
        last, longest, mean, total = [
            (await told(client, f"pmcd.agent.latency.{name}"))["fake100"]
            for name in ("last", "longest", "mean", "total")
        ]
        assert longest >= 50 > last > 0  # type: ignore[operator]
        assert mean == pytest.approx(total / 2)  # type: ignore[operator]
        assert total == pytest.approx(last + longest)  # type: ignore[operator]
        assert (await told(client, "pmcd.agent.pid"))["fake100"] > 1  # type: ignore[operator]


async def test_a_fetch_that_goes_on_without_a_late_agent_is_counted(start: Starter) -> None:
    async with start({100: "late 0.6"}, agent_soft_s=0.2) as running, running.client() as client:
        await client.fetch([Pmid.build(100, 0, 0), await client.lookup_name("pmcd.pid")])
        assert await told(client, "pmcd.agent.late") == {"fake100": 1}


async def test_an_agent_that_was_started_again_is_counted(start: Starter) -> None:
    async with start({100: "die"}) as running, running.client() as client:
        seqnum = await value(client, "pmcd.seqnum")
        await client.fetch([Pmid.build(100, 0, 0)])
        await until(lambda: running.daemon.statistics.seqnum > seqnum)
        assert await told(client, "pmcd.agent.restarts") == {"fake100": 1}
        assert (await told(client, "pmcd.agent.status"))["fake100"] == 0


async def test_pdus_with_agents_are_counted_each_by_its_own_type(start: Starter) -> None:
    async with start({100: "well"}) as running, running.client() as client:
        before = list(running.daemon.statistics.pdu_out)
        await client.fetch([Pmid.build(100, 0, 0)])
        await client.fetch([Pmid.build(100, 0, 0)])
        grown = [now - then for now, then in zip(running.daemon.statistics.pdu_out, before, strict=True)]
        assert (grown[2], grown[3], grown[0x15]) == (1, 2, 2)  # one PROFILE, two FETCH, two HIGHRES_RESULT


# Switches


async def test_a_new_timeout_holds_for_agents_that_run(start: Starter) -> None:
    async with start({100: "hang"}, agent_s=3600.0) as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.control.timeout", 1)
        assert await value(client, "pmcd.control.timeout") == 1
        (value_set,) = (await client.fetch([Pmid.build(100, 0, 0)])).value_sets
        assert isinstance(value_set.error, RequestTimeout)


async def test_no_timeout_is_a_long_one_and_is_told_as_0(start: Starter) -> None:
    async with start() as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.control.timeout", 0)
        assert await value(client, "pmcd.control.timeout") == 0
        assert (running.daemon.limits.agent_s, running.daemon.limits.pdu_s) == (NEVER_S, NEVER_S)
        with pytest.raises(BadStore):
            await store(client, "pmcd.control.timeout", 2**32 - 1)


async def test_registers_keep_a_number_each(start: Starter) -> None:
    async with start() as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.control.register", -7, 3)
        found = await told(client, "pmcd.control.register")
        assert found == {str(number): -7 if number == 3 else 0 for number in range(16)}
        with pytest.raises(UnknownInstance):
            await store(client, "pmcd.control.register", 1, 16)
        with pytest.raises(UnknownInstance):
            await store(client, "pmcd.control.register", 1, IN_NULL)
        assert await told(client, "pmcd.control.register") == found


async def test_debugging_has_the_log_take_everything_and_is_undone(start: Starter) -> None:
    ours = logging.getLogger("pypcp")
    before = ours.level
    async with start() as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.control.debug", 2048)
        await store(client, "pmcd.control.debug", 4096)
        assert await value(client, "pmcd.control.debug") == 4096
        assert ours.level == logging.DEBUG
        await store(client, "pmcd.control.debug", 0)
        assert ours.level == before


async def test_a_stored_sighup_reloads(start: Starter) -> None:
    async with start() as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.control.sighup", 1)
        await until(lambda: running.daemon.statistics.sighups == 1)
        assert await value(client, "pmcd.sighups") == 1
        assert await value(client, "pmcd.control.sighup") == 0


async def test_pdus_are_traced_while_root_wants_it(start: Starter, caplog: pytest.LogCaptureFixture) -> None:
    async with start({100: "well"}) as running, running.client() as client:
        be(ROOT, running)
        await client.lookup_desc(Pmid.build(100, 0, 0))
        switch = await client.lookup_name("pmcd.control.tracepdu")
        await client.store([ValueSet.singular(switch, 1, ValueType.I32)])
        await client.fetch([Pmid.build(100, 0, 0)])
        await client.store([ValueSet.singular(switch, 0, ValueType.I32)])
        await client.children("pmcd")
        await store(client, "pmcd.control.dumptrace", 1)
        (record,) = [record for record in caplog.records if record.name == "pypcp.pmcd.trace"]
        traced = [line.split(" ", 1)[1] for line in record.getMessage().splitlines()[2:]]
        assert [line.split(", len=")[0].replace(f"fd={fd(running)}", "client") for line in traced] == [
            "Xmit: ERROR PDU, client",
            "Recv: PROFILE PDU, client",
            "Recv: HIGHRES_FETCH PDU, client",
            "Xmit: PROFILE PDU, agent=fake100",
            "Xmit: FETCH PDU, agent=fake100",
            "Recv: RESULT PDU, agent=fake100",
            "Xmit: HIGHRES_RESULT PDU, client",
            "Recv: RESULT PDU, client",
        ]


def fd(running: Running) -> int:
    (connection,) = running.daemon.clients
    return connection.fd


async def test_connections_are_traced_at_once_where_root_wants_that(
    start: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    async with start({100: "die"}) as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.control.traceconn", 1)
        await store(client, "pmcd.control.tracenobuf", 1)
        async with running.client() as other:
            await other.fetch([Pmid.build(100, 0, 0)])
        await until(lambda: len(running.daemon.clients) == 1)
        log = caplog.text
        assert "New client: [1] unix pid" in log
        assert "End client: [1] unix pid" in log
        await until(lambda: "End agent: fake100 dom=100: end of file" in caplog.text)


async def test_the_trace_keeps_as_many_events_as_root_says(start: Starter, caplog: pytest.LogCaptureFixture) -> None:
    async with start() as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.control.tracepdu", 1)
        assert await value(client, "pmcd.control.tracebufs") == 20
        for refused in (0, -1, MAX_EVENTS + 1):
            with pytest.raises(BadStore):
                await store(client, "pmcd.control.tracebufs", refused)
        await store(client, "pmcd.control.tracebufs", 3)
        await client.children("pmcd")
        await store(client, "pmcd.control.dumptrace", 1)
        (record,) = [record for record in caplog.records if record.name == "pypcp.pmcd.trace"]
        assert len(record.getMessage().splitlines()) == 2 + 3


@pytest.mark.parametrize("name", ["traceconn", "tracepdu", "tracenobuf"])
async def test_a_switch_is_on_or_off_and_nothing_else(start: Starter, name: str) -> None:
    async with start() as running, running.client() as client:
        be(ROOT, running)
        for refused in (2, -1):
            with pytest.raises(BadStore):
                await store(client, f"pmcd.control.{name}", refused)
        for wanted in (1, 0):
            await store(client, f"pmcd.control.{name}", wanted)
            assert await value(client, f"pmcd.control.{name}") == wanted


async def test_the_clients_are_written_to_the_log(start: Starter, caplog: pytest.LogCaptureFixture) -> None:
    async with start() as running, running.client() as client:
        be(ROOT, running)
        await store(client, "pmcd.control.dumpconn", 1)
        assert "->Current PMCD clients at " in caplog.text
        assert f"    {fd(running):3}  unix pid " in caplog.text


async def test_a_reload_writes_the_same_table_to_the_log(start: Starter, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with start() as running, running.client():
        running.daemon.reloaded = partial(journal.reloaded, running.daemon)
        await running.daemon.reload()
        assert "Current PMCD clients ..." in caplog.text
        assert f"    {fd(running):3}  unix pid " in caplog.text


async def test_somebody_who_is_not_root_changes_nothing(start: Starter) -> None:
    async with start({100: "well"}) as running, running.client() as client:
        be(SOMEBODY, running)
        for name, instance in (("pmcd.control.timeout", IN_NULL), ("pmcd.agent.fenced", 100), ("pmcd.seqnum", IN_NULL)):
            before = await told(client, name)
            with pytest.raises(PermissionDenied):
                await store(client, name, 1, instance)
            assert await told(client, name) == before


# What clients are told of by state changes


async def changes(client: Context) -> StateChange:
    return (await client.fetch([Pmid.build(2, 0, 23)])).changes


async def test_a_new_name_of_the_host_is_told_to_all_clients(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start() as running, running.client() as one, running.client() as other:
        await changes(one)
        monkeypatch.setattr("pypcp.pmcd.host_name.socket.gethostname", lambda: "renamed")
        assert await changes(one) == StateChange.NO_CHANGE  # looked at a moment ago
        running.daemon.host_name.due = True
        assert await changes(one) == StateChange.HOSTNAME_CHANGE
        assert await changes(other) == StateChange.HOSTNAME_CHANGE
        assert await value(one, "pmcd.hostname") == "renamed"
        assert b'"hostname":"renamed"' in running.daemon.context_labels(Client()).json


async def test_new_labels_are_told_with_a_reload(start: Starter, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    async with start() as running, running.client() as client:
        running.daemon.labels = ContextLabels(labels)
        await running.daemon.reload()
        assert await changes(client) == StateChange.NO_CHANGE
        (labels / "site").write_text('{"site": "lab"}')
        await running.daemon.reload()
        assert await changes(client) == StateChange.LABEL_CHANGE
        assert await value(client, "pmcd.labels") == '{"site":"lab"}'


async def test_new_labels_are_told_when_somebody_asks_for_labels(start: Starter, tmp_path: Path) -> None:
    seconds = [0.0]
    async with start() as running, running.client() as one, running.client() as other:
        running.daemon.labels = ContextLabels(tmp_path / "labels", now=lambda: seconds[0])
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels" / "site").write_text('{"site": "lab"}')
        seconds[0] += 10
        found = await one.labels(LabelType.CONTEXT)
        assert found[IN_NULL]["site"].value == "lab"
        assert await changes(other) == StateChange.LABEL_CHANGE
