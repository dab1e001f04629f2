"""Queues of events, each client at its own pace."""

import pytest

from pypcp.errors import PermissionDenied
from pypcp.model.events import EventArray, EventFlags, EventParameter, EventRecord
from pypcp.model.values import ValueType
from pypcp.pmda import U32, Agent, Client
from pypcp.pmda.events import EventQueue
from pypcp.pmda.testing import AgentTester


def record(number: int, size: int = 0) -> EventRecord:
    return EventRecord(number * 10**9, parameters=(EventParameter(1, ValueType.STRING, "x" * size),))


def seen(queue: EventQueue, client: Client) -> list[int]:
    """The times of the records a client gets; minus their number for those it missed."""
    events = queue.records(client)
    if events is None:
        return []
    return [-each.missed if each.flags & EventFlags.MISSED else each.time_ns // 10**9 for each in events.records]


def test_a_client_sees_each_event_after_its_first_fetch_once():
    queue, client = EventQueue(10_000), Client(1)
    queue.push(record(1))
    assert queue.records(client) is None
    queue.push(record(2))
    queue.push(record(3))
    assert (seen(queue, client), seen(queue, client)) == ([2, 3], [])


def test_clients_read_at_their_own_pace_and_what_all_have_read_is_let_go():
    queue, quick, slow = EventQueue(10_000), Client(1), Client(2)
    queue.records(quick), queue.records(slow)
    queue.push(record(1))
    assert seen(queue, quick) == [1]
    queue.push(record(2))
    assert (seen(queue, quick), seen(queue, slow)) == ([2], [1, 2])
    assert queue.memory == 0


def test_the_oldest_give_way_and_who_missed_them_is_told_how_many():
    queue, client = EventQueue(1000), Client(1)
    queue.records(client)
    for number in range(10):
        queue.push(record(number, 300))
    assert seen(queue, client) == [-8, 8, 9]
    assert queue.memory == 0


def test_all_is_counted_but_kept_only_while_somebody_reads():
    queue, client = EventQueue(1000), Client(1)
    queue.push(record(1))
    assert (queue.count, queue.memory, queue.clients) == (1, 0, 0)
    assert queue.bytes > 0
    queue.records(client)
    queue.push(record(2))
    assert queue.memory > 0
    queue.end(client)
    assert (queue.count, queue.memory, queue.clients) == (2, 0, 0)


def test_an_event_larger_than_the_queue_is_counted_and_lost(caplog):
    queue, client = EventQueue(100), Client(1)
    queue.records(client)
    queue.push(record(1, 1000))
    assert (queue.count, seen(queue, client)) == (1, [])
    assert "is lost" in caplog.text


def test_a_filter_is_one_clients_own():
    queue, picky, other = EventQueue(10_000), Client(1), Client(2)
    queue.records(picky), queue.records(other)
    queue.filter(picky, lambda each: each.time_ns > 10**9)
    queue.push(record(1))
    queue.push(record(2))
    assert (seen(queue, picky), seen(queue, other)) == ([2], [1, 2])
    queue.filter(picky, None)
    queue.push(record(1))
    assert seen(queue, picky) == [1]


def test_a_restricted_queue_is_for_those_who_were_allowed_or_have_a_filter():
    queue, client = EventQueue(10_000, restricted=True), Client(1)
    with pytest.raises(PermissionDenied):
        queue.records(client)
    queue.filter(client, lambda each: True)
    assert queue.records(client) is None
    queue.filter(client, None)
    queue.allow(client)
    assert queue.records(client) is None
    queue.allow(client, False)
    with pytest.raises(PermissionDenied):
        queue.records(client)


@pytest.mark.parametrize("highres", [False, True])
def test_an_agents_events_reach_each_client_with_typed_parameters(highres):
    agent = Agent("t", 100)
    log = agent.events("t.log", parameters={"line": str, "severity": U32}, highres=highres, help_="What happened")
    tester = AgentTester(agent)
    one, other = tester.client(), tester.client()
    assert tester.fetch("t.log.records", client=one) is None
    log.push(time_ns=5_000_000_000, line="disk is full", severity=3)
    assert tester.fetch("t.log.records", client=other) is None
    events = tester.fetch("t.log.records", client=one)
    line, severity = (tester.pmid(f"t.log.{name}") for name in ("line", "severity"))
    assert events == EventArray(
        (
            EventRecord(
                5_000_000_000,
                EventFlags.POINT,
                (
                    EventParameter(line, ValueType.STRING, "disk is full"),
                    EventParameter(severity, ValueType.U32, 3),
                ),
            ),
        ),
        highres,
    )
    assert tester.fetch("t.log.line") is None
    assert [tester.fetch(f"t.log.{name}") for name in ("clients", "count", "memory")] == [2, 1, 0]
    tester.end(one)
    assert tester.fetch("t.log.clients") == 1


def test_a_parameter_that_was_not_declared_is_refused():
    log = Agent("t", 100).events("t.log", parameters={"line": str})
    with pytest.raises(KeyError, match="'text' is no parameter of these events; there are line"):
        log.push(text="x")
